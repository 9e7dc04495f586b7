"""Range aggregations over columns are those of the row-wise stages, whatever lines, metadata and queries there are."""

from hypothesis import assume, event, given, reject, settings
from hypothesis import strategies as st

from both_ways import Entry, Form, assert_same, batches_of, by_columns, by_rows, leaf_of
from hostile_entries import SECOND_NS, forms, label_stages, line_filters, names, parsers, records
from log_aggregator.engine.leaf_plan import plan_leaf
from log_aggregator.engine.steps import Steps
from log_aggregator.logql.ast import RangeAggregation
from log_aggregator.logql.errors import ParseError

unwraps = st.builds(
    "| unwrap {}{}".format,
    st.sampled_from(("n", "duration(d)", "bytes(d)", "duration_seconds(d)", "level", "n_extracted", "n")),
    st.sampled_from(("", "", ' | __error__ = ""', " | level = `info`", " | n > 2", ' | app = "shop" or env = "prod"')),
)
OF_LINES = ("count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time")
OF_VALUES = (
    *("sum_over_time", "avg_over_time", "max_over_time", "min_over_time", "stddev_over_time", "stdvar_over_time"),
    *("first_over_time", "last_over_time", "rate", "rate_counter", "quantile_over_time", "absent_over_time"),
)
GROUPED = frozenset(OF_VALUES[1:8]) | {"quantile_over_time"}


@st.composite
def queries(draw: st.DrawFn) -> RangeAggregation:
    unwrap = draw(st.just("") | unwraps)
    operation = draw(st.sampled_from(OF_VALUES if unwrap else OF_LINES))
    stages = [
        *draw(st.lists(line_filters, max_size=1)),
        *draw(st.lists(parsers.map("| {}".format), max_size=1)),
        *draw(st.lists(label_stages.map("| {}".format), max_size=3)),
    ]
    range_text = draw(st.sampled_from(("1s", "2s", "1500ms", "1ms", "7s")))
    offset = draw(st.sampled_from(("", "", " offset 1s", " offset -700ms")))
    quantile = draw(st.sampled_from(("0", "0.5", "0.99", "1", "2")))
    parameter = f"{quantile}, " if operation == "quantile_over_time" else ""
    labels = draw(st.lists(names, max_size=2, unique=True))
    by, without = (f"{word} ({', '.join(labels)})" for word in ("by", "without"))
    grouping = draw(st.sampled_from((by, by, by, by, without, "")))
    text = f'{operation}({parameter}{{app=~".+"}} {" ".join(stages)} {unwrap} [{range_text}]{offset})'
    if operation in GROUPED:
        text = f"{text} {grouping}"
    elif grouping or draw(st.booleans()):
        text = f"sum {grouping} ({text})"
    try:
        return leaf_of(text)
    except ParseError:
        reject()


steps = st.builds(
    lambda first, count, step: Steps(first, first + count * step, step),
    st.integers(0, 8).map(lambda half: half * SECOND_NS // 2),
    st.integers(0, 12),
    st.sampled_from((SECOND_NS, SECOND_NS // 2, 700_000_000, 3 * SECOND_NS, SECOND_NS // 50)),
)


@settings(deadline=None)
@given(leaf=queries(), records=records, forms=forms, times=steps)
def test_columns_give_what_rows_give(
    leaf: RangeAggregation, records: list[list[Entry]], forms: list[Form], times: Steps
) -> None:
    plan = plan_leaf(leaf)
    assume(plan is not None)
    assert plan is not None
    batches = batches_of(records, forms)
    expected = by_rows(leaf, batches, times)
    event(f"fails: {expected is None}, empty: {expected is not None and not any(expected)}")
    assert_same(expected, by_columns(plan, batches, times))
