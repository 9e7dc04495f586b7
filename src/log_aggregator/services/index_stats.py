"""How much a selector would read: the numbers that a query editor shows before the query is run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from log_aggregator.formats.chunk import ROWS, TEXT_BYTES
from log_aggregator.logql.ast import Matcher
from log_aggregator.model.segment import STREAM
from log_aggregator.services.extents import Extents, share_between


@dataclass(frozen=True, slots=True)
class IndexStats:
    """`chunks` are extents. Of one that lies partly outside the range, bytes and entries count in proportion."""

    streams: int
    chunks: int
    text_bytes: int
    entries: int


def index_stats(extents: Extents, start_ns: int, end_ns: int, selector: Sequence[Matcher]) -> IndexStats:
    """Of the streams that the selector accepts, in `[start_ns, end_ns)`."""
    share = share_between(start_ns, end_ns)
    sums = extents.of(selector).select(
        pl.col(STREAM).n_unique(),
        pl.len().alias("chunks"),
        (pl.col(TEXT_BYTES) * share).sum().round().cast(pl.Int64),
        (pl.col(ROWS) * share).sum().round().cast(pl.Int64),
    )
    return IndexStats(*sums.row(0))


def together(stats: Iterable[IndexStats]) -> IndexStats:
    """Of streams that are apart."""
    sums = IndexStats(0, 0, 0, 0)
    for one in stats:
        sums = IndexStats(
            sums.streams + one.streams,
            sums.chunks + one.chunks,
            sums.text_bytes + one.text_bytes,
            sums.entries + one.entries,
        )
    return sums
