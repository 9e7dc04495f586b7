"""That all who use a store divide its logs into the same index periods.

Where an entry lies follows from the period, so with another one a query looks for it elsewhere, and retention takes a
directory for over that is not. The period is an object at the root of the store, put before the first object that lies
in the directory of a period, on the condition that there is none. Who opens a store with another period is refused.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import ClassVar, Final

from log_aggregator.clock import Clock
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.formats.index_period import decode_index_period, encode_index_period
from log_aggregator.formats.keys import (
    INDEX_PERIOD_KEY,
    UnknownKey,
    index_prefix,
    is_of_period,
    parse_index_key,
    parse_period,
)
from log_aggregator.model.quantity import format_duration
from log_aggregator.storage.errors import (
    ObjectExists,
    ObjectNotFound,
    StorePermissionDenied,
    StoreRefused,
    StoreUnavailable,
)
from log_aggregator.storage.store import ByteRange, ObjectMeta, ObjectStore

logger = logging.getLogger(__name__)

AWAY = (StoreUnavailable, StorePermissionDenied, StoreRefused)
"""What a store that does not answer now raises, which is no reason not to start."""
_LOOK_EVERY_SECONDS: Final = 10.0
# The logs of all tenants were written alike, and whoever starts waits for this.
_TENANTS_LOOKED_AT: Final = 10
_PERIODS_LOOKED_INTO: Final = 2
_MINUTE_NS: Final = 60 * 1_000_000_000
_HOUR_NS: Final = 60 * _MINUTE_NS
_HOW: Final = ": set it to what these logs were written with, or use another store"


class PeriodDiffers(LogAggregatorError):
    """The store holds logs of another index period than the configured one. The message begins with `index.period`."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE
    public: ClassVar[str] = "the object store was written with another configuration than this server's"


class OnePeriod:
    """A store from which nothing is read, and to which nothing is written, before it is known that the period fits.

    Every method may raise PeriodDiffers, CorruptData and UnknownVersion too. Once the period is recorded there, it is
    not looked at again.
    """

    def __init__(self, store: ObjectStore, period_ns: int) -> None:
        self._store = store
        self._period_ns = period_ns
        self._fits = False
        self._is_recorded = False

    async def check(self) -> bool:
        """Whether the store has the period recorded. Raises PeriodDiffers, CorruptData, the store's errors."""
        try:
            recorded_ns = decode_index_period(await self._store.get(INDEX_PERIOD_KEY))
        except ObjectNotFound:
            if not self._fits:
                await self._compare_names()
                self._fits = True
            return False
        self._fits = self._is_recorded = recorded_ns == self._period_ns
        if not self._fits:
            recorded = _text(recorded_ns)
            raise PeriodDiffers(
                f"{self._own}, but the logs in the store were written with {recorded}: set it to {recorded}, or use "
                "another store"
            )
        return True

    async def watch(self, clock: Clock) -> None:
        """Until the period is recorded, by whomever. Raises PeriodDiffers, CorruptData, UnknownVersion."""
        while True:
            try:
                if await self.check():
                    return
            except AWAY as error:
                logger.warning("the index period cannot be checked, will try again", extra={"error": str(error)})
            await clock.sleep(_LOOK_EVERY_SECONDS)

    async def get(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        await self._checked()
        return await self._store.get(key, byte_range)

    async def head(self, key: str) -> ObjectMeta:
        await self._checked()
        return await self._store.head(key)

    async def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        await self._checked()
        if not self._is_recorded and is_of_period(key):
            await self._record()
        await self._store.put(key, data, if_absent=if_absent)

    async def delete(self, keys: Sequence[str]) -> None:
        await self._checked()
        await self._store.delete(keys)

    async def list_prefixes(self, prefix: str) -> Sequence[str]:
        await self._checked()
        return await self._store.list_prefixes(prefix)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectMeta]:
        await self._checked()
        async for meta in self._store.list(prefix, after=after):
            yield meta

    async def close(self) -> None:
        await self._store.close()

    async def _checked(self) -> None:
        if not self._fits:
            await self.check()

    async def _record(self) -> None:
        """Of several who do so at once, one wins, and the others find what it has put."""
        # Also where the server ignores the condition: there, only a pause between this look and the put is left.
        if await self.check():
            return
        data = encode_index_period(self._period_ns)
        with suppress(ObjectExists):
            try:
                await self._store.put(INDEX_PERIOD_KEY, data, if_absent=True)
            except StoreRefused:
                await self._store.put(INDEX_PERIOD_KEY, data)  # a server that does not know the condition
        await self.check()

    async def _compare_names(self) -> None:
        """That names of logs which were written before periods were recorded do not prove another one."""
        for tenant in (await self._store.list_prefixes(""))[:_TENANTS_LOOKED_AT]:
            prefixes = await self._store.list_prefixes(index_prefix(tenant.rstrip("/")))
            for prefix in prefixes:
                if self._is_misplaced(prefix):
                    raise PeriodDiffers(f"{self._own}, but no such period begins where {prefix} does{_HOW}")
            # What was flushed lately tells by its name how long it is, as it has not been compacted yet.
            for prefix in prefixes[-_PERIODS_LOOKED_INTO:]:
                async for meta in self._store.list(prefix):
                    if self._is_too_long(meta.key):
                        raise PeriodDiffers(f"{self._own}, but {meta.key} has logs of a longer one{_HOW}")

    @property
    def _own(self) -> str:
        return f"index.period is {_text(self._period_ns)}"

    def _is_misplaced(self, prefix: str) -> bool:
        try:
            return parse_period(prefix.rstrip("/").rpartition("/")[2]) % self._period_ns != 0
        except UnknownKey:
            return False

    def _is_too_long(self, key: str) -> bool:
        try:
            index = parse_index_key(key)
        except UnknownKey:
            return False
        return not index.generation and index.max_ns >= index.period_start_ns + self._period_ns


def _text(period_ns: int) -> str:
    """`24h`, `90m`."""
    for unit_ns, unit in ((_HOUR_NS, "h"), (_MINUTE_NS, "m")):
        if period_ns % unit_ns == 0:
            return f"{period_ns // unit_ns}{unit}"
    return format_duration(period_ns)
