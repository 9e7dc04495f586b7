"""Log queries whose rows were chosen on columns have the entries that every row's pipeline gives."""

from hypothesis import given
from hypothesis import strategies as st

from both_ways import Entry, Form
from hostile_entries import assert_columns_choose_what_rows_need, forms, log_expressions, records
from log_aggregator.engine.order import Direction
from log_aggregator.logql.ast import LogExpr


@given(log_expressions(), records, forms, st.sampled_from(("forward", "backward")), st.integers(1, 12))
def test_columns_choose_what_rows_need(
    expr: LogExpr, records: list[list[Entry]], forms: list[Form], direction: Direction, limit: int
) -> None:
    records = [own + own[: len(own) // 2] for own in records]  # some are pushed again
    assert_columns_choose_what_rows_need(expr, records, forms, direction, limit)
