"""What a scan reads, and the parts that it is read in."""

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from log_aggregator.engine.query_memory import QueryMemory
from log_aggregator.engine.shapes import Shape
from log_aggregator.engine.skip_filter import Needle
from log_aggregator.formats.chunk import LINE_BYTES
from log_aggregator.formats.index import Index
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import ARRIVAL, LINE, METADATA, STREAM, TIMESTAMP
from log_aggregator.services.hidden_rows import HiddenRows
from log_aggregator.services.layout import Run
from log_aggregator.services.tail import TailRecord

_TAIL_COLUMNS = frozenset({STREAM, TIMESTAMP, ARRIVAL, LINE, METADATA, LINE_BYTES})


@dataclass(frozen=True, slots=True)
class Scan:
    """What to read. `accepts` chooses streams, `predicate` rows by the columns of a batch.

    Rows that do not meet all `needles` are not wanted, and may be left out.
    """

    tenant: str
    start_ns: int
    end_ns: int  # exclusive
    accepts: Callable[[Labels], bool]
    predicate: pl.Expr | None = None
    needles: tuple[Needle, ...] = ()
    memory: QueryMemory = field(default_factory=QueryMemory, repr=False, compare=False)
    """Where rows are held that have been read and not yet given."""


@dataclass(frozen=True, slots=True)
class TailUnit:
    """The rows of a record of a write-ahead log, but for the periods whose rows an index object has.

    Or of several records, all of one block (`Tail.block`) and none covered.
    """

    records: tuple[TailRecord, ...] = field(repr=False)
    covered: tuple[int, ...]
    min_ns: int
    max_ns: int
    hidden: HiddenRows | None = field(default=None, repr=False)

    @property
    def tenant(self) -> str:
        return self.records[0].header.tenant

    @property
    def columns(self) -> frozenset[str]:
        return _TAIL_COLUMNS

    @property
    def rows(self) -> int:
        """At most: some may be of other streams, or covered."""
        return sum(record.header.rows for record in self.records)


@dataclass(frozen=True, slots=True)
class ChunkUnit:
    """The rows of accepted streams in one row group. `runs` has them in the order of the rows."""

    index: Index = field(repr=False)
    chunk: int
    row_group: int
    runs: tuple[Run, ...] = field(repr=False)
    columns: frozenset[str] = field(repr=False)
    shapes: tuple[Shape, ...] | None = field(repr=False)
    min_ns: int
    max_ns: int
    index_key: str = ""
    """Of the index object, so that other replicas find the unit."""
    hidden: HiddenRows | None = field(default=None, repr=False)

    @property
    def rows(self) -> int:
        return sum(run.rows for run in self.runs)


Unit = TailUnit | ChunkUnit
"""A part of a scan that is read at once. Every entry is in one unit, but exact duplicates may be in several."""
