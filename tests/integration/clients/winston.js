// winston-loki: node winston.js URL protobuf|json
import winston from 'winston'
import LokiTransport from 'winston-loki'

const [host, form] = process.argv.slice(2)
const transport = new LokiTransport({
  host,
  labels: { job: `winston-${form}` },
  json: form === 'json',
  interval: 0.1,
  onConnectionError: (error) => {
    console.error(error)
    process.exit(1)
  }
})
const logger = winston.createLogger({ transports: [transport] })

logger.error('winston says "hëllo"')
await transport.flush()
process.exit(0)
