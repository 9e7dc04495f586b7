"""loki-logger-handler, gzip and structured metadata: python loki_logger_handler_gzip.py URL"""

import logging
import sys

from loki_logger_handler.loki_logger_handler import LokiLoggerHandler

(url,) = sys.argv[1:]
handler = LokiLoggerHandler(
    f"{url}/loki/api/v1/push",
    labels={"job": "loki-logger-handler"},
    compressed=True,
    enable_self_errors=True,
    enable_structured_loki_metadata=True,
    loki_metadata={"trace": "abc"},
)
logger = logging.getLogger("shop")
logger.setLevel(logging.INFO)
logger.addHandler(handler)

logger.info('loki-logger-handler says "hëllo"')
logging.shutdown()  # it sends the rest when the interpreter ends
