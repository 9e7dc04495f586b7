"""How the memory of a process is divided among what is kept in it."""

from dataclasses import dataclass
from typing import Self

# What a process takes before it holds any data, and what its threads are at work on at a time.
_BASE_BYTES = 272 << 20


@dataclass(frozen=True, slots=True)
class MemoryShares:
    """Bounds in bytes; together what is there beyond the program itself. See docs/limits.md.

    With plenty of memory each is as large as has been found useful; with less all shrink alike.
    """

    buffer: int
    columns: int
    indexes: int
    extents: int
    records: int
    blocks: int
    skip_filters: int
    merged: int  # text that a compaction holds at once, which takes twice as much
    bodies: int  # of requests, as they are sent
    decoding: int  # one large push
    queries: int  # what all running queries hold of what they have found
    streams: int  # that were pushed lately, with what is known of each
    layouts: int  # of indexes, as scans walk them

    @classmethod
    def of(cls, usable_bytes: int) -> Self:
        """For a process that may use so much."""
        free = max(usable_bytes - _BASE_BYTES, usable_bytes // 4)

        def share(part: float, most_mib: int) -> int:
            return min(int(free * part), most_mib << 20)

        return cls(
            buffer=share(0.16, 512),
            columns=share(0.10, 320),
            indexes=share(0.06, 256),
            extents=share(0.06, 512),
            records=share(0.04, 128),
            blocks=share(0.05, 512),
            skip_filters=share(0.02, 32),
            merged=share(0.04, 64),
            bodies=share(0.06, 512),
            decoding=share(0.22, 1400),
            queries=share(0.18, 2048),
            streams=share(0.05, 128),
            layouts=share(0.03, 64),
        )
