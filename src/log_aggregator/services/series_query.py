"""Labels, label values and series of a time range."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

import polars as pl

from log_aggregator.engine.label_table import VALUE
from log_aggregator.formats.keys import period_start
from log_aggregator.logql.ast import Matcher
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import STREAM
from log_aggregator.services.extents import Extents, StreamExtents

Selector = Sequence[Matcher]


class SeriesQueries:
    """What has entries in `[start_ns, end_ns)`, to the precision of Loki: series to that of row groups and records that
    touch the range, labels to that of index periods.

    An empty selector accepts every stream. Raises the store's errors, WalUnavailable, CorruptData.
    """

    def __init__(self, extents: StreamExtents, period_ns: int) -> None:
        self._extents = extents
        self._period_ns = period_ns

    async def series(self, tenant: str, start_ns: int, end_ns: int, any_of: Sequence[Selector]) -> list[Labels]:
        """Streams that at least one of the selectors accepts; all of them where there is no selector."""

        def streams(extents: Extents) -> list[Labels]:
            return extents.table.streams(_present(extents, any_of).arg_true())

        return await self._extents.ask(tenant, start_ns, end_ns, streams)

    async def label_names(self, tenant: str, start_ns: int, end_ns: int, selector: Selector) -> list[str]:
        def names(extents: Extents) -> list[str]:
            present, table = _present(extents, [selector]), extents.table
            return sorted(name for name in table.names if present.gather(table.column(name)[STREAM]).any())

        return await self._extents.ask(tenant, *self._periods(start_ns, end_ns), names)

    async def label_values(self, tenant: str, name: str, start_ns: int, end_ns: int, selector: Selector) -> list[str]:
        def values(extents: Extents) -> list[str]:
            column = extents.table.column(name)
            present = _present(extents, [selector]).gather(column[STREAM])
            return column[VALUE].filter(present).unique().sort().to_list()

        return await self._extents.ask(tenant, *self._periods(start_ns, end_ns), values)

    def _periods(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        return period_start(start_ns, self._period_ns), period_start(end_ns - 1, self._period_ns) + self._period_ns


def _present(extents: Extents, any_of: Sequence[Selector]) -> pl.Series:
    """The mask of the accepted streams."""
    present = extents.table.present(extents.frame[STREAM])
    return present & reduce(or_, map(extents.table.accepted, any_of)) if any_of else present
