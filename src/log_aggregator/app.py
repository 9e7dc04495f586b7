"""The composition root: everything is created here, top to bottom, and ended in reverse."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry

from log_aggregator.clock import Clock, SystemClock, timeout
from log_aggregator.config.effective import config_yaml
from log_aggregator.config.errors import ConfigError
from log_aggregator.config.files import Configuration
from log_aggregator.config.roles import Role
from log_aggregator.config.runtime import TenantLimits
from log_aggregator.config.sections import Config
from log_aggregator.config.stores import index_period_ns
from log_aggregator.errors import LogAggregatorError, first_of
from log_aggregator.http.access import Access
from log_aggregator.http.auth import Credentials
from log_aggregator.http.bucket_rules import BucketRuleRoutes
from log_aggregator.http.delete import DeleteRoutes
from log_aggregator.http.detected import DetectedRoutes
from log_aggregator.http.export import ExportRoutes
from log_aggregator.http.format_query import FormatQueryRoutes
from log_aggregator.http.index import IndexRoutes
from log_aggregator.http.labels import LabelRoutes
from log_aggregator.http.legacy import LegacyQueryRoutes
from log_aggregator.http.limits_pages import LimitsRoutes
from log_aggregator.http.log_level import LogLevelRoutes
from log_aggregator.http.metrics import HttpMetrics, show_process
from log_aggregator.http.openapi import OpenApiRoutes
from log_aggregator.http.otlp import OtlpRoutes
from log_aggregator.http.patterns import PatternRoutes
from log_aggregator.http.push import PushRoutes
from log_aggregator.http.query import QueryRoutes
from log_aggregator.http.query_headers import CallLimits
from log_aggregator.http.query_log import QueryLog
from log_aggregator.http.rings import RingRoutes
from log_aggregator.http.rules import RulesRoutes
from log_aggregator.http.server import HttpServer, HttpSettings, Route
from log_aggregator.http.shutdown import ShutdownRoutes
from log_aggregator.http.status import StatusRoutes
from log_aggregator.http.tail import TailRoutes
from log_aggregator.http.tls import server_tls
from log_aggregator.model.limits import Limits
from log_aggregator.model.otlp import OtlpSettings
from log_aggregator.processes import pass_over_present_objects, return_freed_memory, usable_memory_bytes
from log_aggregator.services.admission import Admission
from log_aggregator.services.bucket_expiry import BucketExpiry
from log_aggregator.services.catalog import IndexCatalog
from log_aggregator.services.compactor import Compactor
from log_aggregator.services.decoding import Decoding
from log_aggregator.services.deletion import DeletionMetrics, Deletions, Hidden
from log_aggregator.services.detection import Detection
from log_aggregator.services.distributor import Distributor, DistributorMetrics
from log_aggregator.services.erasure import ErasureMetrics, Erasures
from log_aggregator.services.export import Exports
from log_aggregator.services.extents import StreamExtents
from log_aggregator.services.fan_out import FanOut
from log_aggregator.services.fan_out_metrics import FanOutMetrics
from log_aggregator.services.flush import Flusher
from log_aggregator.services.flushed_records import FlushedRecords
from log_aggregator.services.follower import Follower
from log_aggregator.services.forced_flush import ForcedFlush
from log_aggregator.services.index_period import AWAY, OnePeriod, PeriodDiffers
from log_aggregator.services.ingester import FlushPolicy, Ingester
from log_aggregator.services.janitor import Janitor
from log_aggregator.services.live_tail import LiveTailMetrics, LiveTails
from log_aggregator.services.log_query import LogQueries
from log_aggregator.services.maintenance import Maintenance, MaintenanceMetrics
from log_aggregator.services.memory import MemoryShares
from log_aggregator.services.metric_query import MetricQueries
from log_aggregator.services.patterns import PatternQueries
from log_aggregator.services.queries import Queries
from log_aggregator.services.quotas import Quotas
from log_aggregator.services.readiness import Readiness
from log_aggregator.services.results_cache import ResultsCache, ResultsCacheMetrics
from log_aggregator.services.room import Room
from log_aggregator.services.row_groups import RowGroups
from log_aggregator.services.scan import Scanner
from log_aggregator.services.series_query import SeriesQueries
from log_aggregator.services.skip_filters import SkipFilterMetrics, SkipFilters
from log_aggregator.services.tail import Tail
from log_aggregator.services.takeover import Takeover
from log_aggregator.services.tenants_scanner import TenantsScanner
from log_aggregator.services.tenants_series import TenantsSeries
from log_aggregator.services.worker import Worker
from log_aggregator.services.write_metrics import WriteMetrics
from log_aggregator.storage.expiry import ExpiryRules
from log_aggregator.storage.filesystem import FilesystemSettings
from log_aggregator.storage.metered import StoreMetrics
from log_aggregator.storage.s3_settings import S3Settings
from log_aggregator.storage.stack import open_store
from log_aggregator.storage.store import ObjectStore
from log_aggregator.wal.connection import connect
from log_aggregator.wal.index_list import IndexList
from log_aggregator.wal.leadership import Leadership
from log_aggregator.wal.log import Replication, WriteAheadLogs
from log_aggregator.wal.marks import Marks
from log_aggregator.wal.names import Names
from log_aggregator.wal.result_slots import ResultSlots
from log_aggregator.wal.work_queue import WorkQueue

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
# Alloy and Promtail give up a push after ten.
_MAX_WAIT_SECONDS = 5.0
_SECOND_NS = 1_000_000_000
# A store that takes longer to answer is used once it does, as one that is away.
_FIRST_CHECK_SECONDS = 5.0
# Row groups that two chunks of a compaction share are read for both.
_COMPACTION_CACHE_BYTES = 32 << 20
_KEEPING = Limits(retention_period=0, retention_stream=(), deletion_mode="disabled")


class Server:
    """One replica: a process's worth of the log aggregator. `config.redis.url` is set.

    Where it is not `strict`, unknown keys of runtime files are warned of and not refused.
    `shown` is the registry that /metrics shows, which differs from `registry` where processes are added up.
    """

    def __init__(
        self,
        config: Config,
        store: ObjectStore,
        registry: CollectorRegistry,
        clock: Clock,
        *,
        strict: bool,
        lifecycle: ExpiryRules | None = None,
        shown: CollectorRegistry | None = None,
    ) -> None:
        holder = f"{socket.gethostname()}:{os.getpid()}"
        names = Names(config.redis.prefix)
        period_ns = index_period_ns(config)
        memory = MemoryShares.of(usable_memory_bytes() // max(config.workers, 1))
        policy = _flush_policy(config, memory)
        roles = Role.of_target(config.target)

        self._clock = clock
        self._deadline_seconds = config.server.graceful_shutdown_timeout / _SECOND_NS
        self._redis = connect(config.redis.url.get_secret_value(), config.redis.prefix)
        self._logs = WriteAheadLogs(
            self._redis, names, lease_seconds=config.redis.lease_seconds, replication=_replication(config)
        )
        limits = TenantLimits(config.limits_config, config.runtime_config, clock, registry, strict=strict)
        catalog = IndexCatalog(store, IndexList(self._redis, names), period_ns, memory.indexes)
        tail = Tail(self._logs, memory.records, memory.blocks)
        patterns = config.pattern_ingester.enabled
        flusher = Flusher(store, catalog, self._logs, period_ns, mines_patterns=patterns)
        write_metrics = WriteMetrics(registry)
        self._ingester = Ingester(self._logs, flusher, tail, policy, clock, write_metrics, holder)
        takeover = Takeover(self._logs, flusher, clock, write_metrics, holder)
        quotas = Quotas(self._redis, names, clock, policy.chunk_idle_period_ns, holder, memory.streams)
        distributor = Distributor(
            Decoding(config.distributor.max_decompressed_size, memory.decoding),
            self._ingester,
            quotas,
            limits,
            clock,
            DistributorMetrics(registry),
            config.ingester.max_returned_stream_errors,
        )
        kept = limits if config.compactor.retention_enabled else _everything_kept
        deletions = Deletions(
            store,
            Marks(self._redis, names),
            kept,
            clock,
            DeletionMetrics(registry),
            config.compactor.delete_request_cancel_period,
        )
        hidden = Hidden(deletions, kept, clock)
        self.scanner = TenantsScanner(
            RowGroups(store, catalog, memory.columns),
            catalog,
            tail,
            period_ns,
            hidden,
            SkipFilters(store, SkipFilterMetrics(registry), memory.skip_filters),
            memory.layouts,
        )
        extents = StreamExtents(self.scanner, catalog, period_ns, limits, memory.extents)
        work, sharing = WorkQueue(self._redis, names, holder), FanOutMetrics(registry)
        query_bytes = memory.queries // config.querier.max_concurrent
        logs = LogQueries(self.scanner, memory_bytes=query_bytes)
        admission = Admission(config.querier.max_concurrent, config.frontend.max_outstanding_per_tenant)
        results = None
        if config.query_range.cache_results:
            slots, cache_metrics = ResultSlots(self._redis, names), ResultsCacheMetrics(registry)
            results = ResultsCache(self.scanner, slots, limits, clock, cache_metrics, period_ns)
        queries = Queries(
            logs,
            MetricQueries(
                self.scanner,
                FanOut(work, sharing, config.querier.fan_out_row_groups),
                results,
                memory_bytes=query_bytes,
            ),
            extents,
            admission,
            limits,
            clock,
            allow_instant_logs=config.querier.allow_instant_log_queries,
        )
        exports = Exports(logs, admission, limits, clock)
        several_tenants = config.querier.multi_tenant_queries_enabled
        series = TenantsSeries(SeriesQueries(extents, period_ns), several_tenants=several_tenants)
        query_log = QueryLog(registry, config.frontend.log_queries_longer_than / _SECOND_NS)
        call_limits = CallLimits(limits, config.querier.per_request_limits_enabled)
        follower = Follower(self._logs, FlushedRecords(self.scanner, clock), clock)
        tails = LiveTails(
            follower, self.scanner, limits, clock, LiveTailMetrics(registry), config.querier.tail_max_duration
        )
        leadership = Leadership(self._redis, names, holder, lease_seconds=config.redis.lease_seconds)
        # Of its own, so that what is read once does not displace what queries read again and again.
        merged = Scanner(RowGroups(store, catalog, _COMPACTION_CACHE_BYTES), catalog, tail, period_ns)
        compactor = Compactor(
            store, catalog, merged, period_ns, leadership.renew, memory.merged, mines_patterns=patterns
        )
        maintenance = Maintenance(
            store,
            catalog,
            leadership,
            compactor,
            Janitor(store, catalog, config.compactor.retention_delete_delay, period_ns),
            Erasures(compactor, catalog, deletions, hidden, self._logs, clock, ErasureMetrics(registry), period_ns),
            clock,
            MaintenanceMetrics(registry),
            config.compactor.compaction_interval,
            BucketExpiry(lifecycle, kept) if lifecycle is not None else None,
        )
        tls = server_tls(config.server.http_tls_config, config.server.tls_min_version, clock)
        credentials = Credentials(config.auth, os.environ, clock)
        self._readiness = Readiness(self._logs, store, clock)
        flush = ForcedFlush(self._logs, takeover, clock)

        self._loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            name: loop
            for name, needed, loop in (
                ("ingester", Role.WRITE, self._ingest),
                ("takeover", Role.WRITE | Role.BACKEND, takeover.run),
                ("runtime-config", Role.ALL, limits.run),
                *([("certificates", Role.ALL, tls.run)] if tls is not None else ()),
                ("credentials", Role.ALL if config.auth.is_configured else Role(0), credentials.run),
                ("follower", Role.READ, follower.run),
                ("worker", Role.READ, Worker(work, self.scanner, admission, clock, sharing, query_bytes).run),
                ("compactor", Role.BACKEND, maintenance.run),
            )
            if needed & roles
        }

        index_labels = config.distributor.otlp_config.default_resource_attributes_as_index_labels

        def otlp_of(tenant: str) -> OtlpSettings:
            return limits(tenant).otlp_config

        services = dict.fromkeys(("server", *self._loops), "Running")
        routes: list[Route] = [
            route
            for needed, part in (
                (Role.ALL, StatusRoutes(shown or registry, partial(config_yaml, config), services, self._ready, flush)),
                (Role.ALL, LimitsRoutes(limits, patterns)),
                (Role.ALL, LogLevelRoutes()),
                (Role.ALL, RingRoutes(self._logs)),
                (Role.ALL, RulesRoutes()),
                (Role.BACKEND, BucketRuleRoutes(lifecycle)),
                (Role.ALL, ShutdownRoutes(flush, _terminate)),
                (
                    Role.READ,
                    QueryRoutes(queries, query_log, clock, call_limits, config.frontend.support_parquet_encoding),
                ),
                (Role.READ, ExportRoutes(exports, clock, call_limits)),
                (Role.READ, LegacyQueryRoutes(queries, clock, call_limits)),
                (Role.READ, DetectedRoutes(Detection(queries, extents, period_ns), call_limits, clock)),
                (Role.READ if patterns else Role(0), PatternRoutes(PatternQueries(self.scanner), call_limits, clock)),
                (Role.READ, FormatQueryRoutes()),
                (Role.READ, LabelRoutes(series, call_limits, clock)),
                (Role.READ, IndexRoutes(extents, call_limits, clock)),
                (Role.WRITE, PushRoutes(distributor)),
                (Role.WRITE, OtlpRoutes(distributor, clock, otlp_of, index_labels)),
            )
            if needed & roles
            for route in part.routes()
        ]
        if config.compactor.retention_enabled:
            routes += DeleteRoutes(deletions, clock, config.compactor.delete_max_interval).routes()
        access = Access(credentials, config.auth.open) if config.auth.is_configured else None
        sockets = TailRoutes(tails, clock).routes() if Role.READ & roles else ()
        routes += OpenApiRoutes(tuple(routes), sockets, config.server.http_path_prefix).routes()
        self._http = HttpServer(
            routes, sockets, _http_settings(config, memory), HttpMetrics(registry), clock, access, tls
        )

    async def run(self, listening: socket.socket, stop: asyncio.Event) -> None:
        """Serves until `stop` is set or this is cancelled; then drains, and flushes or hands over the log."""
        try:
            async with asyncio.TaskGroup() as group:
                loops = [group.create_task(loop(), name=name) for name, loop in self._loops.items()]
                await self._http.start(listening)
                logger.info("listening", extra={"address": listening.getsockname()[:2]})
                try:
                    await stop.wait()
                finally:
                    logger.info("shutting down")
                    await self._http.drain(self._deadline_seconds / 2)
                    for loop in loops:
                        loop.cancel()
        finally:
            await self._ingester.stop(self._deadline_seconds / 2)
            await self._redis.aclose()

    async def _ingest(self) -> None:
        """Opens a log as soon as Redis allows, then ingests."""
        while self._ingester.wal is None:
            try:
                await self._ingester.start()
            except LogAggregatorError as error:
                logger.warning("cannot open a write-ahead log, will try again", extra={"error": str(error)})
                await self._clock.sleep(_RETRY_SECONDS)
        with suppress(LogAggregatorError):  # not every user of Redis may ask
            if await self._logs.may_be_evicted():
                logger.warning("Redis may evict logs, and entries with them: set its maxmemory-policy to noeviction")
        await self._ingester.run()

    async def _ready(self) -> str | None:
        if "ingester" in self._loops and self._ingester.wal is None:
            return "not ready: the write-ahead log is not open yet"
        return await self._readiness()


async def serve(
    configuration: Configuration,
    store_settings: S3Settings | FilesystemSettings,
    listening: socket.socket,
    stop: asyncio.Event,
    *,
    shown: CollectorRegistry | None = None,
) -> None:
    """A replica with its store, until `stop` is set. Raises the store's errors, groups of them and of ConfigError."""
    return_freed_memory()
    config, clock, registry = configuration.config, SystemClock(), CollectorRegistry()
    show_process(registry)
    store = OnePeriod(await open_store(store_settings, StoreMetrics(registry), clock), index_period_ns(config))
    try:
        with suppress(TimeoutError, *AWAY):  # then it is checked before the store is used
            async with timeout(_FIRST_CHECK_SECONDS):
                await store.check()
        lifecycle = None
        if isinstance(store_settings, S3Settings):
            from log_aggregator.storage.lifecycle import BucketLifecycle  # as the store's client

            lifecycle = BucketLifecycle(store_settings)
        server = Server(config, store, registry, clock, strict=configuration.strict, lifecycle=lifecycle, shown=shown)
        pass_over_present_objects()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(store.watch(clock), name="index-period")
            await server.run(listening, stop)
            watching.cancel()
    except* PeriodDiffers as differing:
        raise ConfigError(f"{configuration.schema_key}.{first_of(differing)}") from None
    finally:
        await store.close()


def _everything_kept(_: str) -> Limits:
    """Without `compactor.retention_enabled`, nothing expires and nothing can be deleted."""
    return _KEEPING


def _terminate() -> None:
    """The process ends as it does when an operator stops it."""
    signal.raise_signal(signal.SIGTERM)


def _flush_policy(config: Config, memory: MemoryShares) -> FlushPolicy:
    ingester = config.ingester
    return FlushPolicy(
        chunk_idle_period_ns=ingester.chunk_idle_period,
        max_chunk_age_ns=ingester.max_chunk_age,
        chunk_target_bytes=ingester.chunk_target_size,
        max_buffer_bytes=ingester.max_buffer_bytes or memory.buffer,
        max_wait_seconds=_MAX_WAIT_SECONDS,
    )


def _replication(config: Config) -> Replication | None:
    redis = config.redis
    return Replication(redis.wait_replicas, redis.wait_timeout // 1_000_000) if redis.wait_replicas else None


def _http_settings(config: Config, memory: MemoryShares) -> HttpSettings:
    server = config.server
    return HttpSettings(
        # A larger one would be told to come again for ever.
        max_body_bytes=min(config.distributor.max_recv_msg_size, Room(memory.bodies).largest_bytes),
        read_timeout_seconds=server.http_server_read_timeout / _SECOND_NS,
        write_timeout_seconds=server.http_server_write_timeout / _SECOND_NS,
        idle_timeout_seconds=server.http_server_idle_timeout / _SECOND_NS,
        path_prefix=server.http_path_prefix,
        max_connections=server.http_listen_conn_limit,
        auth_enabled=config.auth_enabled,
        no_auth_tenant=config.no_auth_tenant,
        several_tenants=config.querier.multi_tenant_queries_enabled,
        partial_results=config.querier.partial_results,
        held_body_bytes=memory.bodies,
    )
