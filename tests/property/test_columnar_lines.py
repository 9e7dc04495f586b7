"""Line filters and the pattern stage over columns are those of single lines."""

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from log_aggregator.engine.columnar import line_filter_expression, push_line_filters
from log_aggregator.engine.line_filter import compile_line_filter
from log_aggregator.engine.pattern_columns import pattern_columns
from log_aggregator.engine.pipeline import compile_pipeline
from log_aggregator.engine.text_stages import captures
from log_aggregator.logql.ast import LineFilterStage, LineOperand, LogExpr, Stage
from log_aggregator.logql.parser import parse_expr
from log_aggregator.logql.pattern import UNNAMED, InvalidPattern, parse_pattern
from log_aggregator.model.segment import LINE

lines = st.text("ab 1éskK\u212a\u017f\n.\ufffd\\", max_size=10)
texts = st.text("ab 1é\n.\ufffd\\", max_size=3)
regexes = st.sampled_from(
    (
        "",
        "a",
        "a|b",
        "^a",
        "b$",
        "(?i)A",
        "a.b",
        r"\d+",
        "[^a]",
        "(?s)a.b",
        "é+",
        r"\\",
        "^$",
        ".*",
        ".+",
        "a|",
        "a.*(bb|1)",
        "(?i)K",
        "(?i)sk",
    )
)
literal_filters = st.builds(
    LineFilterStage,
    st.sampled_from(("|=", "!=")),
    st.lists(st.builds(LineOperand, texts), min_size=1, max_size=3).map(tuple),
)
regex_filters = st.builds(
    LineFilterStage,
    st.sampled_from(("|~", "!~")),
    st.lists(st.builds(LineOperand, regexes), min_size=1, max_size=3).map(tuple),
)
other_filters = st.sampled_from(
    (
        LineFilterStage("|~", (LineOperand(r"\pL\d"),)),
        LineFilterStage("|=", (LineOperand("1.1.1.1", is_ip=True),)),
        LineFilterStage("|=", (LineOperand("a"), LineOperand("1.1.1.1", is_ip=True))),
        LineFilterStage("|>", (LineOperand("<_>a"),)),
        LineFilterStage("!>", (LineOperand("a<_>"), LineOperand("<_> <_>"))),
    )
)
filters = literal_filters | regex_filters | other_filters
PIECES = ("a", "b", " ", "ab", "é", "\ufffd", "<x>", "<y>", "<_>", "<a_b>")
patterns = st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join)


@given(filters, st.lists(lines, max_size=8))
def test_masks_keep_what_filters_keep(stage: LineFilterStage, texts: list[str]) -> None:
    frame = pl.DataFrame({LINE: texts}, schema={LINE: pl.String})
    kept = frame.filter(line_filter_expression(stage))[LINE].to_list()
    assert kept == list(filter(compile_line_filter(stage), texts))


OTHER_STAGES = tuple(
    stage
    for text in ("| decolorize", '| line_format "b{{__line__}}"', "| logfmt", '| a="" or b!="1"', "| drop a")
    if isinstance(expr := parse_expr(f'{{app="shop"}} {text}'), LogExpr)
    for stage in expr.stages
)


@given(st.lists(filters | st.sampled_from(OTHER_STAGES), max_size=5).map(tuple), st.lists(lines, max_size=8))
def test_pushed_filters_and_the_rest_are_the_whole_pipeline(stages: tuple[Stage, ...], texts: list[str]) -> None:
    pushed = push_line_filters(stages)
    frame = pl.DataFrame({LINE: texts}, schema={LINE: pl.String}).with_row_index("row")
    kept = frame if pushed.predicate is None else frame.filter(pushed.predicate)
    whole, rest = compile_pipeline(stages), compile_pipeline(pushed.rest)
    expected = [(row, whole.process(row, line, (), {})) for row, line in enumerate(texts)]
    found = {row: rest.process(row, line, (), {}) for row, line in kept.iter_rows()}
    assert [(row, found.get(row)) for row in range(len(texts))] == expected


@given(
    patterns, st.lists(lines | patterns, min_size=1, max_size=8), st.sets(st.sampled_from(("x", "y", "_", "a_b", "no")))
)
@example("<x>a<y>b<_>", ["bab", "ab", "b"], {"x", "y"})  # the second literal, found too early
def test_columns_capture_what_lines_have(pattern: str, texts: list[str], names: set[str]) -> None:
    try:
        parsed = parse_pattern(pattern)
        parsed.check_captures()
    except InvalidPattern:
        return
    found = pattern_columns(pattern, pl.Series(texts), sorted(names))
    assert found.keys() == names
    for row, text in enumerate(texts):
        expected = {name: value for name, value in captures(parsed, text) if name != UNNAMED}
        assert {name: column[row] for name, column in found.items()} == {name: expected.get(name) for name in names}
