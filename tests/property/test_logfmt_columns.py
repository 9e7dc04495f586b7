"""What columns tell of lines of words and pairs is what the logfmt stage finds in each of them, however it parses."""

import polars as pl
from hypothesis import event, given, settings
from hypothesis import strategies as st

from both_ways import hard_lines
from log_aggregator.engine.entry_labels import Demand, EntryLabels
from log_aggregator.engine.logfmt import compile_logfmt
from log_aggregator.engine.parsers import labels_of
from log_aggregator.engine.readers import reader_of
from log_aggregator.logql.ast import LogExpr, LogfmtStage
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.segment import LINE

assert hard_lines.FEWEST_LINES_OF_TEXT == 0  # else a few lines would not be looked at

NAMES = ("level", "n", "a_b", "made", "x", "level_extracted")
KEYS = ("level", "n", "a.b", "a_b", "made", "x", "é", "\xa0level", "level_extracted", "-n", "msg", "1", "\ufffd")
VALUES = (
    *('=""', "=", "", "=info", '="a b"', "=5", '="level=5 n"', '="q\\"x"', '="\\x"', '="\\u00e9"'),
    '="open',
    "==5",
)
WORDS = ("started", '"quoted', "(n=3)", "=x", '"level=1', "a=b=c", 'x"y', "level:", "\ufffd")
STAGES = (
    *("logfmt", "logfmt --strict", "logfmt --keep-empty", "logfmt --strict --keep-empty"),
    *("logfmt level, n", "logfmt --strict level, n", 'logfmt made="level", x="n"', 'logfmt --strict made="a_b", n'),
    *('logfmt made="a_b", level', 'logfmt level="n", n="level"', 'logfmt --keep-empty x="level"'),
)

pairs = st.builds("{}{}".format, st.sampled_from(KEYS), st.sampled_from(VALUES))
words = pairs | pairs | st.sampled_from(WORDS)
usual = st.builds("{}{}".format, st.sampled_from(KEYS[:2]), st.sampled_from(VALUES[:6])) | st.sampled_from(WORDS[:1])
lines = st.lists(words, max_size=4).map(" ".join) | st.lists(usual, max_size=4).map(" ".join)
lines = lines | st.builds("{}{}".format, lines, st.sampled_from(("\n", " ", '"', '\tx="')))


@settings(max_examples=300)
@given(
    st.sampled_from(STAGES), st.lists(lines, min_size=1, max_size=20), st.sets(st.sampled_from(NAMES)), st.booleans()
)
def test_columns_tell_what_the_stage_finds(text: str, lines: list[str], names: set[str], is_all: bool) -> None:
    expr = parse_expr(f'{{app="x"}} | {text}')
    assert isinstance(expr, LogExpr)
    (stage,) = expr.stages
    assert isinstance(stage, LogfmtStage)
    demand = Demand(None if is_all else frozenset(names))
    read = reader_of([stage], demand).read(pl.DataFrame({LINE: lines}), None, names)
    easy = [True] * len(lines) if read.easy is None else read.easy.to_list()
    event(f"easy: {sum(easy) * 4 // len(lines)}")
    for row, line in enumerate(lines):
        if not easy[row]:
            continue
        labels = EntryLabels(0, {}, {}, demand)
        compile_logfmt(stage)(line, labels)
        assert not labels.error
        for name in names:
            told = read.values[name][row]
            default = "" if name in labels_of(stage) else None
            assert (default if told is None else told) == labels.get(name), line
