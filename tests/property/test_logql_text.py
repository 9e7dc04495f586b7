"""What is printed is read back as it was, and whatever is written is read or refused."""

import string
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_aggregator.logql import ast
from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.lexer import KEYWORDS
from log_aggregator.logql.parser import parse_expr, parse_text
from log_aggregator.logql.printer import expr_text, format_expr

SECOND_NS = 1_000_000_000
REGEXES = ("", ".*", "a|b", "(?i)x.+", r"\d{2,}", "[^a-z]\\.", "(?P<n>é)")
# Functions are names like any other where no parenthesis follows.
FUNCTION_NAMES = ("rate", "sum", "duration", "bytes", "ip", "vector", "label_replace")

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
words = st.text(string.ascii_letters + "_", min_size=1, max_size=4)
names = st.one_of(words, st.sampled_from(FUNCTION_NAMES)).filter(lambda name: name.lower() not in KEYWORDS)
name_lists = st.lists(names, max_size=3).map(tuple)
milliseconds = st.integers(1, 10**10).map(lambda count: count * 1_000_000)
durations = st.one_of(milliseconds, st.integers(-(2**62), 2**62))
# Sizes are printed rounded, so these are such as survive that.
sizes = st.builds(lambda count, unit: count * 1000**unit, st.integers(10, 999), st.integers(0, 5))
# -0 is a duration.
numbers = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)
compare_ops = st.sampled_from(("=", "!=", ">", ">=", "<", "<="))

matchers = st.one_of(
    st.builds(ast.Matcher, names, st.sampled_from(("=", "!=")), texts),
    st.builds(ast.Matcher, names, st.sampled_from(("=~", "!~")), st.sampled_from(REGEXES)),
)
selectors = st.lists(matchers, max_size=2).map(lambda more: (ast.Matcher("app", "=", "x"), *more))

label_filters = st.recursive(
    st.one_of(
        st.builds(ast.StringFilter, matchers),
        st.builds(ast.NumberFilter, names, compare_ops, numbers),
        st.builds(ast.DurationFilter, names, compare_ops, durations),
        st.builds(ast.BytesFilter, names, compare_ops, sizes),
        st.builds(ast.IpFilter, names, st.sampled_from(("=", "!=")), texts),
    ),
    lambda inner: st.builds(ast.AndFilter, inner, inner) | st.builds(ast.OrFilter, inner, inner),
    max_leaves=5,
)

operands = st.builds(ast.LineOperand, texts, st.booleans())
extractions = st.lists(st.builds(ast.Extraction, names, texts), max_size=2).map(tuple)
assignments = st.builds(ast.LabelAssignment, names, names, st.just(True)) | st.builds(
    ast.LabelAssignment, names, texts, st.just(False)
)
chosen_labels = st.lists(names | matchers, min_size=1, max_size=3).map(tuple)
stages = st.one_of(
    # `or` behind a negated filter is read as one more filter.
    st.builds(ast.LineFilterStage, st.sampled_from(("!=", "!~", "!>")), st.tuples(operands)),
    st.builds(
        ast.LineFilterStage, st.sampled_from(("|=", "|~", "|>")), st.lists(operands, min_size=1, max_size=3).map(tuple)
    ),
    st.builds(ast.JsonStage, extractions),
    st.builds(ast.LogfmtStage, extractions, st.booleans(), st.booleans()),
    st.builds(ast.RegexpStage, st.sampled_from(("(?P<a>x)", "(?P<a>.)(?P<b>\\w+)"))),
    st.builds(ast.PatternStage, st.sampled_from(("<a>", '<_> [<a>] "<b>"'))),
    st.just(ast.UnpackStage()),
    st.just(ast.DecolorizeStage()),
    st.builds(ast.LabelFilterStage, label_filters),
    st.builds(ast.LineFormatStage, texts),
    st.builds(ast.LabelFormatStage, st.lists(assignments, min_size=1, max_size=3).map(tuple)),
    st.builds(ast.DropStage, chosen_labels),
    st.builds(ast.KeepStage, chosen_labels),
)


def is_writable(pipeline: tuple[ast.Stage, ...]) -> bool:
    """Behind `drop a`, `!= "b"` belongs to the name."""
    return not any(
        isinstance(left, ast.DropStage | ast.KeepStage)
        and isinstance(left.labels[-1], str)
        and isinstance(right, ast.LineFilterStage)
        and right.op in ("!=", "!~")
        for left, right in pairwise(pipeline)
    )


pipelines = st.lists(stages, max_size=4).map(tuple).filter(is_writable)
log_exprs = st.builds(ast.LogExpr, selectors, pipelines)

conversions = st.sampled_from(("", "bytes", "duration", "duration_seconds"))
unwraps = st.builds(ast.Unwrap, names, conversions, st.lists(label_filters, max_size=2).map(tuple))
offsets = st.one_of(st.just(0), milliseconds, milliseconds.map(lambda value: -value))
groupings = st.builds(ast.Grouping, name_lists, st.booleans())
# `by ()` is what a vector aggregation does anyway, and is not printed.
vector_groupings = st.none() | groupings.filter(lambda grouping: bool(grouping.labels) or grouping.without)


def range_aggregations(
    operations: tuple[str, ...],
    unwrap: st.SearchStrategy[ast.Unwrap | None],
    grouping: st.SearchStrategy[ast.Grouping | None],
    parameter: st.SearchStrategy[float | None],
) -> st.SearchStrategy[ast.RangeAggregation]:
    log_range = st.builds(ast.LogRange, log_exprs, milliseconds, unwrap, offsets)
    return st.builds(ast.RangeAggregation, st.sampled_from(operations), log_range, parameter, grouping)


no_grouping: st.SearchStrategy[ast.Grouping | None] = st.none()
no_unwrap: st.SearchStrategy[ast.Unwrap | None] = st.none()
no_parameter: st.SearchStrategy[float | None] = st.none()
positive = st.floats(0, 1e22, allow_nan=False)
vectors = st.one_of(
    range_aggregations(
        ("rate", "count_over_time", "bytes_rate", "absent_over_time"), no_unwrap, no_grouping, no_parameter
    ),
    range_aggregations(("sum_over_time", "rate_counter"), unwraps, no_grouping, no_parameter),
    range_aggregations(("avg_over_time", "first_over_time"), unwraps, st.none() | groupings, no_parameter),
    range_aggregations(("quantile_over_time",), unwraps, st.none() | groupings, positive),
    st.builds(ast.VectorLiteral, st.integers(0, 10**9).map(float)),
)
plain_matchings = st.builds(ast.VectorMatching, st.just("one-to-one"), name_lists, st.booleans())
grouped_matchings = st.builds(
    ast.VectorMatching, st.sampled_from(("many-to-one", "one-to-many")), name_lists, st.booleans(), name_lists
)
matchings = plain_matchings | grouped_matchings
arithmetic = st.sampled_from(("+", "-", "*", "/", "%", "^", "==", "!=", ">", ">=", "<", "<="))
set_operators = st.sampled_from(("and", "or", "unless"))
literals = st.builds(ast.NumberLiteral, numbers)


def composed(inner: st.SearchStrategy[ast.MetricExpr]) -> st.SearchStrategy[ast.MetricExpr]:
    simple = st.sampled_from(("sum", "avg", "min", "max", "count", "stddev", "stdvar"))
    return st.one_of(
        st.builds(ast.VectorAggregation, simple, inner, st.just(0), vector_groupings),
        st.builds(
            ast.VectorAggregation, st.sampled_from(("topk", "bottomk")), inner, st.integers(1, 10**6), vector_groupings
        ),
        st.builds(ast.VectorAggregation, st.sampled_from(("sort", "sort_desc")), inner),
        st.builds(ast.LabelReplace, inner, texts, texts, texts, st.sampled_from(REGEXES)),
        st.builds(ast.BinaryOperation, arithmetic, inner, inner, matchings, st.booleans()),
        st.builds(ast.BinaryOperation, arithmetic, inner, literals),
        st.builds(ast.BinaryOperation, arithmetic, literals, inner),
        st.builds(ast.BinaryOperation, set_operators, inner, inner, matchings),
    )


metric_exprs = st.recursive(vectors, composed, max_leaves=4)
exprs: st.SearchStrategy[ast.Expr] = log_exprs | metric_exprs | literals


@given(exprs)
def test_one_line_is_read_back(expr: ast.Expr) -> None:
    assert parse_text(expr_text(expr)) == expr


@given(exprs)
def test_layout_is_read_back(expr: ast.Expr) -> None:
    text = format_expr(expr)
    assert parse_text(text) == expr
    assert format_expr(parse_text(text)) == text


PIECES = (
    *"{}[]()|=!~<>\"'`,.+-*/%^#\\ \n\t_0159aBemnshµé\0\ufeff\u212a\u0663\ud800",
    *KEYWORDS,
    *FUNCTION_NAMES,
    *(
        "|=",
        "|~",
        "!=",
        "=~",
        "|>",
        "--strict",
        "/*",
        "*/",
        "//",
        '"x"',
        "`y`",
        "[5m]",
        "5m",
        "1KiB",
        "0x",
        "1e",
        "topk(",
    ),
    *('{app="x"}', 'rate({app="x"}[5m])', "| json", "| unwrap a", "by (a)", "offset -5m", "0b1", "(?P<a>x)", "ip("),
)
QUERIES = (
    '{app="x", env=~"a|b"} |= "a" or `b` != ip("1.2.3.4") | json a="b[0].c" | a > 5 and b <= 5m or c != 1KB',
    'sum by (a, b) (rate({app="x"} | logfmt --strict | label_format c=d, e="{{.f}}" | drop g, h="i" [5m] offset 1h))',
    'topk(3, avg_over_time({app="x"} | pattern "<a> <_>" | unwrap duration(a) | a="" [1d]) without (b)) or vector(0)',
    'label_replace(max(rate({app="x"}[1m])) * on(a) group_left(b) -2 ^ 2, "c", "$1", "d", "(.*)") # comment',
)


def read_or_refused(text: str) -> None:
    try:
        expr = parse_expr(text)
    except ParseError:
        return
    printed = format_expr(expr)
    # There is no literal for what dividing by zero gives, and a name that is not ASCII is quoted.
    if printed.isascii() and "NaN" not in printed and "Inf" not in printed:
        assert format_expr(parse_text(printed)) == printed


@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    read_or_refused(text)


@given(
    st.sampled_from(QUERIES),
    st.lists(
        st.tuples(st.integers(0, 120), st.integers(0, 12), st.sampled_from(("", *PIECES))), min_size=1, max_size=4
    ),
)
def test_damaged_queries_are_read_or_refused(query: str, cuts: list[tuple[int, int, str]]) -> None:
    for at, length, piece in cuts:
        query = query[:at] + piece + query[at + length :]
    read_or_refused(query)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 60_000,
        "(" * 60_000 + "1" + ")" * 60_000,
        "sum(" * 30_000,
        '{app="x"} | ' + "(" * 100_000,
        '{app="x"} | ' + "a=1," * 30_000,
        '{app="x"} | ' + "a=1 or " * 15_000 + "a=1",
        '{app="x"} |= ' + '"a" or ' * 15_000 + '"a"',
        "vector(1)" + "+vector(1)" * 12_000,
        "vector(1)" + "^vector(1)" * 12_000,
        "1" + "+1" * 60_000,
        '{app="x"}' + "|json" * 14_000,
        "1." * 60_000,
        "1h" * 60_000,
        "-" * 131_000,
        "0" * 131_000,
        "[" * 131_000,
        "sum " * 30_000,
        "/*" * 60_000,
        "\n" * 131_000,
        '"' + "\\x41" * 30_000 + '"',
        '{app=~"' + "(" * 100_000 + '"}',
        '{app=~"' + "a?" * 60_000 + '"}',
        '{app="x"} | json a="' + "b." * 60_000 + 'c"',
        '{app="x"} | pattern "' + "<a>" * 40_000 + '"',
    ],
    ids=lambda text: text[:24],
)
def test_large_and_deep_queries_are_read_or_refused(text: str) -> None:
    read_or_refused(text)


def test_too_large_queries_are_refused() -> None:
    with pytest.raises(ParseError, match=r"^parse error : input size too long \(131072 > 131072\)$"):
        parse_expr("é" * 65_536)
