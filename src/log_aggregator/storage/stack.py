"""A store with its wrappers in their order."""

import sys
from random import Random

from log_aggregator.clock import Clock
from log_aggregator.processes import without_collections
from log_aggregator.storage.circuit import CircuitBreaker, CircuitPolicy
from log_aggregator.storage.filesystem import FilesystemSettings, open_filesystem_store
from log_aggregator.storage.metered import Metered, StoreMetrics
from log_aggregator.storage.retrying import Retrying, RetryPolicy
from log_aggregator.storage.s3_settings import BackoffSettings, S3Settings
from log_aggregator.storage.store import ObjectStore

_SECOND_NS = 1_000_000_000
# What the metrics call the directory of a filesystem store.
_FILESYSTEM_BUCKET = "filesystem"


async def open_store(settings: S3Settings | FilesystemSettings, metrics: StoreMetrics, clock: Clock) -> ObjectStore:
    """Metered on the outside, so that an operation counts once however often it was tried. Close it."""
    store: ObjectStore
    if isinstance(settings, FilesystemSettings):
        store = await open_filesystem_store(settings)
        return Metered(Retrying(store, RetryPolicy(), clock, Random()), _FILESYSTEM_BUCKET, metrics, clock)
    with without_collections():
        from log_aggregator.storage.s3 import open_s3_store  # its client takes a quarter of the time to start

    store = CircuitBreaker(await open_s3_store(settings), CircuitPolicy(), clock)
    policy = retry_policy(settings.backoff_config)
    return Metered(Retrying(store, policy, clock, Random()), settings.bucket, metrics, clock)


def retry_policy(settings: BackoffSettings) -> RetryPolicy:
    return RetryPolicy(
        min_pause_seconds=settings.min_period / _SECOND_NS,
        max_pause_seconds=settings.max_period / _SECOND_NS,
        max_attempts=settings.max_retries or sys.maxsize,
    )
