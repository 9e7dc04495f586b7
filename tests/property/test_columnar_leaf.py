"""Range aggregations over columns are those of the row-wise stages, whatever lines, metadata and queries there are."""

from hypothesis import given

from both_ways import Entry, Form
from hostile_entries import assert_columns_give_what_rows_give, forms, range_aggregations, records, steps
from log_aggregator.engine.steps import Steps
from log_aggregator.logql.ast import RangeAggregation


@given(leaf=range_aggregations(), records=records, forms=forms, times=steps)
def test_columns_give_what_rows_give(
    leaf: RangeAggregation, records: list[list[Entry]], forms: list[Form], times: Steps
) -> None:
    assert_columns_give_what_rows_give(leaf, records, forms, times)
