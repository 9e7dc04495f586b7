"""Units of a scan, added up in a leaf: for a query of this replica, or for a share of another's."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import polars as pl

from log_aggregator.engine.batch import Batch
from log_aggregator.engine.columnar_leaf import ColumnarLeaf
from log_aggregator.engine.label_reader import LinesNeeded
from log_aggregator.model.segment import LINE
from log_aggregator.services.duplicates import without_rows
from log_aggregator.services.scan import Scanner, count_rows
from log_aggregator.services.statistics import ScanStatistics
from log_aggregator.services.units import ChunkUnit, Scan, TailUnit, Unit

# At a time. Of those whose text is looked at, as many as keep the cores busy. Others take less time than to hand them
# to a thread, and threads would be in each other's way: they come together. Small columns of a group's units are read
# at once; meanwhile the group before is computed.
_CONCURRENT_UNITS = 4
_CONCURRENT_GROUPS = 2
_UNITS_PER_GROUP = 8


@dataclass(frozen=True, slots=True)
class LeafUnit:
    """A unit without the rows of these numbers, which other units have too."""

    unit: Unit
    repeated: pl.Series | None = field(default=None, repr=False)


class LeafUnits:
    """Raises what `Scanner` and `ColumnarLeaf.add` raise. Computes a few units at a time, whoever asks for them."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._slots = asyncio.Semaphore(_CONCURRENT_UNITS)
        self._group_slots = asyncio.Semaphore(_CONCURRENT_GROUPS)

    async def add(
        self, units: Sequence[LeafUnit], columnar: ColumnarLeaf, scan: Scan, statistics: ScanStatistics
    ) -> None:
        """Failures come in groups."""
        adding = _Adding(self._scanner, columnar, scan, statistics, self._slots, self._group_slots)
        async with asyncio.TaskGroup() as group:
            for some in _groups(units):
                group.create_task(adding.add(some))

    async def is_quick(self, unit: Unit, columnar: ColumnarLeaf) -> bool:
        """Whether its lines need not be looked at."""
        return isinstance(unit, ChunkUnit) and LINE not in await _columns(self._scanner, unit, columnar)


def _groups(units: Sequence[LeafUnit]) -> list[Sequence[LeafUnit]]:
    """As few as their size allows, and all alike: two are worked on at a time."""
    count = -(-len(units) // _UNITS_PER_GROUP)
    edges = [len(units) * number // max(count, 1) for number in range(count + 1)]
    return [units[begin:end] for begin, end in pairwise(edges)]


async def _columns(scanner: Scanner, unit: Unit, columnar: ColumnarLeaf) -> set[str]:
    """What the leaf wants of the unit."""
    contents = await scanner.contents(unit, parses=columnar.parses)
    return columnar.columns(contents.columns, contents.shapes, contents.streams)


@dataclass(frozen=True, slots=True)
class _Adding:
    """To one leaf."""

    scanner: Scanner
    columnar: ColumnarLeaf
    scan: Scan
    statistics: ScanStatistics
    slots: asyncio.Semaphore
    """For units whose lines are looked at."""
    group_slots: asyncio.Semaphore
    """For others, together."""
    groups: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CONCURRENT_GROUPS))
    """Of this leaf alone: so few of its units wait for slots that those of other queries soon have theirs."""

    async def add(self, units: Sequence[LeafUnit]) -> None:
        async with self.groups:
            wanted = await self._wanted(units)
            together = ((one.unit, columns, self.columnar.forms(columns)) for one, columns in wanted)
            # The lines of so many units would take too much memory at once.
            prefetched = self.scanner.prefetched(together, self.scan, self.statistics, lines=False)
            async with prefetched, asyncio.TaskGroup() as group:
                quick = []
                for one, columns in wanted:
                    # The lines of a block are there anyway, and it is large.
                    if isinstance(one.unit, ChunkUnit) and LINE not in columns:
                        quick.append((one, columns))
                    else:
                        group.create_task(self._add_one(one, columns))
                if quick:
                    group.create_task(self._add_quick(quick))

    async def _wanted(self, units: Sequence[LeafUnit]) -> list[tuple[LeafUnit, Collection[str]]]:
        """The units, and what the leaf wants of each."""

        async def of_block(unit: Unit) -> Collection[str]:
            async with self.slots:  # one that is not there yet is made in a thread
                return await _columns(self.scanner, unit, self.columnar)

        async with asyncio.TaskGroup() as group:
            tasks = {
                number: group.create_task(of_block(one.unit))
                for number, one in enumerate(units)
                if isinstance(one.unit, TailUnit)
            }
        return [
            (one, tasks[number].result() if number in tasks else await _columns(self.scanner, one.unit, self.columnar))
            for number, one in enumerate(units)
        ]

    async def _add_quick(self, wanted: Sequence[tuple[LeafUnit, Collection[str]]]) -> None:
        """Some units together. They are waited for without a slot: their columns are small."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._load(one, columns)) for one, columns in wanted]
        batches = [task.result() for task in tasks]
        async with self.group_slots:
            kept = await asyncio.to_thread(self._add_batches, batches)
        lacking = []
        for (one, _), batch, rows in zip(wanted, batches, kept, strict=True):
            if rows is not None:
                count_rows(batch.frame, rows, self.statistics)
            else:
                lacking.append(one)
        batches.clear()
        tasks.clear()
        async with asyncio.TaskGroup() as group:
            for one in lacking:
                group.create_task(self._add_lines(one))

    async def _add_one(self, one: LeafUnit, columns: Collection[str]) -> None:
        """With no more columns than it takes."""
        async with self.slots:
            batch = await self._load(one, columns)
            rows = await asyncio.to_thread(self._kept, batch)
            if rows is not None:
                count_rows(batch.frame, rows, self.statistics)
                return
            del batch
        await self._add_lines(one)

    async def _add_lines(self, one: LeafUnit) -> None:
        """With all columns it has."""
        async with self.slots:
            contents = await self.scanner.contents(one.unit, parses=self.columnar.parses)
            batch = await self._load(one, self.columnar.everything(contents.columns))
            count_rows(batch.frame, await asyncio.to_thread(self.columnar.add, batch), self.statistics)

    async def _load(self, one: LeafUnit, columns: Collection[str]) -> Batch:
        forms = self.columnar.forms(columns)
        batch = await self.scanner.load(one.unit, self.scan, columns, self.statistics, forms=forms)
        if one.repeated is None or not batch.rows:  # there are none of a unit that is damaged, and left out
            return batch
        return replace(batch, frame=without_rows(batch.frame, one.repeated), runs=None)

    def _add_batches(self, batches: Sequence[Batch]) -> list[int | None]:
        """How many rows of each passed the line filters; None for one that needs its lines, and was not added."""
        return [self._kept(batch) for batch in batches]

    def _kept(self, batch: Batch) -> int | None:
        try:
            return self.columnar.add(batch)
        except LinesNeeded:
            return None
