"""python-logging-loki, with its queue: python python_logging_loki.py URL"""

import logging
import queue
import sys

import logging_loki

(url,) = sys.argv[1:]
handler = logging_loki.LokiQueueHandler(
    queue.Queue(-1), url=f"{url}/loki/api/v1/push", tags={"job": "python-logging-loki"}, version="1"
)
logger = logging.getLogger("shop")
logger.addHandler(handler)

logger.warning('python-logging-loki says "hëllo"', extra={"tags": {"tier": "front"}})
handler.listener.stop()
