"""Log queries whose rows were chosen on columns have the entries that every row's pipeline gives."""

from hypothesis import event, given, reject, settings
from hypothesis import strategies as st

from both_ways import Entry, Form, batches_of, log_by_columns, log_by_rows
from hostile_entries import forms, label_stages, line_filters, parsers, records
from log_aggregator.engine.order import Direction
from log_aggregator.logql.ast import LogExpr
from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.parser import parse_expr

other_stages = st.sampled_from(("line_format `{{.level}} {{.n}}`", "decolorize", "json", "logfmt", "unpack"))


@st.composite
def queries(draw: st.DrawFn) -> LogExpr:
    stages = [
        *draw(st.lists(line_filters, max_size=1)),
        *draw(st.lists(parsers.map("| {}".format), max_size=1)),
        *draw(st.lists(label_stages.map("| {}".format), max_size=2)),
        *draw(st.lists(other_stages.map("| {}".format), max_size=1)),
        *draw(st.lists(label_stages.map("| {}".format) | line_filters, max_size=1)),
    ]
    try:
        expr = parse_expr(f'{{app=~".+"}} {" ".join(stages)}')
    except ParseError:
        reject()
    assert isinstance(expr, LogExpr)
    return expr


@settings(deadline=None)
@given(queries(), records, forms, st.sampled_from(("forward", "backward")), st.integers(1, 12))
def test_columns_choose_what_rows_need(
    expr: LogExpr, records: list[list[Entry]], forms: list[Form], direction: Direction, limit: int
) -> None:
    records = [own + own[: len(own) // 2] for own in records]  # some are pushed again
    batches = batches_of(records, forms)
    expected = log_by_rows(expr, batches, direction, limit)
    event(f"full: {len(expected) == limit}")
    assert log_by_columns(expr, batches, direction, limit) == expected
