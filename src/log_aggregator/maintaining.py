"""The commands that look at a store by themselves, beside or without a server."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from log_aggregator.clock import SystemClock
from log_aggregator.config.errors import ConfigError
from log_aggregator.config.sections import Config
from log_aggregator.services.rebuild import rebuild_indexes
from log_aggregator.services.verify import Finding, verify_store
from log_aggregator.storage.filesystem import FilesystemSettings
from log_aggregator.storage.metered import StoreMetrics
from log_aggregator.storage.s3_settings import S3Settings
from log_aggregator.storage.stack import open_store
from log_aggregator.storage.store import ObjectStore
from log_aggregator.wal.connection import connect
from log_aggregator.wal.log import WriteAheadLogs
from log_aggregator.wal.names import Names


async def verify(settings: S3Settings | FilesystemSettings) -> int:
    """The exit status."""
    async with _opened(settings) as store:
        report = await verify_store(store)
    _print(report.findings)
    print(
        f"{report.tenants} tenants, {report.indexes} index objects, {report.chunks} chunks, {report.entries} entries, "
        f"{report.stored_bytes} bytes: {'whole' if report.is_whole else 'damaged'}"
    )
    return 0 if report.is_whole else 1


async def rebuild_index(config: Config, settings: S3Settings | FilesystemSettings) -> int:
    """The exit status. Servers are told, if they share a Redis that the configuration names."""
    async with _opened(settings) as store:
        rebuilt = await rebuild_indexes(store)
    _print(rebuilt.findings)
    for key in rebuilt.written:
        print(f"wrote {key}")
    url = config.redis.url.get_secret_value()
    if rebuilt.written and url:
        redis = connect(url, config.redis.prefix)
        try:
            await WriteAheadLogs(redis, Names(config.redis.prefix)).forget_lists()
        finally:
            await redis.aclose()
    print(f"{len(rebuilt.written)} index objects written, {len(rebuilt.findings)} chunks could not be read")
    return 1 if rebuilt.findings else 0


@asynccontextmanager
async def _opened(settings: S3Settings | FilesystemSettings) -> AsyncIterator[ObjectStore]:
    """Raises ConfigError where no server has ever kept anything: there, everything would be whole."""
    if isinstance(settings, FilesystemSettings) and not settings.directory.is_dir():
        raise ConfigError(
            f"there is no directory {settings.directory.absolute()}: name the server's configuration with "
            "-config.file, or its data directory with -common.path-prefix"
        )
    store = await open_store(settings, StoreMetrics(CollectorRegistry()), SystemClock())
    try:
        yield store
    finally:
        await store.close()


def _print(findings: Iterable[Finding]) -> None:
    for finding in findings:
        print(f"{finding.severity}: {finding.key}: {finding.message}")
