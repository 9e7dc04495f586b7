"""Results of queries in Redis, in a fixed number of slots: their size is bounded, and the new replaces the old.

Which slot a result has follows from its digest. Whoever reads a slot finds out whether it holds the result that was
meant (`formats/cached_result.py`). Losing everything here costs work, never an answer.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from redis.asyncio import Redis

from log_aggregator.wal.connection import translated
from log_aggregator.wal.names import Names

SLOTS: Final = 4096
# Together, results take at most 64 MB: Redis evicts nothing, and keeps its memory for the logs.
MAX_RESULT_BYTES: Final = 16 << 10
_EXPIRE_SECONDS: Final = 24 * 3600


class ResultSlots:
    """Raises WalUnavailable, and where it writes, WalFull."""

    def __init__(self, redis: Redis, names: Names) -> None:
        self._redis = redis
        self._names = names

    async def get(self, digests: Sequence[bytes]) -> list[bytes | None]:
        """What is in the slot of each digest."""
        with translated("read cached results"):
            found = await self._redis.mget([self._slot(digest) for digest in digests])
        return [data if isinstance(data, bytes) else None for data in found]

    async def put(self, results: Mapping[bytes, bytes]) -> None:
        """By digest. Those that are too large are left out."""
        small = {digest: data for digest, data in results.items() if len(data) <= MAX_RESULT_BYTES}
        with translated("cache results"):
            async with self._redis.pipeline(transaction=False) as pipe:
                for digest, data in small.items():
                    pipe.set(self._slot(digest), data, ex=_EXPIRE_SECONDS)
                await pipe.execute()

    def _slot(self, digest: bytes) -> str:
        return self._names.result(int.from_bytes(digest, "little") % SLOTS)
