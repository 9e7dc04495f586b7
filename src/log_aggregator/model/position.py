"""Where a record stands in a write-ahead log, and the order of arrival that follows from it."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
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
    """A closed range of one write-ahead log's records, as flushed under one epoch of its lease."""

    wal: str
    epoch: int
    first: Position
    last: Position

    def holds(self, position: Position) -> bool:
        return self.first <= position <= self.last


def settle(coverages: Iterable[Coverage]) -> set[Coverage]:
    """Those that count, among all the coverages of one tenant and period.

    A holder that was paused past its lease may still write an index object of its old epoch after the next holder has
    flushed the same records under a newer one. The next holder began at the first record that no index object covered
    when it looked, so an older epoch's object which begins there or later was written too late, and does not count.
    """
    by_wal: dict[str, list[Coverage]] = {}
    for coverage in coverages:
        by_wal.setdefault(coverage.wal, []).append(coverage)
    return {valid for group in by_wal.values() for valid in _settle_log(group)}


def _settle_log(coverages: list[Coverage]) -> Iterator[Coverage]:
    begun: Position | None = None  # where the newer epochs began
    for _, group in groupby(sorted(coverages, key=lambda c: -c.epoch), key=lambda c: c.epoch):
        valid = [c for c in group if begun is None or c.first < begun]
        yield from valid
        if valid:
            begun = min(c.first for c in valid)
