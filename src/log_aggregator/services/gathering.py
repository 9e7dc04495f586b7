"""Small pushes that arrive together are stored as one, since most of what a push of a few lines costs is not its lines.

Together are those of a key (a tenant and a format) that come while others are being stored, or the event loop is busy;
a lone push waits for nothing. They are decoded on the loop: to hand a body to a thread and the interpreter to and fro
takes longer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Final, Generic, TypeVar

from log_aggregator.formats.parts import Parts
from log_aggregator.model.push import PushStream

# Of one push, sent or decompressed. Usual lines take 1 to 3 ms, and what is made to take long (nested JSON before the
# level, a message for each entry) up to 90, as measured.
SMALL_BYTES: Final = 128 << 10
_SMALL_PARTS: Final = 2_000
# Of what is stored as one, when nothing more is added.
_GATHERED_BYTES: Final = 192 << 10
_GATHERED_PARTS: Final = 3_000

DecodeStreams = Callable[[int, Parts], list[PushStream]]
"""Takes the most bytes that the body may have once decompressed, and what counts its parts. Raises PushError."""

Key = TypeVar("Key", bound=Hashable)


_Answer = asyncio.Future[list[PushStream] | None]


class Gathering(Generic[Key]):
    """`turn` returns when there is nothing to be gained by waiting for more.

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
        self._waiting: dict[Key, dict[_Answer, DecodeStreams]] = {}
        self._taking: asyncio.Task[None] | None = None
        self._storing: set[asyncio.Task[None]] = set()

    async def run(self, key: Key, decode: DecodeStreams) -> list[PushStream] | None:
        """None once it is stored with others; or its streams, which are to be stored by themselves.

        Raises PushError (PushTooLarge: it may take long to decode, which is not for the event loop), and what `store`
        raises.
        """
        answer: _Answer = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(key, {})
        waiting[answer] = decode
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._take_all())
        try:
            return await answer
        except asyncio.CancelledError:
            waiting.pop(answer, None)  # and with it the body
            raise

    async def _take_all(self) -> None:
        await self._turn()
        while self._waiting:
            self._take()
            await asyncio.sleep(0)

    def _take(self) -> None:
        """Decodes some, of one key."""
        key = next(iter(self._waiting))
        waiting = self._waiting.pop(key)
        decoded = self._decoded(waiting)
        if waiting:
            self._waiting[key] = waiting  # when others had their turn
        if len(decoded) > 1:
            task = asyncio.create_task(self._store_together(key, decoded))
            self._storing.add(task)
            task.add_done_callback(self._storing.discard)
        else:
            for answer, streams in decoded.items():
                _finish(answer, streams)

    def _decoded(self, waiting: dict[_Answer, DecodeStreams]) -> dict[_Answer, list[PushStream]]:
        """As many of the first as may be stored as one, which do not wait any more."""
        decoded: dict[_Answer, list[PushStream]] = {}
        size = count = 0
        while waiting and size < _GATHERED_BYTES and count < _GATHERED_PARTS:
            answer = next(iter(waiting))
            parts = Parts(_SMALL_PARTS)
            try:
                decoded[answer] = waiting.pop(answer)(self._max_bytes, parts)
            except Exception as error:
                _fail(answer, error)
                count += _SMALL_PARTS  # it may have taken as long as any
            size, count = size + parts.bytes, count + parts.count
        return decoded

    async def _store_together(self, key: Key, decoded: dict[_Answer, list[PushStream]]) -> None:
        try:
            is_stored = await self._store(key, list(decoded.values()))
        except BaseException as error:
            for answer in decoded:
                _fail(answer, error)
            if not isinstance(error, Exception):
                raise
            return
        for answer, streams in decoded.items():
            _finish(answer, None if is_stored else streams)


def _finish(answer: _Answer, streams: list[PushStream] | None) -> None:
    if not answer.cancelled():
        answer.set_result(streams)


def _fail(answer: _Answer, error: BaseException) -> None:
    if not answer.cancelled():
        answer.set_exception(error)
