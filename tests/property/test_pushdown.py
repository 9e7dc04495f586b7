"""A grouping that is pushed into a range aggregation changes neither its values nor what fails."""

from hypothesis import given, reject
from hypothesis import strategies as st

from both_ways import Entry, assert_same, batches_of, by_columns, by_rows
from hostile_entries import EXTREMES, label_stages, names, parsers, records, steps, unwraps
from log_aggregator.engine.batch import Batch
from log_aggregator.engine.leaf_plan import plan_leaf
from log_aggregator.engine.metric import evaluate
from log_aggregator.engine.pushdown import push_down
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Vector
from log_aggregator.logql.ast import LogExpr, MetricExpr
from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.leaves import leaves_of
from log_aggregator.logql.parser import parse_expr


@st.composite
def extremes(draw: st.DrawFn) -> MetricExpr:
    operation = draw(st.sampled_from(EXTREMES))
    stages = [draw(parsers), *draw(st.lists(label_stages, max_size=2))]
    by = f"by ({', '.join(draw(st.lists(names, max_size=2, unique=True)))})"
    grouping = draw(st.sampled_from(("", by, by)))
    pipeline = " ".join(f"| {stage}" for stage in stages)
    text = f'{operation[:3]} {grouping} ({operation}({{app=~".+"}} {pipeline} {draw(unwraps)} [2s]))'
    try:
        expr = parse_expr(text)
    except ParseError:
        reject()
    assert not isinstance(expr, LogExpr)
    return expr


@given(expr=extremes(), records=records, times=steps)
def test_extremes_are_those_of_all_series(expr: MetricExpr, records: list[list[Entry]], times: Steps) -> None:
    # Loki loses series that show it; with the grouping below, few labels show.
    legible = [[one for one in record if not is_illegible(one)] for record in records]
    legible = [record for record in legible if record]
    if not legible:
        reject()
    batches = batches_of(legible, ["record"] * len(legible))
    expected = answer(expr, batches, times)
    assert_same(expected, answer(push_down(expr), batches, times))
    (leaf,) = leaves_of(push_down(expr))
    plan = plan_leaf(leaf)
    if plan is not None:
        assert_same(by_rows(leaf, batches, times), by_columns(plan, batches, times))


def is_illegible(entry: Entry) -> bool:
    return "\ufffd" in "".join((entry.line, *entry.metadata.values()))


def answer(expr: MetricExpr, batches: list[Batch], times: Steps) -> list[Vector] | None:
    """None where the pipeline fails."""
    (leaf,) = leaves_of(expr)
    vectors = by_rows(leaf, batches, times)
    return None if vectors is None else evaluate(expr, {leaf: vectors}, times)
