"""How the memory of a process is divided among what is kept in it."""

from dataclasses import dataclass
from typing import Self

# What a process takes before it holds any data, and what queries and flushes need while they work.
_BASE_BYTES = 160 << 20


@dataclass(frozen=True, slots=True)
class MemoryShares:
    """Bounds in bytes; together some two thirds of what is there beyond the program itself.

    With plenty of memory each is as large as has been found useful; with less all shrink alike.
    """

    buffer: int
    columns: int
    indexes: int
    extents: int
    records: int
    blocks: int
    skip_filters: int
    merged: int  # text that a compaction holds at once, which takes three times as much

    @classmethod
    def of(cls, usable_bytes: int) -> Self:
        """For a process that may use so much."""
        free = max(usable_bytes - _BASE_BYTES, usable_bytes // 4)

        def share(part: float, most_mib: int) -> int:
            return min(int(free * part), most_mib << 20)

        return cls(
            buffer=share(0.20, 512),
            columns=share(0.15, 320),
            indexes=share(0.06, 128),
            extents=share(0.08, 512),
            records=share(0.05, 128),
            blocks=share(0.08, 192),
            skip_filters=share(0.02, 32),
            merged=share(0.05, 128),
        )
