"""What a tenant's entries and streams consist of: fields found in the newest lines, and labels of streams."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from log_aggregator.engine.conversions import NotConvertible, to_number
from log_aggregator.engine.field_detection import DetectedField, detect_fields, values_of_field
from log_aggregator.engine.label_table import VALUE
from log_aggregator.engine.pipeline import Row
from log_aggregator.formats.keys import period_start
from log_aggregator.logql.ast import LogExpr, Matcher
from log_aggregator.model.segment import STREAM
from log_aggregator.services.extents import Extents, StreamExtents
from log_aggregator.services.log_query import NotALogQuery
from log_aggregator.services.parsing import parsed
from log_aggregator.services.queries import Queries, RangeQuery, Streams
from log_aggregator.services.query_context import QueryContext

# These matter whatever their values are.
_ALWAYS_RELEVANT = frozenset({"cluster", "namespace", "instance", "pod"})
_BOOLEANS = frozenset("01")
# As Go's most used library reads them.
_UUID_TEXT = "-".join(f"[0-9a-f]{{{count}}}" for count in (8, 4, 4, 4, 12))
_UUID = re.compile(rf"(?is)(?:urn:uuid:)?{_UUID_TEXT}|.{_UUID_TEXT}.|[0-9a-f]{{32}}")


@dataclass(frozen=True, slots=True)
class FieldQuery:
    """The newest entries of `[start_ns, end_ns)`, no more than `line_limit`, show the fields."""

    text: str
    start_ns: int
    end_ns: int
    line_limit: int
    limit: int


class Detection:
    """Raises what queries raise: ParseError, NotALogQuery, QueryRefused, QueryTimeout, and the store's errors."""

    def __init__(self, queries: Queries, extents: StreamExtents, period_ns: int) -> None:
        self._queries = queries
        self._extents = extents
        self._period_ns = period_ns

    async def fields(self, tenant: str, query: FieldQuery, context: QueryContext) -> dict[str, DetectedField]:
        rows = await self._newest(tenant, query, context)
        return await asyncio.to_thread(detect_fields, rows, query.limit)

    async def values(self, tenant: str, name: str, query: FieldQuery, context: QueryContext) -> list[str]:
        rows = await self._newest(tenant, query, context)
        return await asyncio.to_thread(values_of_field, rows, name, query.limit)

    async def labels(self, tenant: str, start_ns: int, end_ns: int, selector: Sequence[Matcher]) -> dict[str, int]:
        """How many values each label has, but for labels that only tell entities apart by numbers or UUIDs."""
        first, last = (period_start(time_ns, self._period_ns) for time_ns in (start_ns, end_ns - 1))
        values: dict[str, list[pl.Series]] = {}
        for found in await self._extents.ask_each(tenant, first, last + self._period_ns, selector, _label_values):
            for name, own in found.items():
                values.setdefault(name, []).append(own)
        return {name: pl.concat(own).n_unique() for name, own in values.items()}

    async def _newest(self, tenant: str, query: FieldQuery, context: QueryContext) -> list[Row]:
        if not isinstance(await parsed(query.text), LogExpr):
            raise NotALogQuery
        step_ns = max(1, query.end_ns - query.start_ns)
        newest = RangeQuery(query.text, query.start_ns, query.end_ns, step_ns, query.line_limit, "backward", 0)
        answer = await self._queries.range(tenant, newest, context)
        assert isinstance(answer, Streams)
        # As Loki sees them: stream by stream.
        return sorted(answer.rows, key=lambda row: row.stream)


def _label_values(selector: Sequence[Matcher], extents: Extents) -> dict[str, pl.Series]:
    table = extents.table
    present = table.present(extents.frame[STREAM]) & table.accepted(selector)
    found = {}
    for name in table.names:
        column = table.column(name)
        values = column[VALUE].filter(present.gather(column[STREAM])).unique()
        if len(values) and (name in _ALWAYS_RELEVANT or _tells_more_than_ids(values)):
            found[name] = values
    return found


def _tells_more_than_ids(values: Iterable[str]) -> bool:
    return _BOOLEANS.issuperset(values) or not all(map(_is_id, values))


def _is_id(value: str) -> bool:
    try:
        to_number(value)
    except NotConvertible:
        return _UUID.fullmatch(value) is not None
    return True
