"""Lines that line_format makes of labels: columns tell of them what the row-wise stages do."""

import json
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from both_ways import Entry, Form
from hostile_entries import (
    FREE_LINES,
    METADATA_NAMES,
    SECOND_NS,
    VALUES,
    assert_columns_choose_what_rows_need,
    assert_columns_give_what_rows_give,
    forms,
    grouped_leaf,
    log_if_valid,
    steps,
)
from log_aggregator.engine.order import Direction
from log_aggregator.engine.steps import Steps
from log_aggregator.logql.ast import RangeAggregation

TEXTS = (*VALUES, "timeout", 'q"uote', "back\\slash", "a=b", "two\nlines", "{", "level=info", "\x00", "ſ K")
KEYS = ("level", "n", "msg", "status", "dur", "log")


def _logfmt(pairs: dict[str, str]) -> str:
    def quoted(text: str) -> str:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"' if set(text) & set(' "=\\') else text

    return " ".join(f"{key}={quoted(value)}" for key, value in pairs.items())


@st.composite
def records_of_containers(draw: st.DrawFn) -> list[list[Entry]]:
    """What programs write, most of them to a runtime that writes it once more, within JSON, logfmt or text."""
    random = Random(draw(st.integers(0, 2**32)))
    texts = random.choice((TEXTS, ("info", "warn", "5", "404", "1h", "a b"), ("info", "5", "timeout")))
    orders = [random.sample(KEYS, random.randint(1, 4)) for _ in range(2)]
    writers = random.choice(((json.dumps,), (_logfmt,), (json.dumps, json.dumps, json.dumps, _logfmt, str)))
    outer = random.choice((("log", "stream"), ("level", "log"), ("log", "n", "msg"), ()))
    around, end = random.choice((json.dumps, json.dumps, _logfmt, "")), random.choice(("", "\n"))
    streams = random.choice(((0,), (0, 1), (0, 2), (0, 3)))

    def line() -> str:
        if random.random() < 0.05:
            return random.choice(FREE_LINES)
        inner = random.choice(writers)({key: random.choice(texts) for key in random.choice(orders)})
        if not outer:
            return inner
        if isinstance(around, str):
            return f"2026-01-01T00:00:0{random.randint(0, 9)}Z stdout F {inner}"
        fields = {key: f"{inner}{end}" if key == "log" else random.choice(texts) for key in outer}
        if random.random() < 0.05:
            fields.pop("log", None)
        text = around(fields)
        return text[: random.randint(0, len(text))] if random.random() < 0.03 else text

    def entry() -> Entry:
        own = {random.choice((*METADATA_NAMES, "log", "msg")): "5"} if random.random() < 0.05 else {}
        return Entry(random.choice(streams), random.randint(0, 40) * SECOND_NS // 4, line(), own)

    return [[entry() for _ in range(random.randint(1, 25))] for _ in range(random.randint(1, 3))]


names = st.sampled_from((*KEYS, "app", "env", "stream", "level_extracted", "log_extracted", "content", "__error__"))
templates = st.sampled_from(
    (
        *("{{.log}}", "{{.log}}", "{{.log}}", "{{.msg}}", "{{.content}}", "{{.level}}: {{.msg}}", "{{.n}} {{.n}}"),
        *("x", "", "{{.none}}", "{{.app}}{{.env}}", "level={{.n}} {{.log}}", '{"level":"{{.level}}"}', "é{{.stream}}é"),
        *("{{.level_extracted}}", "{{.__error__}}", "{{.msg | upper}}", "{{.log}}{{.stream}}"),
    )
)
operands = st.sampled_from(("`timeout`", "`info`", "``", "`5`", "`é`", "`: `", "`(?i)INF`", "`^$`", "`k|ſ`", '"\\n"'))
line_filters = st.one_of(
    st.builds("{} {}".format, st.sampled_from(("|=", "!=", "|~", "!~")), operands),
    st.builds("{} {} or {}".format, st.sampled_from(("|=", "!=", "|~", "!~")), operands, operands),
    st.builds('{} ip("1.2.3.0/24")'.format, st.sampled_from(("|=", "!="))),
    st.builds("{} `<_>{}<_>`".format, st.sampled_from(("|>", "!>")), st.sampled_from((": ", "info", "="))),
)
label_filters = st.one_of(
    st.builds('| {} {} "{}"'.format, names, st.sampled_from(("=", "!=")), st.sampled_from(("info", "", "5"))),
    st.builds('| {} {} "{}"'.format, names, st.sampled_from(("=~", "!~")), st.sampled_from(("inf.*", "", ".+"))),
    st.builds("| {} {}".format, names, st.sampled_from(("> 5", "!= 5", "< 2h", "> 1KB", '= ip("1.2.3.0/24")'))),
    st.just('| __error__ = ""'),
)
other_stages = st.one_of(
    st.builds("| drop {}".format, names),
    st.builds("| keep {}, {}, log".format, names, names),
    st.builds("| label_format {}={}".format, st.sampled_from(("level", "msg", "made")), names),
    st.sampled_from(("| label_format level=`{{.n}}`", "| drop __error__, __error_details__", "| decolorize")),
)
parsers = st.sampled_from(
    (
        *("| json", "| json", "| json", "| logfmt", "| logfmt", "| json log", '| json level="log", n', "| logfmt log"),
        *("| logfmt --strict", "| logfmt --keep-empty", "| regexp `^\\S+ \\S+ \\S+ (?P<content>.*)$`", "| unpack"),
        *("| pattern `<_> <stream> <_> <content>`", "| pattern `<level>=<_> <msg>`", "| regexp `(?P<level>inf?)`"),
    )
)
between = st.lists(st.one_of(line_filters, label_filters, other_stages), max_size=2)
# Between other quotes, for a byte that is no character.
makings = st.builds("| line_format {}".format, templates.map(lambda text: f"`{text}`")) | st.just(
    r'| line_format "{{.level}}\xff"'
)


plain_parsers = st.sampled_from(("| json", "| json", "| logfmt", "| logfmt", "| json log", "| logfmt level, n"))
plain_texts = st.sampled_from(("{{.level}}: {{.n}}", "{{.log}}", "{{.msg}}", "{{.n}}{{.level}}", "{{.level}}", "x"))
changes = st.one_of(label_filters, st.builds("| drop {}".format, names), st.builds("| keep {}, log".format, names))


@st.composite
def filters_of_made_lines(draw: st.DrawFn) -> str:
    """What columns can decide, for the most part."""
    stages = [
        draw(plain_parsers),
        *draw(st.lists(changes, max_size=1)),
        *(f"| line_format `{text}`" for text in draw(st.lists(plain_texts, min_size=1, max_size=2))),
        *draw(st.lists(changes, max_size=1)),
        *draw(st.lists(line_filters, min_size=1, max_size=2)),
    ]
    return " ".join(stages)


@st.composite
def any_pipelines(draw: st.DrawFn) -> str:
    stages = [
        *draw(st.lists(st.one_of(line_filters, label_filters), max_size=1)),
        *draw(st.lists(parsers, min_size=1, max_size=1) | parsers.flatmap(lambda one: st.just([one, "| logfmt"]))),
        *draw(between),
        draw(makings),
        *draw(between),
        *draw(st.lists(parsers, max_size=1)),
        *draw(between),
        *draw(st.just([]) | st.tuples(makings, line_filters | parsers).map(list)),
    ]
    return " ".join(stages)


pipelines = filters_of_made_lines() | filters_of_made_lines() | any_pipelines()
unwraps = st.builds(
    "| unwrap {}{}".format,
    st.sampled_from(("n", "status", "duration(dur)", "bytes(dur)", "level")),
    st.sampled_from(("", ' | __error__ = ""', " | n > 2")),
)


@st.composite
def range_aggregations(draw: st.DrawFn) -> RangeAggregation:
    unwrap = draw(st.sampled_from(("", "", "")) | unwraps)
    counted = (*("count_over_time",) * 5, "rate", *("bytes_over_time",) * 3)
    operation = draw(st.sampled_from(("sum_over_time", "max_over_time", "first_over_time") if unwrap else counted))
    labels = ", ".join(draw(st.lists(names, max_size=2, unique=True)))
    grouping = draw(st.sampled_from((f"by ({labels})", f"by ({labels})", f"by ({labels})", f"without ({labels})", "")))
    text = f'{operation}({{app=~".+"}} {draw(pipelines)} {unwrap} [7s])'
    return grouped_leaf(draw, text, grouping, is_own=operation in ("max_over_time", "first_over_time"))


@settings(max_examples=300)
@given(leaf=range_aggregations(), records=records_of_containers(), forms=forms, times=steps)
def test_columns_give_what_rows_give(
    leaf: RangeAggregation, records: list[list[Entry]], forms: list[Form], times: Steps
) -> None:
    assert_columns_give_what_rows_give(leaf, records, forms, times)


@settings(max_examples=300)
@given(pipelines, records_of_containers(), forms, st.sampled_from(("forward", "backward")), st.integers(1, 12))
def test_columns_choose_what_rows_need(
    stages: str, records: list[list[Entry]], forms: list[Form], direction: Direction, limit: int
) -> None:
    assert_columns_choose_what_rows_need(log_if_valid(stages), records, forms, direction, limit)
