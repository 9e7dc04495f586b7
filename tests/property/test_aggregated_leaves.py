"""An aggregation of many series over columns gives just what it makes of their vectors, and these are those of rows."""

from hypothesis import assume, event, given, reject
from hypothesis import strategies as st

from both_ways import Entry, Form, add_columns, assert_same, batches_of, by_rows
from hostile_entries import (
    OF_LINES,
    OF_VALUES,
    forms,
    label_stages,
    line_filters,
    names,
    parsers,
    records,
    steps,
    unwraps,
)
from log_aggregator.engine.columnar_leaf import ColumnarLeaf
from log_aggregator.engine.leaf_plan import plan_leaf
from log_aggregator.engine.metric import aggregated_leaves, evaluate
from log_aggregator.engine.pushdown import push_down
from log_aggregator.engine.samples import PipelineFailed
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Vector
from log_aggregator.engine.windows import Windows
from log_aggregator.logql.ast import LogExpr, RangeAggregation, VectorAggregation
from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.parser import parse_expr

OPERATIONS = ("sum", "avg", "avg", "count", "max", "min", "stddev", "stdvar", "topk", "bottomk")


@st.composite
def aggregations(draw: st.DrawFn) -> tuple[RangeAggregation, VectorAggregation]:
    """Of series with all their labels."""
    unwrap = draw(st.sampled_from(("", "", "| unwrap n", '| unwrap n | __error__ = ""')) | unwraps)
    inner = draw(st.sampled_from(OF_VALUES if unwrap else OF_LINES))
    stages = [
        f"| {draw(parsers)}",
        draw(st.sampled_from(("", '| __error__ = ""', '| __error__ = ""', "| drop __error__, __error_details__"))),
        *draw(st.lists(label_stages.map("| {}".format) | line_filters, max_size=1)),
    ]
    operation = draw(st.sampled_from(OPERATIONS))
    labels = ", ".join(draw(st.lists(names, max_size=2, unique=True)))
    grouping = draw(st.sampled_from(("", f"by ({labels})", f"by ({labels})", f"without ({labels})")))
    count = f"{draw(st.integers(1, 3))}, " if operation.endswith("k") else ""
    quantile = "0.5, " if inner == "quantile_over_time" else ""
    range_text = draw(st.sampled_from(("1s", "2s", "1500ms", "7s")))
    leaf = f'{inner}({quantile}{{app=~".+"}} {" ".join(stages)} {unwrap} [{range_text}])'
    try:
        expr = parse_expr(f"{operation} {grouping} ({count}{leaf})")
    except ParseError:
        reject()
    assert not isinstance(expr, LogExpr)
    found = aggregated_leaves(push_down(expr))
    assume(found)
    return next(iter(found.items()))


@given(both=aggregations(), records=records, forms=forms, times=steps)
def test_columns_give_what_vectors_give(
    both: tuple[RangeAggregation, VectorAggregation], records: list[list[Entry]], forms: list[Form], times: Steps
) -> None:
    leaf, expr = both
    plan = plan_leaf(leaf)
    assume(plan is not None)
    assert plan is not None
    batches = batches_of(records, forms)
    columnar = ColumnarLeaf(plan, Windows(leaf, times))
    try:
        for batch in batches:
            add_columns(columnar, batch)
    except PipelineFailed:
        event("fails")
        assert by_rows(leaf, batches, times) is None
        return
    vectors = columnar.vectors()
    event(f"series: {min(len({labels for vector in vectors for labels, _ in vector}), 3)}")
    assert_same(by_rows(leaf, batches, times), vectors)
    assert told(columnar.aggregated(expr)) == told(evaluate(expr, {leaf: vectors}, times))


def told(vectors: list[Vector]) -> str:
    """To the last digit, and in their order. NaN is NaN."""
    return repr(vectors)
