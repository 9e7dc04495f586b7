"""Where a record stands in a write-ahead log, and the order of arrival that follows from it."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self

_SEQUENCE_BITS = 20
_SEQUENCE_MASK = (1 << _SEQUENCE_BITS) - 1
_FORM = re.compile(r"(\d+)-(\d+)")


class Position(NamedTuple):
    """A Redis stream id: milliseconds on the Redis server's clock, and a sequence number within one."""

    milliseconds: int
    sequence: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError for anything but `<ms>-<seq>`."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"not a position: {text!r}")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.sequence}"

    @classmethod
    def of_arrival(cls, arrival: int) -> Self:
        """The position that has this `arrival`."""
        return cls(arrival >> _SEQUENCE_BITS, arrival & _SEQUENCE_MASK)

    def next(self) -> "Position":
        """The smallest position after this one."""
        return Position(self.milliseconds, self.sequence + 1)

    @property
    def arrival(self) -> int:
        """One integer in the same order: entries of equal timestamp are told in order of arrival.

        One Redis server gives ids, so positions of different logs are comparable. It gives no 2**20 in a millisecond.
        """
        assert self.sequence <= _SEQUENCE_MASK
        return (self.milliseconds << _SEQUENCE_BITS) | self.sequence


class Coverage(NamedTuple):
    """A closed range of one write-ahead log, all of whose rows (of a tenant and period) one index object holds.

    `epoch` is that of the lease under which it was written.
    """

    wal: str
    epoch: int
    first: Position
    last: Position

    def holds(self, position: Position) -> bool:
        return self.first <= position <= self.last

    def contains(self, other: "Coverage") -> bool:
        return self.wal == other.wal and self.first <= other.first and other.last <= self.last


def settle(coverages: Iterable[Coverage]) -> set[Coverage]:
    """Those that are needed, among all the coverages of one tenant and period: none lies within another.

    A holder that was paused past its lease, or whose put was slow, may still write an index object after another
    object has come to hold the same rows. What the remaining ones cover is what all of them cover.
    """
    by_wal: dict[str, list[Coverage]] = {}
    for coverage in coverages:
        by_wal.setdefault(coverage.wal, []).append(coverage)
    return {needed for group in by_wal.values() for needed in _settle_log(group)}


def _settle_log(coverages: list[Coverage]) -> Iterator[Coverage]:
    # Whatever holds a range comes before it; of equal ranges the newest epoch comes first.
    coverages.sort(key=lambda c: (c.first, -c.last.arrival, -c.epoch))
    covered: Position | None = None
    for coverage in coverages:
        if covered is None or coverage.last > covered:
            covered = coverage.last
            yield coverage
