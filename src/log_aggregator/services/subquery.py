"""Range aggregations as other replicas are told of them: the query's text, which leaf of it, which units."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from log_aggregator.engine.columnar_leaf import ColumnarLeaf
from log_aggregator.engine.leaf_plan import plan_leaf
from log_aggregator.engine.pushdown import push_down
from log_aggregator.engine.query_memory import QueryMemory
from log_aggregator.engine.range_vector import range_span
from log_aggregator.engine.selector import Selector
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.windows import Windows
from log_aggregator.errors import LogAggregatorError
from log_aggregator.formats.subquery import NamedUnit, Subquery
from log_aggregator.logql.ast import LogExpr, MetricExpr, RangeAggregation
from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.leaves import leaves_of
from log_aggregator.logql.parser import parse_expr
from log_aggregator.logql.printer import expr_text
from log_aggregator.model.segment import clamped_ns
from log_aggregator.services.leaf_units import LeafUnit
from log_aggregator.services.scan import Scanner
from log_aggregator.services.units import ChunkUnit, Scan


class UnitsUnknown(LogAggregatorError):
    """The index objects do not have the units that the share names."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be computed of some units: the leaf of this number of the query."""

    tenant: str
    expr: MetricExpr
    leaf: int
    steps: Steps

    @property
    def text(self) -> str | None:
        """The query as a text that means exactly the same, if there is one."""
        text = expr_text(self.expr)
        try:
            return text if parse_expr(text) == self.expr else None
        except ParseError:
            return None


def distinct_leaves(expr: MetricExpr) -> list[RangeAggregation]:
    """Each different range aggregation of the query once, as it is computed."""
    return list(dict.fromkeys(leaves_of(push_down(expr))))


def scan_of(tenant: str, leaf: RangeAggregation, steps: Steps) -> Scan:
    """What the leaf reads."""
    start_ns, end_ns = map(clamped_ns, range_span(leaf, steps))
    return Scan(tenant, start_ns, end_ns, Selector(leaf.range.log.matchers))


def subquery_of(query: str, question: Question, text: str, units: Iterable[LeafUnit]) -> Subquery:
    """Units of chunks only."""
    steps = question.steps
    named = tuple(map(_named, units))
    return Subquery(query, question.tenant, text, question.leaf, steps.first_ns, steps.last_ns, steps.step_ns, named)


def leaf_of(subquery: Subquery, memory: QueryMemory) -> tuple[ColumnarLeaf, Scan]:
    """An empty leaf, and the scan of its units. Raises ParseError."""
    expr = parse_expr(subquery.text)
    assert not isinstance(expr, LogExpr)
    aggregation = distinct_leaves(expr)[subquery.leaf]
    steps = Steps(subquery.first_ns, subquery.last_ns, subquery.step_ns)
    plan = plan_leaf(aggregation)
    assert plan is not None, "only such leaves are shared"
    return ColumnarLeaf(plan, Windows(aggregation, steps, memory)), scan_of(subquery.tenant, aggregation, steps)


async def units_of(scanner: Scanner, scan: Scan, named: Sequence[NamedUnit]) -> list[LeafUnit]:
    """The units behind the names. Raises UnitsUnknown, and what `Scanner` raises."""
    keys = list(dict.fromkeys(one.index_key for one in named))
    wanted = {(one.index_key, one.chunk, one.row_group): one.excluded for one in named}
    found = [
        LeafUnit(unit, _rows(wanted[name]))
        for unit in await scanner.units_in(keys, scan)
        if (name := (unit.index_key, unit.chunk, unit.row_group)) in wanted
    ]
    if len(found) != len(wanted):
        raise UnitsUnknown(f"{len(wanted) - len(found)} of {len(wanted)} units are not there")
    return found


def _named(one: LeafUnit) -> NamedUnit:
    assert isinstance(one.unit, ChunkUnit)
    excluded = () if one.repeated is None else tuple(one.repeated.to_list())
    return NamedUnit(one.unit.index_key, one.unit.chunk, one.unit.row_group, excluded)


def _rows(excluded: tuple[int, ...]) -> pl.Series | None:
    return pl.Series(excluded, dtype=pl.UInt32) if excluded else None
