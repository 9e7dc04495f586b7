"""Hostile entries and queries, for tests that hold columns to rows."""

from collections.abc import Sequence
from random import Random

from hypothesis import assume, event, reject
from hypothesis import strategies as st

from both_ways import (
    FORMS,
    STREAMS,
    Entry,
    Form,
    assert_same,
    batches_of,
    by_columns,
    by_rows,
    leaf_of,
    log_by_columns,
    log_by_rows,
)
from log_aggregator.engine.leaf_plan import plan_leaf
from log_aggregator.engine.order import Direction
from log_aggregator.engine.steps import Steps
from log_aggregator.logql.ast import LogExpr, RangeAggregation
from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.parser import parse_expr

SECOND_NS = 1_000_000_000
METADATA_NAMES = ("trace", "level", "n", "app", "env", "level_extracted")
VALUES = (
    *("info", "warn", "", "5", "1.5", "-3", "007", "1e3", "abc", "1h", "5KB", "1.2.3.4", "é"),
    *("\ufffd", "a b", "0x1F"),
)


JSON_KEYS = (
    *("level", "n", "d", "app", "env", "level_extracted", "n_extracted", "dotted.key", "dotted_key", "_", "1x", "é"),
    *(" level ", "", "__error__", "__kind__", "trace", "_entry", "_entry"),
)
JSON_VALUES = (
    *(f'"{value}"' for value in VALUES),
    *("5", "1.5", "-3", "007", "1e3", "-0", "12345678901234567890", "0.10", "true", "false", "null", "nul", "--"),
    *("[]", '[1, "a", null]', '[{"n":1}]', r'"q\"uote"', r'"\u00e9"', r'"\ud800"', r'"back\\slash"', '"\t"', "{}"),
)
LOGFMT_KEYS = ("level", "n", "d", "app", "env", "level_extracted", "dotted.key", "dotted_key", "_", "1x", "é", "trace")
LOGFMT_VALUES = (*VALUES[:13], "a=b", '"a b"', '"5"', '""', r'"q\"uote"', '"open', '"a"b', "\ufffd", "back\\slash")
FREE_LINES = ("", " ", "plain text", "GET /x 200 5", "GET /y 404 \ufffd", "level=", "{", "{}", "é", '{"level":"info"}x')

json_scalars = st.sampled_from(JSON_VALUES)
json_keys = st.sampled_from(JSON_KEYS)


def json_object(members: Sequence[tuple[str, str]], separator: str) -> str:
    return "{" + f",{separator}".join(f'"{key}":{separator}{value}' for key, value in members) + "}"


json_flat = st.builds(
    json_object, st.lists(st.tuples(json_keys, json_scalars), max_size=5), st.sampled_from(("", "", " "))
)
json_lines = st.builds(
    json_object, st.lists(st.tuples(json_keys, json_scalars | json_flat), max_size=5), st.sampled_from(("", "", " "))
)
# The lines of a program, which differ in values alone.
uniform_json = st.builds(
    lambda level, n, d: f'{{"level":"{level}","n":{n},"d":"{d}","a":{{"b":"{level}"}}}}',
    st.sampled_from(("info", "warn", "é", "abc")),
    st.sampled_from(("5", "1.5", "-3", "007", '"abc"', "0.25", '[5,"x"]')),
    st.sampled_from(("1h", "5KB", "1.2.3.4", "", "5")),
)
uniform_logfmt = st.builds(
    lambda level, n, d: f"level={level} n={n} d={d}",
    st.sampled_from(("info", "warn", "é", '"a b"')),
    st.sampled_from(("5", "1.5", "-3", "007", "abc", "0.25")),
    st.sampled_from(("1h", "5KB", "1.2.3.4", "5")),
)
logfmt_lines = st.lists(
    st.sampled_from(LOGFMT_KEYS)
    | st.builds("{}={}".format, st.sampled_from(LOGFMT_KEYS), st.sampled_from(LOGFMT_VALUES)),
    max_size=5,
).map(" ".join)
# As Kubernetes' components write them.
pairs_in_text = st.builds(
    "{} {} {}".format,
    st.sampled_from(("I0115 10:00:00.000001       1 main.go:7]", "level n", '"', "x\t")),
    st.sampled_from(('"Started it"', '"no end', "level", '"a level=5 b"', "")),
    logfmt_lines,
)
whole_lines = st.one_of(
    uniform_json, uniform_logfmt, json_lines, logfmt_lines, pairs_in_text, st.sampled_from(FREE_LINES)
)
cut_lines = st.builds(lambda line, length: line[:length], whole_lines, st.integers(0, 40))
lines_with_ends = st.builds("{}{}".format, whole_lines, st.sampled_from(("\n", "\r\n", "\n\n", " \n")))
lines = st.one_of(uniform_json, uniform_logfmt, whole_lines, cut_lines, lines_with_ends)
metadata = st.one_of(
    st.just({}),
    st.just({}),
    st.dictionaries(st.sampled_from(METADATA_NAMES), st.sampled_from([value for value in VALUES if value]), max_size=2),
)
entries = st.builds(
    Entry,
    st.integers(0, len(STREAMS) - 1) | st.just(0),
    st.integers(-5, 40).map(lambda quarter: quarter * SECOND_NS // 4) | st.integers(0, 10 * SECOND_NS),
    lines,
    metadata,
)

NAMES = ("level", "app", "env", "n", "d", "trace", "level_extracted", "dotted_key", "a_b", "_", "__error__", "__kind__")
names = st.sampled_from(NAMES)
regexes = st.sampled_from(("inf.*", "info|warn", "", ".*", ".+", "[a-z]+", "(?i)INFO"))
label_filters = st.one_of(
    st.builds('{} {} "{}"'.format, names, st.sampled_from(("=", "!=")), st.sampled_from(("info", "", "5", "shop"))),
    st.builds('{} {} "{}"'.format, names, st.sampled_from(("=~", "!~")), regexes),
    st.builds(
        "{} {} {}".format,
        names,
        st.sampled_from((">", ">=", "<", "==", "!=")),
        st.sampled_from(("1", "5", "1h", "2KB")),
    ),
    st.builds('{} {} ip("1.2.3.0/24")'.format, names, st.sampled_from(("=", "!="))),
)
combined_filters = st.one_of(
    label_filters,
    st.builds("{} {} {}".format, label_filters, st.sampled_from(("and", "or", ",")), label_filters),
)
line_filters = st.one_of(
    st.builds('{} "{}"'.format, st.sampled_from(("|=", "!=")), st.sampled_from(("", "info", "n", "é", "abc"))),
    st.builds('{} "{}"'.format, st.sampled_from(("|~", "!~")), st.sampled_from(("inf.", "[0-9]+", "(?i)INFO|é", "^$"))),
    st.just('|= "info" or "warn"'),
    st.just('!= "info" or "abc"'),
)
parsers = st.sampled_from(
    (
        *("json", "json", "json", "logfmt", "logfmt", "logfmt --strict", "logfmt --keep-empty"),
        *('pattern "<_> <level> <n>"', 'pattern "GET <app> <n> <d>"', 'pattern "<level>=<n> <_>=<d>"'),
        *('pattern "<level>:<level_extracted>,<_>"', r'pattern `<d> - [<level>] "<_> <n> <_>`'),
        *(r'pattern `<d> <app> [<level>] "<n>" <_>`', r"pattern `<_> <env> [<level>]<_>`"),
        *('json level, made="n"', 'json level="a.b", n', 'json app="level", d', 'json n="a[\\"b\\"]", app="level"'),
        *('json n="n[0]"', 'json level="d[1]", n', "unpack", "unpack"),
        *("logfmt level", "logfmt --strict n"),
        *("logfmt --strict --keep-empty", 'logfmt --strict level, made="n"', 'logfmt made="level", x="n"'),
        *('logfmt level, made="n"', 'logfmt n="level", level="d"', 'logfmt --strict level="dotted_key", n'),
        *(r"regexp `(?P<level>\w+) (?P<n>\d+)?`", r"regexp `level=(?P<level>\S+)( n=(?P<n>\S+))?( d=(?P<d>.+))?`"),
        *(r"regexp `^(?P<app>.)(.*:(?P<d>[^,]*))?`", r"regexp `(?P<level_extracted>\S+) (?P<level>\S*)|(?P<n>5)`"),
    )
)
pairs_of_parsers = st.sampled_from(
    (
        *(["| json", "| logfmt"], ["| logfmt", "| json"], ["| json", "| level != ``", "| logfmt"]),
        *(["| unpack", "| json"], ["| unpack", "|~ `n|5`", "| logfmt"], ["| unpack", "| json", "| logfmt"]),
        *(["| json", "| logfmt --strict"], ["| logfmt --keep-empty", "| json"]),
        *(["| json", "| logfmt", "| drop __error__, __error_details__"], ["| json", "| drop __error__", "| logfmt"]),
    )
)
format_sources = st.sampled_from(("level", "n", "`{{.level}}-{{.n}}`", "`{{.app | upper}}`", "`{{div .n 2}}`", "`x`"))
label_stages = st.one_of(
    combined_filters,
    combined_filters,
    st.builds("label_format {}={}".format, st.sampled_from(("level", "made", "n", "app")), format_sources),
    st.builds("drop {}".format, names),
    st.builds('drop {}="{}"'.format, names, st.sampled_from(VALUES[:4])),
    st.builds("keep {}, {}".format, names, names),
    st.builds('keep {}=~"{}"'.format, names, regexes),
    st.just("drop __error__, __error_details__"),
    st.just('__error__ = ""'),
)
made_lines = st.sampled_from(
    (
        *(["| line_format `{{.level}} {{.n}}`", '|= "info"'], ["| line_format `{{.level}}`", '!~ "a|^$"']),
        *(["| line_format `level={{.n}}`", "| logfmt"], ["| line_format `{{.d}}`", "| level = `info`"]),
        *(["| line_format `{{div .n 2}}`", "| logfmt"], ["| line_format `{{div 1 0}}`", "|~ `n|^$`"]),
    )
)


@st.composite
def regular_records(draw: st.DrawFn) -> list[list[Entry]]:
    """The lines of a program or two: few orders of keys, in nearly all lines. Columns tell about most of these."""
    random = Random(draw(st.integers(0, 2**32)))
    value_of = {"level": ("info", "warn", "é"), "n": ("5", "1.5", "-3", "007", "abc"), "d": ("1h", "5KB", "5")}
    orders = [random.sample(("level", "n", "d", "dotted.key", "made"), random.randint(1, 4)) for _ in range(2)]
    share_of_json, share_of_text = random.choice((0, 0.5, 1, 1)), random.choice((0, 0, 0.3, 1))
    streams = random.choice(((0,), (0, 1), (0, 2), (0, 3)))

    def entry() -> Entry:
        pairs = [(key, random.choice(value_of.get(key, ("info", "5")))) for key in random.choice(orders)]
        line = " ".join(f"{key}={value}" for key, value in pairs)
        if random.random() < share_of_json:
            line = json_object([(key, f'"{value}"') for key, value in pairs], "")
        if random.random() < share_of_text:
            line = f'{value_of["d"][len(pairs) % 3]} - [{pairs[0][1]}] "GET {pairs[-1][1]} x" {len(line)}'
        if random.random() < 0.1:
            others = (*FREE_LINES, line[:-1], f"{line} x", f'{line[:-1]},"new":"x"}}', f"{line} new=x", line + line)
            escaped = [line.replace("info", text) for text in (r"in\"fo", r"\u0069nfo", r"\ud800", r"\ufffd", r"\info")]
            line = random.choice((*others, *escaped, *escaped, *escaped))
        own = {random.choice(METADATA_NAMES): "5"} if random.random() < 0.05 else {}
        return Entry(random.choice(streams), random.randint(0, 40) * SECOND_NS // 4, line, own)

    return [[entry() for _ in range(random.randint(1, 20))] for _ in range(random.randint(1, 3))]


records = st.lists(st.lists(entries, min_size=1, max_size=12), min_size=1, max_size=3) | regular_records()
forms = st.lists(st.sampled_from(FORMS), min_size=3, max_size=3)

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
EXTREMES = ("max_over_time", "min_over_time")
GROUPED = frozenset(OF_VALUES[1:8]) | {"quantile_over_time"}


@st.composite
def range_aggregations(draw: st.DrawFn) -> RangeAggregation:
    unwrap = draw(st.just("") | unwraps)
    operation = draw(st.sampled_from(OF_VALUES if unwrap else OF_LINES))
    stages = [
        *draw(st.lists(line_filters, max_size=1)),
        *draw(st.lists(combined_filters.map("| {}".format), max_size=1)),
        *draw(st.lists(parsers.map("| {}".format), max_size=1) | pairs_of_parsers),
        *draw(st.lists(label_stages.map("| {}".format) | line_filters, max_size=3)),
        *draw(st.just([]) | made_lines),
    ]
    range_text = draw(st.sampled_from(("1s", "2s", "1500ms", "1ms", "7s")))
    offset = draw(st.sampled_from(("", "", " offset 1s", " offset -700ms")))
    quantile = draw(st.sampled_from(("0", "0.5", "0.99", "1", "2")))
    parameter = f"{quantile}, " if operation == "quantile_over_time" else ""
    labels = draw(st.lists(names, max_size=2, unique=True))
    by, without = (f"{word} ({', '.join(labels)})" for word in ("by", "without"))
    grouping = draw(st.sampled_from((by, by, by, by, without, "")))
    text = f'{operation}({parameter}{{app=~".+"}} {" ".join(stages)} {unwrap} [{range_text}]{offset})'
    if operation in EXTREMES and draw(st.booleans()):
        return leaf_if_valid(f"{operation[:3]} {draw(st.sampled_from((by, '')))} ({text} {grouping})")
    return grouped_leaf(draw, text, grouping, is_own=operation in GROUPED)


def grouped_leaf(draw: st.DrawFn, text: str, grouping: str, *, is_own: bool) -> RangeAggregation:
    """The range aggregation with a grouping of its own, or that of a sum around it."""
    if is_own:
        text = f"{text} {grouping}"
    elif grouping or draw(st.booleans()):
        text = f"sum {grouping} ({text})"
    return leaf_if_valid(text)


def leaf_if_valid(text: str) -> RangeAggregation:
    """The range aggregation of a query that was put together at random."""
    try:
        return leaf_of(text)
    except ParseError:
        reject()


def assert_columns_give_what_rows_give(
    leaf: RangeAggregation, records: Sequence[Sequence[Entry]], forms: Sequence[Form], times: Steps
) -> None:
    """Of one that has a plan."""
    plan = plan_leaf(leaf)
    assume(plan is not None)
    assert plan is not None
    batches = batches_of(records, forms)
    expected = by_rows(leaf, batches, times)
    event(f"fails: {expected is None}, empty: {expected is not None and not any(expected)}")
    assert_same(expected, by_columns(plan, batches, times))


def log_if_valid(stages: str) -> LogExpr:
    """The log query with stages that were put together at random."""
    try:
        expr = parse_expr(f'{{app=~".+"}} {stages}')
    except ParseError:
        reject()
    assert isinstance(expr, LogExpr)
    return expr


def assert_columns_choose_what_rows_need(
    expr: LogExpr, records: Sequence[Sequence[Entry]], forms: Sequence[Form], direction: Direction, limit: int
) -> None:
    batches = batches_of(records, forms)
    expected = log_by_rows(expr, batches, direction, limit)
    event(f"full: {len(expected) == limit}")
    assert log_by_columns(expr, batches, direction, limit) == expected


steps = st.builds(
    lambda first, count, step: Steps(first, first + count * step, step),
    st.integers(0, 8).map(lambda half: half * SECOND_NS // 2),
    st.integers(0, 12),
    st.sampled_from((SECOND_NS, SECOND_NS // 2, 700_000_000, 3 * SECOND_NS, SECOND_NS // 50)),
)


other_stages = st.sampled_from(("line_format `{{.level}} {{.n}}`", "decolorize", "json", "logfmt", "unpack"))


@st.composite
def log_expressions(draw: st.DrawFn) -> LogExpr:
    stages = [
        *draw(st.lists(line_filters, max_size=1)),
        *draw(st.lists(combined_filters.map("| {}".format), max_size=1)),
        *draw(st.lists(parsers.map("| {}".format), max_size=1) | pairs_of_parsers),
        *draw(st.lists(label_stages.map("| {}".format) | line_filters, max_size=2)),
        *draw(st.lists(other_stages.map("| {}".format), max_size=1)),
        *draw(st.lists(label_stages.map("| {}".format) | line_filters, max_size=1)),
    ]
    return log_if_valid(" ".join(stages))
