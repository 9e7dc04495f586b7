"""OpenTelemetry's SDK with its OTLP/HTTP exporter: python otlp_exporter.py URL gzip|none"""

import logging
import sys

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

url, compression = sys.argv[1:]
provider = LoggerProvider(Resource({"service.name": f"otlp-{compression}", "k8s.pod.name": "p1", "host.name": "h1"}))
exporter = OTLPLogExporter(f"{url}/otlp/v1/logs", compression=Compression(compression))
provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
logger = logging.getLogger("shop")
logger.addHandler(LoggingHandler(logger_provider=provider))

logger.error('otlp says "hëllo"', extra={"user.id": 7})
provider.shutdown()
