"""Bodies of pushes on their way to columns: a few at a time, since each takes many times its size in memory meanwhile.

Tenants take turns, and a large body delays only other large ones.
"""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from log_aggregator.formats.push_errors import PushTooLarge
from log_aggregator.model.push import Push
from log_aggregator.services.admission import Admission

# Up to which a body is decoded on the event loop: to hand it to a thread and the interpreter to and fro takes longer.
# A push of fifty to three hundred lines takes 0.6 of the time so. As measured, usual lines take 1 to 3 ms, and what is
# made to take long (nested JSON before the level, a message for each entry) up to 90.
_TINY_BYTES = 128 << 10
_TINY_PARTS = 2_000
# What usual agents send.
_SMALL_BYTES = 4 << 20
_SMALL_AT_A_TIME = 2
# Measured, until the columns are there: lines of 100 bytes take 7 times their size, 12 times with metadata, empty lines
# in protobuf 28 times.
_TIMES_ITS_SIZE = 10
# Bodies that wait are bounded by their bytes (`services.room`).
_ANY_NUMBER = sys.maxsize

Decoded = TypeVar("Decoded")


@dataclass(frozen=True, slots=True)
class PushBody:
    """`decode` takes the most bytes that the body may have once decompressed, and the most parts (`formats.parts`).

    It raises PushError.
    """

    sent_bytes: int
    decode: Callable[[int, int], Push]
    is_literal: bool
    """Whether its parts can be told before anything is made of them: not where values nest and entries inherit."""


class Decoding:
    """Of one process."""

    def __init__(self, max_decompressed_bytes: int, memory_bytes: int) -> None:
        """0 for no maximum but what the memory allows."""
        self._max_bytes = min(max_decompressed_bytes or sys.maxsize, memory_bytes // _TIMES_ITS_SIZE)
        self._small = Admission(_SMALL_AT_A_TIME, _ANY_NUMBER)
        self._large = Admission(1, _ANY_NUMBER)

    async def run(self, tenant: str, body: PushBody, use: Callable[[Push], Decoded]) -> Decoded:
        """What `use` makes of the push, where it is decoded. Raises PushError."""
        if body.is_literal and body.sent_bytes <= _TINY_BYTES:
            try:
                return use(body.decode(min(_TINY_BYTES, self._max_bytes), _TINY_PARTS))
            except PushTooLarge:
                pass
        if body.sent_bytes <= _SMALL_BYTES:
            try:
                async with self._small.slot(tenant):
                    return await asyncio.to_thread(lambda: use(body.decode(min(_SMALL_BYTES, self._max_bytes), 0)))
            except PushTooLarge:
                pass  # decompressed, it is a large one
        async with self._large.slot(tenant):
            return await asyncio.to_thread(lambda: use(body.decode(self._max_bytes, 0)))
