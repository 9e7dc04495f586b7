"""Log queries whose rows were chosen on columns have the entries that every row's pipeline gives."""

from hypothesis import event, given
from hypothesis import strategies as st

from both_ways import Entry, Form, batches_of, log_by_columns, log_by_rows
from hostile_entries import forms, log_expressions, records
from log_aggregator.engine.order import Direction
from log_aggregator.logql.ast import LogExpr


@given(log_expressions(), records, forms, st.sampled_from(("forward", "backward")), st.integers(1, 12))
def test_columns_choose_what_rows_need(
    expr: LogExpr, records: list[list[Entry]], forms: list[Form], direction: Direction, limit: int
) -> None:
    records = [own + own[: len(own) // 2] for own in records]  # some are pushed again
    batches = batches_of(records, forms)
    expected = log_by_rows(expr, batches, direction, limit)
    event(f"full: {len(expected) == limit}")
    assert log_by_columns(expr, batches, direction, limit) == expected
