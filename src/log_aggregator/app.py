"""The composition root: everything is created here, top to bottom, and ended in reverse."""

import logging
import os
import socket
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from log_aggregator.clock import Clock
from log_aggregator.http.metrics import HttpMetrics
from log_aggregator.http.push import PushRoutes
from log_aggregator.http.server import HttpServer, HttpSettings
from log_aggregator.http.status import StatusRoutes
from log_aggregator.services.catalog import IndexCatalog
from log_aggregator.services.distributor import Distributor, DistributorMetrics, LimitsOf
from log_aggregator.services.flush import Flusher
from log_aggregator.services.forced_flush import ForcedFlush
from log_aggregator.services.ingester import FlushPolicy, Ingester
from log_aggregator.services.quotas import Quotas
from log_aggregator.services.readiness import Readiness
from log_aggregator.services.scan import Scanner
from log_aggregator.services.tail import Tail
from log_aggregator.services.takeover import Takeover
from log_aggregator.services.write_metrics import WriteMetrics
from log_aggregator.storage.store import ObjectStore
from log_aggregator.wal.connection import connect
from log_aggregator.wal.index_list import IndexList
from log_aggregator.wal.log import WriteAheadLogs
from log_aggregator.wal.names import Names

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the parts need of the configuration."""

    redis_url: str
    redis_prefix: str
    lease_seconds: float
    period_ns: int
    policy: FlushPolicy
    http: HttpSettings
    max_decompressed_bytes: int
    max_stream_errors: int
    limits_of: LimitsOf
    config_yaml: str
    writes: bool
    reads: bool
    backend: bool


class Server:
    """One replica: a process's worth of the log aggregator."""

    def __init__(self, settings: Settings, store: ObjectStore, registry: CollectorRegistry, clock: Clock) -> None:
        holder = f"{socket.gethostname()}:{os.getpid()}"
        names = Names(settings.redis_prefix)
        self._settings = settings
        self._clock = clock
        self._redis = connect(settings.redis_url)
        self._store = store
        self._logs = WriteAheadLogs(self._redis, names, lease_seconds=settings.lease_seconds)
        catalog = IndexCatalog(store, IndexList(self._redis, names), settings.period_ns)
        tail = Tail(self._logs)
        flusher = Flusher(store, catalog, self._logs, settings.period_ns)
        write_metrics = WriteMetrics(registry)
        self._ingester = Ingester(self._logs, flusher, tail, settings.policy, clock, write_metrics, holder)
        self._takeover = Takeover(self._logs, flusher, clock, write_metrics, holder)
        quotas = Quotas(self._redis, names, clock, settings.policy.chunk_idle_period_ns, holder)
        distributor = Distributor(
            self._ingester, quotas, settings.limits_of, clock, DistributorMetrics(registry), settings.max_stream_errors
        )
        self.scanner = Scanner(store, catalog, tail, settings.period_ns)
        readiness = Readiness(self._logs, store, clock)
        flush = ForcedFlush(self._logs, self._takeover, clock)
        routes = [
            *StatusRoutes(registry, settings.config_yaml, {}, readiness, flush).routes(),
            *PushRoutes(distributor, settings.max_decompressed_bytes).routes(),
        ]
        self._http = HttpServer(routes, settings.http, HttpMetrics(registry), clock)
