"""Redis connections, and the one place where Redis' exceptions become ours."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from log_aggregator.wal.errors import Fenced, HeadMoved, RecordsLost, WalFull, WalUnavailable

# Every wait on Redis ends: the longest legitimate one is an fsync of a few megabytes on a busy disk.
_TIMEOUT_SECONDS = 10.0
_CONNECT_SECONDS = 3.0
_MAX_CONNECTIONS = 64


def connect(url: str, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> Redis:
    """A client for `redis://`, `rediss://` or `unix://`. It never retries: only we know which commands may repeat."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_MAX_CONNECTIONS,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=_CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        retry_on_timeout=False,
    )
    pool.connection_class = type("Connection", (_Cancellable, pool.connection_class), {})
    return Redis.from_pool(pool)


class _Cancellable(AbstractConnection):
    """Sends under a deadline of ours: the library's uses `wait_for`, which in Python 3.11 swallows a cancellation.

    A loop that is cancelled while it sends would then run on for ever.
    """

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        seconds, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(seconds):
                await super().send_packed_command(command, check_health)
        finally:
            self.socket_timeout = seconds


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """Redis' exceptions as ours; `operation` names what was tried."""
    try:
        yield
    except exceptions.ResponseError as error:
        text = str(error)
        if "FENCED" in text:
            raise Fenced(f"{operation}: the lease is no longer ours") from error
        if "RECORDS_LOST" in text:
            raise RecordsLost(f"{operation}: Redis has lost what it had confirmed") from error
        if "UNKNOWN_HEAD" in text:
            raise HeadMoved(f"{operation}: the log holds other records than its holder knows") from error
        if isinstance(error, exceptions.OutOfMemoryError) or "OOM" in text:
            raise WalFull(f"{operation}: Redis is out of memory") from error
        raise WalUnavailable(f"{operation}: Redis answered: {text}") from error
    except (exceptions.RedisError, OSError, TimeoutError) as error:
        raise WalUnavailable(f"{operation}: Redis is not reachable: {type(error).__name__}: {error}") from error


def text(value: bytes | str) -> str:
    """An answer as text; the client types it as either, and gives bytes."""
    return value if isinstance(value, str) else value.decode()
