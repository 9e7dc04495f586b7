"""Bodies of pushes on their way to columns: a few at a time, since each takes many times its size in memory meanwhile.

Tenants take turns, and a large body delays only other large ones. The smallest do not come here (`gathering`).
"""

import asyncio
import sys
from collections.abc import Callable
from typing import TypeVar

from log_aggregator.formats.push_errors import PushTooLarge
from log_aggregator.model.push import Push
from log_aggregator.services.admission import Admission

# What usual agents send.
_SMALL_BYTES = 4 << 20
_SMALL_AT_A_TIME = 2
# Measured, until the columns are there: lines of 100 bytes take 7 times their size, 12 times with metadata, empty lines
# in protobuf 28 times.
_TIMES_ITS_SIZE = 10
# Bodies that wait are bounded by their bytes (`services.room`).
_ANY_NUMBER = sys.maxsize

Decoded = TypeVar("Decoded")


Decode = Callable[[int], Push]
"""Takes the most bytes that the body may have once decompressed. Raises PushError."""


class Decoding:
    """Of one process."""

    def __init__(self, max_decompressed_bytes: int, memory_bytes: int) -> None:
        """0 for no maximum but what the memory allows."""
        self.max_decompressed_bytes = min(max_decompressed_bytes or sys.maxsize, memory_bytes // _TIMES_ITS_SIZE)
        self._small = Admission(_SMALL_AT_A_TIME, _ANY_NUMBER)
        self._large = Admission(1, _ANY_NUMBER)

    async def run(self, tenant: str, decode: Decode, sent_bytes: int, use: Callable[[Push], Decoded]) -> Decoded:
        """What `use` makes of the push, in the thread where it is decoded. Raises PushError."""
        if sent_bytes <= _SMALL_BYTES:
            try:
                async with self._small.slot(tenant):
                    most = min(_SMALL_BYTES, self.max_decompressed_bytes)
                    return await asyncio.to_thread(lambda: use(decode(most)))
            except PushTooLarge:
                pass  # decompressed, it is a large one
        async with self._large.slot(tenant):
            return await asyncio.to_thread(lambda: use(decode(self.max_decompressed_bytes)))
