// pino-loki: node pino.js URL
import pino from 'pino'

const [host] = process.argv.slice(2)
const transport = pino.transport({
  target: 'pino-loki',
  options: { host, labels: { job: 'pino' }, structuredMetaKey: 'meta' }
})
const logger = pino(transport)

logger.warn({ meta: { trace: 't1', attempt: 2 } }, 'pino says "hëllo"')
transport.end()
