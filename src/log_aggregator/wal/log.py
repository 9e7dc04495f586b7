"""The write-ahead logs in Redis: one stream for each running ingester, held under a lease with an epoch.

Whoever holds the lease appends and commits; every step checks the lease in Redis itself, so that a holder which was
paused past its lease changes nothing when it wakes. Anyone may read.
"""

import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError

from log_aggregator.formats.keys import IndexKey, period_name
from log_aggregator.model.position import Position
from log_aggregator.wal import scripts
from log_aggregator.wal.connection import repeated, text, translated
from log_aggregator.wal.errors import WalUnavailable
from log_aggregator.wal.names import Names

DEFAULT_LEASE_SECONDS = 15.0
_FIELD = b"r"
_START = Position(0, 0)
_SCAN_COUNT = 1000
# A process that is paused for longer than this forgets what it had buffered.
_HEAD_KEPT_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to append to and commit one log, until Redis forgets it."""

    wal: str
    epoch: int
    holder: str

    @property
    def value(self) -> str:
        return f"{self.epoch}:{self.holder}"


@dataclass(frozen=True, slots=True)
class Replication:
    """How many replicas of Redis must have an append, and how long they are waited for."""

    replicas: int
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class LogState:
    """One log as every replica sees it. `trimmed` is the last position that a commit has removed."""

    wal: str
    trimmed: Position | None


class WriteAheadLogs:
    """All the logs of one installation. Methods raise WalUnavailable; those that write also WalFull and Fenced."""

    def __init__(
        self,
        redis: Redis,
        names: Names,
        *,
        lease_seconds: float = DEFAULT_LEASE_SECONDS,
        replication: Replication | None = None,
    ) -> None:
        self._redis = redis
        self._names = names
        self._replication = replication
        self._lease_ms = int(lease_seconds * 1000)
        self.lease_seconds = lease_seconds
        self._open = redis.register_script(scripts.OPEN)
        self._claim = redis.register_script(scripts.CLAIM)
        self._renew = redis.register_script(scripts.RENEW)
        self._append = redis.register_script(scripts.APPEND)
        self._commit = redis.register_script(scripts.COMMIT)
        self._release = redis.register_script(scripts.RELEASE)
        self._request_flush = redis.register_script(scripts.REQUEST_FLUSH)

    async def open(self, holder: str) -> Lease:
        """A new, empty log."""
        lease = Lease(secrets.token_hex(8), 1, holder)
        keys = [self._names.epochs, self._names.lease(lease.wal)]
        await self._run("open", self._open, keys, [lease.wal, lease.value, self._lease_ms])
        return lease

    async def claim(self, wal: str, holder: str) -> Lease | None:
        """The lease of an existing log under its next epoch; None while somebody holds it, or when it is gone."""
        keys = [self._names.epochs, self._names.lease(wal)]
        epoch = await self._run("claim", self._claim, keys, [wal, holder, self._lease_ms])
        return Lease(wal, epoch, holder) if epoch else None

    async def renew(self, lease: Lease) -> Position | None:
        """Prolongs the lease; tells the log's head as `head` does."""
        keys = [self._names.lease(lease.wal), self._names.head(lease.wal)]
        return _position(await self._run("renew", self._renew, keys, [lease.value, self._lease_ms]))

    async def append(self, lease: Lease, head: Position | None, records: Sequence[bytes]) -> list[Position]:
        """All of the records or none. After WalUnavailable they may have been appended, or still be, nevertheless.

        `head` is the newest record that the holder knows: HeadMoved is raised unless it is the log's newest.
        """
        keys = [self._names.lease(lease.wal), self._names.log(lease.wal), self._names.head(lease.wal)]
        values = [lease.value, str(head or ""), *records]
        if self._replication is None:
            positions = await self._run("append", self._append, keys, values)
        else:
            positions = await self._append_replicated(self._replication, keys, values)
        return [Position.parse(position.decode()) for position in positions]

    async def commit(self, lease: Lease, first: Position, last: Position, indexes: Sequence[IndexKey]) -> None:
        """In one step: index objects join the lists, and records up to `last` leave the log.

        `first` is the oldest record that the holder knows of: RecordsLost is raised if the log has an older one.
        """
        names = self._names
        keys = [names.lease(lease.wal), names.log(lease.wal), names.trimmed]
        values: list[str] = [lease.value, lease.wal, str(first), str(last), str(last.next())]
        for index in indexes:
            period = period_name(index.period_start_ns)
            keys += [names.index_list(index.tenant, period), names.period_list(index.tenant)]
            values += [index.key, period]
        await self._run("commit", self._commit, keys, values)

    async def release(self, lease: Lease) -> None:
        """Gives the log up: an empty one vanishes, another is free to be claimed at once."""
        names = self._names
        keys = [names.epochs, names.lease(lease.wal), names.log(lease.wal), names.trimmed, names.head(lease.wal)]
        await self._run("release", self._release, keys, [lease.wal, lease.value, _HEAD_KEPT_MS])

    async def head(self, wal: str) -> Position | None:
        """The newest record ever appended, also when it was trimmed since, and for a day after the log has vanished."""
        return (await self.heads([wal]))[wal]

    async def heads(self, wals: Collection[str]) -> dict[str, Position | None]:
        """The head of each log."""
        if not wals:
            return {}
        with translated("read the heads of logs"):
            heads = await self._redis.mget([self._names.head(wal) for wal in wals])
        return {wal: _position(head) for wal, head in zip(wals, heads, strict=True)}

    async def states(self) -> list[LogState]:
        states, _ = await self.news([], 0)
        return states

    async def news(
        self, cursors: Sequence[tuple[str, Position | None]], count: int
    ) -> tuple[list[LogState], list[list[tuple[Position, bytes]]]]:
        """The states of all logs, and after them what `read` tells of some, in one round trip."""

        async def read() -> list[Any]:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hgetall(self._names.epochs)
                pipe.hgetall(self._names.trimmed)
                self._range(pipe, cursors, count)
                return await pipe.execute()

        epochs, trimmed, *answers = await repeated("list logs", read)
        states = [
            LogState(wal.decode(), Position.parse(trimmed[wal].decode()) if wal in trimmed else None) for wal in epochs
        ]
        return states, list(map(_records, answers))

    async def holders(self) -> dict[str, str | None]:
        """Who holds each log."""
        wals = [state.wal for state in await self.states()]
        if not wals:
            return {}
        with translated("list leases"):
            values = await self._redis.mget([self._names.lease(wal) for wal in wals])
        return {wal: text(value).partition(":")[2] if value else None for wal, value in zip(wals, values, strict=True)}

    async def read(
        self, cursors: Sequence[tuple[str, Position | None]], count: int
    ) -> list[list[tuple[Position, bytes]]]:
        """For each (log, position), at most `count` records after the position, or from the start where it is None."""

        async def read() -> list[Any]:
            async with self._redis.pipeline(transaction=False) as pipe:
                self._range(pipe, cursors, count)
                return await pipe.execute()

        return list(map(_records, await repeated("read logs", read)))

    async def wait(
        self, cursors: Mapping[str, Position | None], count: int, seconds: float
    ) -> dict[str, list[tuple[Position, bytes]]]:
        """What `read` tells of each log that has records, as soon as one has some; nothing after the time."""
        wals = {self._names.log(wal).encode(): wal for wal in cursors}
        streams: Any = {self._names.log(wal): str(after or _START) for wal, after in cursors.items()}
        with translated("wait for records"):
            answer: Any = await self._redis.xread(streams, count=count, block=max(1, int(seconds * 1000)))
        return {wals[name]: _records(records) for name, records in answer}

    async def forget_lists(self) -> None:
        """Makes readers list the store anew: for when Redis came back with an older state."""
        names = [name for pattern in self._names.list_patterns async for name in self._scan(pattern)]
        if names:
            with translated("forget the lists"):
                await self._redis.unlink(*names)

    async def may_be_evicted(self) -> bool:
        """Whether Redis removes logs, with all that they hold, when its memory is full."""
        with translated("read the settings of Redis"):
            memory = await self._redis.info("memory")
        return str(memory.get("maxmemory_policy", "")).startswith("allkeys-")

    async def request_flush(self) -> None:
        """Asks every ingester to flush soon."""
        await self._run("request a flush", self._request_flush, [self._names.flush_requests], [])

    async def flush_requests(self) -> int:
        """How often a flush has been requested."""
        with translated("read flush requests"):
            return int(await self._redis.get(self._names.flush_requests) or 0)

    def _range(self, pipe: Pipeline, cursors: Sequence[tuple[str, Position | None]], count: int) -> None:
        for wal, after in cursors:
            pipe.xrange(self._names.log(wal), min=f"({after}" if after else "-", count=count)

    async def _scan(self, pattern: str) -> AsyncIterator[bytes]:
        with translated("scan the lists"):
            async for name in self._redis.scan_iter(pattern, count=_SCAN_COUNT):
                yield name

    async def _append_replicated(self, replication: Replication, keys: Sequence[str], values: Sequence[Any]) -> Any:
        """WAIT counts the replicas that have what came before it on its own connection."""

        async def run(command: str, script: str) -> tuple[Any, Any]:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.execute_command(command, script, len(keys), *keys, *values)
                pipe.execute_command("WAIT", replication.replicas, replication.timeout_ms)
                answer, count = await pipe.execute(raise_on_error=False)
                return answer, count

        with translated("append"):
            answer, count = await run("EVALSHA", self._append.sha)
            if isinstance(answer, NoScriptError):
                answer, count = await run("EVAL", scripts.APPEND)
            for failure in (answer, count):
                if isinstance(failure, Exception):
                    raise failure
        if count < replication.replicas:
            raise WalUnavailable(
                f"append: {count} replicas of Redis have it, and redis.wait_replicas asks for {replication.replicas}"
            )
        return answer

    async def _run(self, operation: str, script: AsyncScript, keys: Sequence[str], args: Sequence[Any]) -> Any:
        with translated(operation):
            return await script(keys=keys, args=args)


def _records(answer: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> list[tuple[Position, bytes]]:
    return [(Position.parse(position.decode()), fields[_FIELD]) for position, fields in answer]


def _position(value: bytes | str | None) -> Position | None:
    return Position.parse(text(value)) if value else None
