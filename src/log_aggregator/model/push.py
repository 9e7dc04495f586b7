"""A decoded push, as columns and as streams. Nothing is validated yet: labels may be empty, or hold a name twice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, pairwise

import polars as pl

from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import LINE, TIMESTAMP


@dataclass(frozen=True, slots=True)
class PushStream:
    """One stream: parallel lists, one element an entry, in order of arrival.

    Metadata names are as the client sent them; `metadata` is None when no entry has any.
    """

    labels: Labels
    timestamps_ns: list[int]
    lines: list[str]
    metadata: list[dict[str, str]] | None


@dataclass(frozen=True, slots=True)
class Push:
    """The entries of all streams one after the other: `rows` says how many belong to each of the `streams`.

    Timestamps are Int64 and lines String; `metadata` is None when no entry has any.
    """

    streams: list[Labels]
    rows: list[int]
    timestamps_ns: pl.Series = field(repr=False)
    lines: pl.Series = field(repr=False)
    metadata: list[dict[str, str]] | None = field(repr=False)

    @classmethod
    def of(cls, streams: Sequence[PushStream]) -> "Push":
        """Timestamps are within 64 bits."""
        timestamps_ns = list(chain.from_iterable(stream.timestamps_ns for stream in streams))
        lines = list(chain.from_iterable(stream.lines for stream in streams))
        metadata: list[dict[str, str]] | None = None
        if any(stream.metadata for stream in streams):
            metadata = []
            for stream in streams:
                metadata += stream.metadata or [{}] * len(stream.lines)
        return cls(
            [stream.labels for stream in streams],
            [len(stream.lines) for stream in streams],
            pl.Series(TIMESTAMP, timestamps_ns, dtype=pl.Int64),
            pl.Series(LINE, lines, dtype=pl.String),
            metadata,
        )

    def ranges(self) -> Iterator[tuple[Labels, int, int]]:
        """Each stream and its rows, `[begin, end)`."""
        for labels, (begin, end) in zip(self.streams, pairwise(accumulate(self.rows, initial=0)), strict=True):
            yield labels, begin, end

    def by_stream(self) -> Iterator[PushStream]:
        """For what is to be looked at entry by entry."""
        timestamps_ns, lines = self.timestamps_ns.to_list(), self.lines.to_list()
        for labels, begin, end in self.ranges():
            own = self.metadata[begin:end] if self.metadata else []
            yield PushStream(labels, timestamps_ns[begin:end], lines[begin:end], own if any(own) else None)
