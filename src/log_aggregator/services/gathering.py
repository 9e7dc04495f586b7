"""Small pushes that arrive together are stored as one, since most of what a push of a few lines costs is not its lines.

Together are those of one tenant that come while a commit is under way, or the event loop is busy with others; a lone
push waits for nothing. They are decoded on the loop: to hand a body to a thread and the interpreter to and fro takes
longer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from log_aggregator.formats.parts import Parts
from log_aggregator.model.push import PushStream

# Of one push, sent or decompressed. Usual lines take 1 to 3 ms, and what is made to take long (nested JSON before the
# level, a message for each entry) up to 90, as measured.
SMALL_BYTES: Final = 128 << 10
_SMALL_PARTS: Final = 2_000
# Of all that is stored as one.
_GATHERED_BYTES: Final = 256 << 10
_GATHERED_PARTS: Final = 4_000

DecodeStreams = Callable[[int, Parts], list[PushStream]]
"""Takes the most bytes that the body may have once decompressed, and what counts its parts. Raises PushError."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Small:
    decode: DecodeStreams
    result: "asyncio.Future[list[PushStream] | None]"


@dataclass(frozen=True, slots=True)
class _Decoded:
    small: _Small
    streams: list[PushStream]


class Gathering(Generic[Key]):
    """`turn` returns when more could not be stored together for nothing.

    `store` stores several pushes of a key as one, or nothing of them, and says whether it did.
    """

    def __init__(
        self,
        turn: Callable[[], Awaitable[None]],
        store: Callable[[Key, Sequence[list[PushStream]]], Awaitable[bool]],
        max_bytes: int,
    ) -> None:
        """`max_bytes` is what any body may have once decompressed."""
        self._turn = turn
        self._store = store
        self._max_bytes = min(SMALL_BYTES, max_bytes)
        self._waiting: dict[Key, list[_Small]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, key: Key, decode: DecodeStreams) -> list[PushStream] | None:
        """None once it is stored with others; or its streams, which are to be stored by themselves.

        Raises PushError (PushTooLarge: it may take long to decode, which is not for the event loop), and what `store`
        raises.
        """
        if not self._waiting:
            self._begin(self._take_all())
        small = _Small(decode, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(key, []).append(small)
        return await small.result

    async def _take_all(self) -> None:
        await self._turn()
        while self._waiting:
            self._take()
            await asyncio.sleep(0)

    def _take(self) -> None:
        """Decodes some, of one key."""
        key = next(iter(self._waiting))
        waiting = self._waiting.pop(key)
        decoded, taken = self._decoded(waiting)
        if taken < len(waiting):
            self._waiting[key] = waiting[taken:]
        if len(decoded) > 1:
            self._begin(self._store_together(key, decoded))
        else:
            for one in decoded:
                _finish(one.small, one.streams)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _decoded(self, waiting: Sequence[_Small]) -> tuple[list[_Decoded], int]:
        """And how many of them have been looked at, up to the first that is too much beside those before it."""
        decoded: list[_Decoded] = []
        size = count = 0
        for taken, small in enumerate(waiting):
            parts = Parts(_SMALL_PARTS)
            try:
                streams = small.decode(self._max_bytes, parts)
            except Exception as error:
                _fail(small, error)
                continue
            size, count = size + parts.bytes, count + parts.count
            if decoded and (size > _GATHERED_BYTES or count > _GATHERED_PARTS):
                return decoded, taken
            decoded.append(_Decoded(small, streams))
        return decoded, len(waiting)

    async def _store_together(self, key: Key, decoded: Sequence[_Decoded]) -> None:
        try:
            is_stored = await self._store(key, [one.streams for one in decoded])
        except BaseException as error:
            for one in decoded:
                _fail(one.small, error)
            if not isinstance(error, Exception):
                raise
            return
        for one in decoded:
            _finish(one.small, None if is_stored else one.streams)


def _finish(small: _Small, streams: list[PushStream] | None) -> None:
    if not small.result.cancelled():
        small.result.set_result(streams)


def _fail(small: _Small, error: BaseException) -> None:
    if not small.result.cancelled():
        small.result.set_exception(error)
