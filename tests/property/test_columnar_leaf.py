"""Range aggregations over columns are those of the row-wise stages, whatever lines, metadata and queries there are."""

from hypothesis import assume, event, given, settings

from both_ways import Entry, Form, assert_same, batches_of, by_columns, by_rows
from hostile_entries import forms, range_aggregations, records, steps
from log_aggregator.engine.leaf_plan import plan_leaf
from log_aggregator.engine.steps import Steps
from log_aggregator.logql.ast import RangeAggregation


@settings(deadline=None)
@given(leaf=range_aggregations(), records=records, forms=forms, times=steps)
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
