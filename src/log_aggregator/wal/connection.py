"""Redis connections, and the one place where Redis' exceptions become ours."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection, Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from log_aggregator.clock import timeout
from log_aggregator.wal.errors import Fenced, HeadMoved, InvalidRedisUrl, RecordsLost, WalFull, WalUnavailable
from log_aggregator.wal.topology import Topology, topology_of

# Every wait on Redis ends: the longest legitimate one is an fsync of a few megabytes on a busy disk.
_TIMEOUT_SECONDS = 10.0
_CONNECT_SECONDS = 3.0
_MAX_CONNECTIONS = 64
# What a server says that is no master, is none of our keys', or has lost its cluster.
_NO_MASTER = (
    exceptions.ReadOnlyError,
    exceptions.MovedError,
    exceptions.AskError,
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
)


def connect(url: str, prefix: str = "", *, timeout_seconds: float = _TIMEOUT_SECONDS) -> Redis:
    """A client for any `redis.url`. It never retries: only we know which commands may repeat.

    `prefix` is that of all keys, by which the master of a cluster is found. Raises InvalidRedisUrl.
    """
    try:
        return _client(url, prefix, timeout_seconds)
    except ValueError:  # whose message may hold a part of the password
        raise InvalidRedisUrl(
            "redis.url is none: it begins with redis://, rediss:// or unix://, and what is special in a password is "
            "written as in URLs (%40 for @)"
        ) from None


def _client(url: str, prefix: str, timeout_seconds: float) -> Redis:
    options: dict[str, Any] = {
        "timeout": timeout_seconds,
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": _CONNECT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        # With them, the pool no longer looks whether a connection was closed while nobody used it.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if (several := topology_of(url, prefix)) is None:
        pool = BlockingConnectionPool.from_url(url, max_connections=_MAX_CONNECTIONS, **options)
        pool.connection_class = type("Connection", (_Cancellable, pool.connection_class), {})
        return Redis.from_pool(pool)
    topology, own_options = several
    plain = own_options.pop("connection_class", Connection)
    return Redis.from_pool(
        BlockingConnectionPool(
            max_connections=_MAX_CONNECTIONS,
            connection_class=type("Connection", (_Following, _Cancellable, plain), {"topology": topology}),
            redis_connect_func=_connected_to_master,
            **options | own_options,
        )
    )


class _Cancellable(AbstractConnection):
    """Sends under a deadline of ours: the library's uses `wait_for`, which in Python 3.11 swallows a cancellation.

    A loop that is cancelled while it sends would then run on for ever.
    """

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        seconds, self.socket_timeout = self.socket_timeout, None
        try:
            async with timeout(seconds):
                await super().send_packed_command(command, check_health)
        finally:
            self.socket_timeout = seconds


class _Following(AbstractConnection):
    """Leads to the master of a topology, and is given up as soon as that is another."""

    topology: ClassVar[Topology]
    host: str
    port: int

    async def connect(self) -> None:
        if self.is_connected and (self.host, self.port) != await self.topology.master():
            await self.disconnect()
        await super().connect()  # type: ignore[no-untyped-call]

    async def _connect(self) -> None:
        self.host, self.port = await self.topology.master()
        try:
            await super()._connect()  # type: ignore[no-untyped-call,safe-super]
        except (OSError, TimeoutError):
            self.topology.doubt((self.host, self.port))
            raise

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)
        except _NO_MASTER as error:
            self.topology.doubt((self.host, self.port))
            await self.disconnect()
            raise exceptions.ConnectionError("the server asked is not the master") from error
        except (exceptions.ConnectionError, exceptions.TimeoutError):
            self.topology.doubt((self.host, self.port))
            raise


async def _connected_to_master(connection: Any) -> None:
    """Sentinels may be slow to hear of a failover, and a master to hear that it is none any more."""
    await connection.on_connect()
    await connection.send_command("ROLE", check_health=False)
    role, *_ = await connection.read_response()
    if text(role) != "master":
        connection.topology.doubt((connection.host, connection.port))
        raise exceptions.ConnectionError("the server asked is not the master")


Read = TypeVar("Read")


async def repeated(operation: str, read: Callable[[], Awaitable[Read]]) -> Read:
    """What may be asked twice is asked again once: a pooled connection may have died with a Redis that is back by now.

    Raises what `translated` raises.
    """
    try:
        with translated(operation):
            return await read()
    except WalUnavailable as error:
        if not isinstance(error.__cause__, exceptions.ConnectionError):
            raise  # whoever waited once for an answer does not wait again
        with translated(operation):
            return await read()


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
