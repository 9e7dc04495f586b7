"""Parsers one after the other, mostly of lines that a runtime has put into lines of its own: columns equal rows."""

import json
from collections.abc import Callable
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from both_ways import STREAMS, Entry, Form
from hostile_entries import (
    FREE_LINES,
    JSON_KEYS,
    JSON_VALUES,
    LOGFMT_KEYS,
    LOGFMT_VALUES,
    METADATA_NAMES,
    SECOND_NS,
    VALUES,
    assert_columns_choose_what_rows_need,
    assert_columns_give_what_rows_give,
    forms,
    grouped_leaf,
    json_object,
    log_if_valid,
    steps,
)
from log_aggregator.engine.order import Direction
from log_aggregator.engine.steps import Steps
from log_aggregator.logql.ast import RangeAggregation

Writer = Callable[[], str]
# What stands where the line of a program should, as JSON.
OTHER_LOGS = ("5", "1.5", "null", "true", "{}", '{"level":"info"}', "[]", '["a"]', '""', '"\\u0000"', '"\\ud800"')
INNER_KEYS = ("level", "n", "d", "app", "env", "log", "stream", "trace", "level_extracted", "a")


def _json_writer(random: Random) -> Writer:
    """Of one program: its lines have the same keys."""
    keys = random.sample(INNER_KEYS, random.randint(1, 4))
    values = random.choice((("info", "5", "1h"), VALUES, (*VALUES, 'q"uote', "back\\slash", "two\nlines", "a=b", "{")))
    space, is_ascii, has_objects = (
        random.choice(((",", ":"), (", ", ": "))),
        random.random() < 0.5,
        random.random() < 0.3,
    )

    def line() -> str:
        members: dict[str, object] = {key: random.choice(values) for key in keys}
        if random.random() < 0.5:
            members[keys[0]] = random.choice((5, 1.5, True, None, 500))
        if has_objects:
            members["a"] = {"b": random.choice(values), "n": random.choice((5, [1, {"n": 2}], {}))}
        return json.dumps(members, separators=space, ensure_ascii=is_ascii)

    return line


def _logfmt_writer(random: Random) -> Writer:
    keys = random.sample(INNER_KEYS, random.randint(1, 4))
    values = random.choice((("info", "5", "1h", '"a b"'), LOGFMT_VALUES))
    return lambda: " ".join(f"{key}={random.choice(values)}" for key in keys)


def _hostile_writer(random: Random) -> Writer:
    def line() -> str:
        if random.random() < 0.5:
            members = [(random.choice(JSON_KEYS), random.choice(JSON_VALUES)) for _ in range(random.randint(0, 4))]
            return json_object(members, random.choice(("", " ")))
        words = (f"{random.choice(LOGFMT_KEYS)}={random.choice(LOGFMT_VALUES)}" for _ in range(random.randint(0, 4)))
        return " ".join(words)

    return line


def _in_json(random: Random, inner: Writer) -> Writer:
    keys = random.choice(
        (("log", "stream"), ("stream", "log", "time"), ("log",), ("level", "log", "n"), ("log", "log"))
    )
    end, is_ascii = random.choice(("", "\n", "\n")), random.random() < 0.3
    separator = random.choice(("", " "))

    def line() -> str:
        members = []
        for key in keys:
            if key == "log":
                own = random.choice(OTHER_LOGS) if random.random() < 0.03 else None
                members.append((key, own or json.dumps(inner() + end, ensure_ascii=is_ascii)))
            else:
                members.append((key, f'"{random.choice(("stdout", "stderr", "info", "5"))}"'))
        if random.random() < 0.03:
            members = [pair for pair in members if pair[0] != "log"]
        return json_object(members, separator)

    return line


def _packed(random: Random, inner: Writer) -> Writer:
    """As promtail's pack stage writes it, and others might."""
    keys = random.sample(("app", "level", "n", "trace", "level_extracted", "a.b", " level", "_entry", "é"), 3)
    is_hostile, is_ascii = random.random() < 0.5, random.random() < 0.3

    def line() -> str:
        members: list[tuple[str, str]] = [("_entry", json.dumps(inner(), ensure_ascii=is_ascii))]
        own = keys if is_hostile else ("n", "level")
        members += [(key, random.choice(JSON_VALUES) if is_hostile else f'"{random.choice(VALUES)}"') for key in own]
        if random.random() < 0.03:
            members = [(key, random.choice(OTHER_LOGS)) for key, _ in members]
        return json_object(random.sample(members, random.randint(1, len(members))) if is_hostile else members, "")

    return line


def _in_text(random: Random, inner: Writer) -> Writer:
    return lambda: f"2026-01-01T00:00:0{random.randint(0, 9)}Z {random.choice(('stdout', 'stderr'))} F {inner()}"


def _coloured(random: Random, inner: Writer) -> Writer:
    """In colours, as a program writes for a terminal, and with what is no sequence, or only becomes one."""
    colours = ("\x1b[31m", "\x1b[0m")
    others = ("\x1b[1;32m", "\x9b1m", "\x1b]0;title\x07", "\x1b", "\x1b[", "\x1b\x1b[0m[0m", "\x07")
    few = random.choice((colours, (*colours, *others)))

    def line() -> str:
        text = inner()
        for at in sorted((random.randint(0, len(text)) for _ in range(random.randint(0, 3))), reverse=True):
            text = f"{text[:at]}{random.choice(few)}{text[at:]}"
        return text

    return line


@st.composite
def records_of_runtimes(draw: st.DrawFn) -> list[list[Entry]]:
    random = Random(draw(st.integers(0, 2**32)))
    program = random.choice((_json_writer, _json_writer, _logfmt_writer, _logfmt_writer, _hostile_writer))(random)
    runtime = random.choice((_in_json, _in_json, _packed, _packed, _in_text, lambda _, inner: inner))(random, program)
    if random.random() < 0.3:
        runtime = _coloured(random, runtime)
    noise, metadata = random.choice((0, 0, 0.1)), random.choice((0, 0, 0, 0.2))
    streams = random.choice(((0,), (0,), (0, 1), (0, 2), tuple(range(len(STREAMS)))))

    def entry() -> Entry:
        line = runtime()
        if random.random() < noise:
            line = random.choice((*FREE_LINES, line[: random.randint(0, len(line))], program()))
        names = (*METADATA_NAMES, "log", "stream") if random.random() < metadata else ()
        own = {random.choice(names): random.choice(("info", "5", "a b"))} if names else {}
        return Entry(random.choice(streams), random.randint(0, 40) * SECOND_NS // 4, line, own)

    return [[entry() for _ in range(random.randint(1, 25))] for _ in range(random.randint(1, 3))]


NAMES = (
    "level",
    "n",
    "d",
    "app",
    "env",
    "log",
    "stream",
    "a_b",
    "trace",
    "level_extracted",
    "n_extracted",
    "__error__",
)
names = st.sampled_from(NAMES)
line_filters = st.builds(
    "{} {}".format, st.sampled_from(("|=", "!=", "|~", "!~")), st.sampled_from(("`info`", "`5`", "`stdout`", "`^$`"))
)
label_filters = st.one_of(
    st.builds('| {} {} "{}"'.format, names, st.sampled_from(("=", "!=")), st.sampled_from(("info", "", "5", "stdout"))),
    st.builds('| {} {} "{}"'.format, names, st.sampled_from(("=~", "!~")), st.sampled_from(("inf.*", "", ".+", ".*"))),
    st.builds("| {} {}".format, names, st.sampled_from((">= 5", "!= 5", "< 2h", "> 1KB", '= ip("1.2.3.0/24")'))),
    st.sampled_from(('| __error__ = ""', '| __error__ = ""', '| __error__ != ""', '| level = "info" or n > 1')),
)
other_stages = st.one_of(
    st.builds("| drop {}".format, names),
    st.builds("| keep {}, {}, log".format, names, names),
    st.builds("| label_format {}={}".format, st.sampled_from(("level", "log", "made")), names),
    st.sampled_from(("| drop __error__, __error_details__", "| drop __error__", "| label_format n=`{{.level}}`")),
)
first_parsers = st.sampled_from(
    (
        *("| json", "| json", "| json", "| json", "| json log", '| json log, level="stream"', "| logfmt", "| unpack"),
        *("| unpack", "| unpack"),
        "| regexp `^(?P<ts>\\S+) (?P<stream>stdout|stderr) (?P<flag>[FP]) (?P<log>.*)$`",
        *("| pattern `<_> <stream> <_> <log>`", "| pattern `<level> <_> <log>`"),
    )
)
parsers = st.sampled_from(
    (
        *("| json", "| json", "| json", "| logfmt", "| logfmt", "| logfmt --strict", "| logfmt --keep-empty"),
        *("| pattern `<level>=<n> <_>`", "| regexp `level=(?P<level>\\w+)( n=(?P<n>\\S+))?`", "| json level, n"),
        *("| logfmt level", "| unpack", "| pattern `<_> <stream> <_> <content>`"),
    )
)
makings = st.sampled_from(
    (
        *("| line_format `{{.log}}`",) * 6,
        *("", "", "| line_format `{{.level}}`", "| line_format `level={{.n}} {{.log}}`", "| line_format `{{.log}}\n`"),
        *("| line_format `{{.log | trim}}`", "| line_format `{{.stream}} {{.log}}`", "| line_format `{{.app}}={{.n}}`"),
    )
)


@st.composite
def pipelines(draw: st.DrawFn) -> str:
    some = st.lists(st.one_of(label_filters, label_filters, line_filters), max_size=1)
    few = st.lists(st.one_of(label_filters, label_filters, line_filters, other_stages), max_size=1)
    if draw(st.integers(0, 19)) == 0:
        return " ".join((*draw(some), "| decolorize", *draw(few), *draw(few)))
    stages = [
        *draw(some),
        draw(st.sampled_from(("", "", "| decolorize"))),
        *draw(some),
        draw(first_parsers),
        *draw(few),
        draw(makings),
        *draw(few),
        draw(parsers),
        *draw(few),
        *draw(st.just([]) | st.just([]) | st.tuples(makings, parsers).map(list)),
        *draw(few),
    ]
    return " ".join(stages)


unwraps = st.builds(
    "| unwrap {}{}".format,
    st.sampled_from(("n", "n", "duration(d)", "bytes(d)", "level")),
    st.sampled_from(("", ' | __error__ = ""', ' | __error__ = ""', " | n > 2")),
)


@st.composite
def range_aggregations(draw: st.DrawFn) -> RangeAggregation:
    unwrap = draw(st.sampled_from(("", "")) | unwraps)
    of_values = ("sum_over_time", "max_over_time", "first_over_time", "avg_over_time")
    operation = draw(st.sampled_from(of_values if unwrap else ("count_over_time",) * 4 + ("rate", "bytes_over_time")))
    labels = ", ".join(draw(st.lists(names, max_size=2, unique=True)))
    grouping = draw(st.sampled_from((*(f"by ({labels})",) * 4, f"without ({labels})", "")))
    text = f'{operation}({{app=~".+"}} {draw(pipelines())} {unwrap} [7s])'
    return grouped_leaf(draw, text, grouping, is_own=operation in of_values[1:])


@settings(max_examples=300)
@given(leaf=range_aggregations(), records=records_of_runtimes(), forms=forms, times=steps)
def test_columns_give_what_rows_give(
    leaf: RangeAggregation, records: list[list[Entry]], forms: list[Form], times: Steps
) -> None:
    assert_columns_give_what_rows_give(leaf, records, forms, times)


@settings(max_examples=200)
@given(pipelines(), records_of_runtimes(), forms, st.sampled_from(("forward", "backward")), st.integers(1, 12))
def test_columns_choose_what_rows_need(
    stages: str, records: list[list[Entry]], forms: list[Form], direction: Direction, limit: int
) -> None:
    assert_columns_choose_what_rows_need(log_if_valid(stages), records, forms, direction, limit)
