"""Units of a scan, added up in a leaf: for a query of this replica, or for a share of another's."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

import polars as pl

from log_aggregator.engine.columnar_leaf import ColumnarLeaf
from log_aggregator.engine.combinations import LinesNeeded
from log_aggregator.services.duplicates import without_rows
from log_aggregator.services.scan import Scanner, count_rows
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.units import Scan, Unit

_CONCURRENT_UNITS = 4


@dataclass(frozen=True, slots=True)
class LeafUnit:
    """A unit without the rows of these numbers, which other units have too."""

    unit: Unit
    repeated: pl.Series | None = field(default=None, repr=False)


class LeafUnits:
    """Raises what `Scanner` and `ColumnarLeaf.add` raise. Reads a few units at a time, whoever asks for them."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._slots = asyncio.Semaphore(_CONCURRENT_UNITS)

    async def add(
        self, units: Iterable[LeafUnit], columnar: ColumnarLeaf, scan: Scan, statistics: ScanStatistics
    ) -> None:
        """Failures come in groups."""
        async with asyncio.TaskGroup() as group:
            for unit in units:
                group.create_task(self._add(unit, columnar, scan, statistics))

    async def _add(self, one: LeafUnit, columnar: ColumnarLeaf, scan: Scan, statistics: ScanStatistics) -> None:
        """One unit, with no more columns than it takes."""
        unit = one.unit
        async with self._slots:
            columns = columnar.columns(unit.columns, unit.shapes, await self._scanner.streams_of(unit))
            try:
                await self._add_columns(one, columnar, scan, columns, statistics)
            except LinesNeeded:
                columns = columnar.everything(unit.columns)
                await self._add_columns(one, columnar, scan, columns, statistics)

    async def _add_columns(
        self,
        one: LeafUnit,
        columnar: ColumnarLeaf,
        scan: Scan,
        columns: Collection[str],
        statistics: ScanStatistics,
    ) -> None:
        batch = await self._scanner.load(one.unit, scan, columns, statistics, forms=columnar.forms(columns))
        if one.repeated is not None and batch.rows:  # there are none of a unit that is damaged, and left out
            batch = replace(batch, frame=without_rows(batch.frame, one.repeated), runs=None)
        kept = await asyncio.to_thread(columnar.add, batch)
        count_rows(batch.frame, kept, statistics)
