"""What queries mean: the trees they are read as."""

import pytest

from log_aggregator.logql import ast
from log_aggregator.logql.lexer import KEYWORDS
from log_aggregator.logql.parser import NotASelector, parse_expr, parse_selector
from log_aggregator.logql.printer import expr_text

MINUTE_NS = 60_000_000_000


def printed(query: str) -> str:
    return expr_text(parse_expr(query))


@pytest.mark.parametrize("selector", ['{a!=""}', '{a!~""}', '{a=~".+"}', '{a=~"x|y", b!="c"}', "{a=`b`}"])
def test_selector_with_a_matcher_that_excludes_empty(selector: str) -> None:
    assert isinstance(parse_expr(selector), ast.LogExpr)


@pytest.mark.parametrize(
    "name",
    ["rate", "sum", "topk", "vector", "duration", "bytes", "ip", "label_replace", "_", "A1", "strict", "distinct"],
)
def test_functions_may_be_label_names(name: str) -> None:
    assert parse_selector(f'{{{name}="x"}}') == (ast.Matcher(name, "=", "x"),)


@pytest.mark.parametrize("word", ["RATE", "Rate", "rate"])
@pytest.mark.parametrize("keyword", ["JSON", "Json", "json"])
def test_case_of_keywords_and_functions_does_not_matter(word: str, keyword: str) -> None:
    assert printed(f'{word}({{app="x"}} | {keyword} [5m])') == 'rate({app="x"} | json[5m])'


def test_keywords_are_lower_case_here() -> None:
    assert all(word == word.lower() for word in KEYWORDS)


@pytest.mark.parametrize(
    "query",
    [
        '# first\n{app="x"} # behind\n|= "a" # at the end',
        '// first\n{app="x"} // behind\n|= "a"',
        '/* first\n */{app="x"}/**/|=/* ** */"a"',
        '{app="x"}\t|=\r\n"a"\n\n#',
        "\ufeff{app=`x`}|=`a`",
    ],
)
def test_comments_and_blanks_mean_nothing(query: str) -> None:
    assert printed(query) == '{app="x"} |= "a"'


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        (r'"a\"b\\\n\t\x41\101\u00e9\U0001F600"', 'a"b\\\n\tAAé😀'),
        (r'"\xc3\xa9"', "é"),
        (r'"\xff"', "\ufffd"),
        (r'"\ud800"', "\ufffd"),
        ("`a\\n\"'`", "a\\n\"'"),
        ("`a\r\nb`", "a\r\nb"),
        ('"it\'s #1 // /* `"', "it's #1 // /* `"),
    ],
)
def test_strings(literal: str, text: str) -> None:
    assert parse_selector(f"{{app={literal}}}") == (ast.Matcher("app", "=", text),)


@pytest.mark.parametrize(
    ("filter_", "meaning"),
    [
        ("a=1 or b=2 and c=3", "( a==1 or ( b==2 , c==3 ) )"),
        ("a=1 and b=2 or c=3", "( ( a==1 , b==2 ) or c==3 )"),
        ("a=1, b=2 or c=3", "( a==1 , ( b==2 or c==3 ) )"),
        ("a=1 b=2 or c=3", "( a==1 , ( b==2 or c==3 ) )"),
        ("a=1 or b=2, c=3", "( a==1 or ( b==2 , c==3 ) )"),
        ("a=1 or b=2 c=3", "( a==1 or ( b==2 , c==3 ) )"),
        ("a=1 or b=2 or c=3", "( ( a==1 or b==2 ) or c==3 )"),
        ("(a=1 or b=2) and c=3", "( ( a==1 or b==2 ) , c==3 )"),
    ],
)
def test_precedence_of_label_filters(filter_: str, meaning: str) -> None:
    """`and` binds tighter than `or`; a comma, or nothing, takes all to its right as one group."""
    assert printed(f'{{app="x"}} | {filter_}') == f'{{app="x"}} | {meaning}'


@pytest.mark.parametrize(
    ("literal", "filter_"),
    [
        ("1_000", ast.NumberFilter("a", "=", 1000.0)),
        ("1e3", ast.NumberFilter("a", "=", 1000.0)),
        (".5", ast.NumberFilter("a", "=", 0.5)),
        ("5.", ast.NumberFilter("a", "=", 5.0)),
        ("017", ast.NumberFilter("a", "=", 17.0)),
        ("-1.5", ast.NumberFilter("a", "=", -1.5)),
        ("+1", ast.NumberFilter("a", "=", 1.0)),
        ("0x1p4", ast.NumberFilter("a", "=", 16.0)),
        ("20KB", ast.BytesFilter("a", "=", 20_000)),
        ("20kB", ast.BytesFilter("a", "=", 20_000)),
        ("1.5KiB", ast.BytesFilter("a", "=", 1536)),
        ("1PB", ast.BytesFilter("a", "=", 10**15)),
        ("5B", ast.BytesFilter("a", "=", 5)),
        ("1d", ast.DurationFilter("a", "=", 1440 * MINUTE_NS)),
        ("1w2d", ast.DurationFilter("a", "=", 9 * 1440 * MINUTE_NS)),
        ("1h30m", ast.DurationFilter("a", "=", 90 * MINUTE_NS)),
        ("1.5m", ast.DurationFilter("a", "=", 90 * MINUTE_NS // 60)),
        ("-5m", ast.DurationFilter("a", "=", -5 * MINUTE_NS)),
        ("10µs", ast.DurationFilter("a", "=", 10_000)),
        ("-0", ast.DurationFilter("a", "=", 0)),
        ('"5m"', ast.StringFilter(ast.Matcher("a", "=", "5m"))),
        ('ip("::1")', ast.IpFilter("a", "=", "::1")),
    ],
)
def test_kinds_of_values(literal: str, filter_: ast.LabelFilter) -> None:
    assert parse_expr(f'{{app="x"}} | a={literal}') == ast.LogExpr(
        (ast.Matcher("app", "=", "x"),), (ast.LabelFilterStage(filter_),)
    )


@pytest.mark.parametrize(
    ("query", "meaning"),
    [
        ("-2 ^ 2", "4"),
        ("2 ^ 3 ^ 2", "512"),
        ("1 + 2 * 3 - 4 / 2 % 3", "5"),
        ("1 > 2", "0"),
        ("2 >= bool 2", "1"),
        ("1 - -1", "2"),
        ("vector(1) > 5 < 10", "((vector(1.000000) > 5) < 10)"),
        ("vector(1) + vector(2) * vector(3)", "(vector(1.000000) + (vector(2.000000) * vector(3.000000)))"),
        ("vector(1) or vector(2) and vector(3)", "(vector(1.000000) or (vector(2.000000) and vector(3.000000)))"),
        ("vector(1) == vector(2) + 1", "(vector(1.000000) == (vector(2.000000) + 1))"),
        ("vector(2) ^ vector(3) ^ 2", "(vector(2.000000) ^ (vector(3.000000) ^ 2))"),
        ("vector(1) > bool on(a) 0", "(vector(1.000000) > bool on (a)  0)"),
    ],
)
def test_operators(query: str, meaning: str) -> None:
    """A minus belongs to its number, `^` groups to the right, and literals are worked out when the query is read."""
    assert printed(query) == meaning


@pytest.mark.parametrize(
    "query",
    [
        'rate({app="x"} |= "a" [5m] offset 1h)',
        'rate({app="x"}[5m] offset 1h |= "a")',
        'rate(({app="x"} |= "a")[5m] offset 1h)',
        'rate((({app="x"} |= "a" [5m] offset 1h)))',
    ],
)
def test_range_stands_before_or_behind_the_pipeline(query: str) -> None:
    assert printed(query) == 'rate({app="x"} |= "a"[5m] offset 1h0m0s)'


def test_offset_may_be_negative() -> None:
    expr = parse_expr('rate({app="x"}[5m] offset -5m)')
    assert isinstance(expr, ast.RangeAggregation)
    assert expr.range.offset_ns == -5 * MINUTE_NS


@pytest.mark.parametrize("operation", ["avg", "max", "min", "stddev", "stdvar", "first", "last"])
def test_ranges_that_can_be_grouped(operation: str) -> None:
    query = f'{operation}_over_time({{app="x"}} | unwrap a[5m]) by (b)'
    assert printed(query) == query


@pytest.mark.parametrize("operand", ['"a" or "b"', '"a" or ip("::1")', 'ip("::1") or "a"'])
def test_or_of_line_filters_is_one_stage_unless_negated(operand: str) -> None:
    positive, negative = parse_expr(f'{{app="x"}} |= {operand}'), parse_expr(f'{{app="x"}} != {operand}')
    assert isinstance(positive, ast.LogExpr)
    assert isinstance(negative, ast.LogExpr)
    assert len(positive.stages) == 1
    assert len(negative.stages) == 2


def test_selectors_only() -> None:
    assert parse_selector("{}", allow_empty=True) == ()
    for query in ('{app="x"} | json', 'rate({app="x"}[5m])', "1"):
        with pytest.raises(NotASelector, match=r"^only label matchers are supported$"):
            parse_selector(query)


def test_names_that_are_not_ascii_do_where_no_matcher_names_them() -> None:
    assert printed('sum by (é) (rate({app="x"} | é > 5[5m]))') == 'sum by (é)(rate({app="x"} | é>5[5m]))'
