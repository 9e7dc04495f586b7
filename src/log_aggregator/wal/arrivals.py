"""Records of the write-ahead logs as they are appended, for readers that do not want to ask again and again."""

from collections.abc import Iterable, Mapping
from typing import Any

from redis.asyncio import Redis

from log_aggregator.model.position import Position
from log_aggregator.wal.connection import text, translated
from log_aggregator.wal.names import Names

_FIELD = b"r"
_START = Position(0, 0)


class Arrivals:
    """Raises WalUnavailable."""

    def __init__(self, redis: Redis, names: Names) -> None:
        self._redis = redis
        self._names = names

    async def heads(self, wals: Iterable[str]) -> dict[str, Position | None]:
        """The newest record ever appended to each log, also where it was trimmed since."""
        wals = list(wals)
        if not wals:
            return {}
        with translated("read the heads of the logs"):
            heads = await self._redis.mget([self._names.head(wal) for wal in wals])
        return {wal: Position.parse(text(head)) if head else None for wal, head in zip(wals, heads, strict=True)}

    async def wait(
        self, cursors: Mapping[str, Position | None], count: int, seconds: float
    ) -> dict[str, list[tuple[Position, bytes]]]:
        """At most `count` records of each log behind its position, as soon as there is one; none after the time."""
        wals = {self._names.log(wal).encode(): wal for wal in cursors}
        streams: Any = {self._names.log(wal): str(position or _START) for wal, position in cursors.items()}
        with translated("wait for records"):
            answer: Any = await self._redis.xread(streams, count=count, block=max(1, int(seconds * 1000)))
        return {
            wals[name]: [(Position.parse(position.decode()), fields[_FIELD]) for position, fields in records]
            for name, records in answer
        }
