"""What Loki refuses to read, in its words: which token, where, and what might have stood there."""

import pytest

from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.parser import parse_expr


def refusal(query: str) -> str:
    with pytest.raises(ParseError) as caught:
        parse_expr(query)
    return str(caught.value)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{app="x",}', "parse error at line 1, col 10: syntax error: unexpected }, expecting IDENTIFIER"),
        ("{app='x'}", "parse error at line 1, col 6: syntax error: unexpected IDENTIFIER, expecting STRING"),
        ('{app="x"', "parse error at line 1, col 9: syntax error: unexpected $end, expecting } or ,"),
        ("{app}", "parse error at line 1, col 5: syntax error: unexpected }, expecting = or =~ or !~ or !="),
        ("{app=}", "parse error at line 1, col 6: syntax error: unexpected }, expecting STRING"),
        ('{="x"}', "parse error at line 1, col 2: syntax error: unexpected =, expecting IDENTIFIER or }"),
        ('{app=="x"}', "parse error at line 0, col 5: syntax error: unexpected ==, expecting = or =~ or !~ or !="),
        ('{app="x" env="y"}', "parse error at line 1, col 10: syntax error: unexpected IDENTIFIER, expecting } or ,"),
        ('{"app"="x"}', "parse error at line 1, col 2: syntax error: unexpected STRING, expecting IDENTIFIER or }"),
        ('{a.b="x"}', "parse error at line 1, col 3: syntax error: unexpected ., expecting = or =~ or !~ or !="),
        ('{a-b="x"}', "parse error at line 1, col 3: syntax error: unexpected -, expecting = or =~ or !~ or !="),
        ('{by="x"}', "parse error at line 1, col 2: syntax error: unexpected by, expecting IDENTIFIER or }"),
        ('{json="x"}', "parse error at line 1, col 2: syntax error: unexpected json, expecting IDENTIFIER or }"),
        ('{offset="x"}', "parse error at line 1, col 2: syntax error: unexpected offset, expecting IDENTIFIER or }"),
        ('{unwrap="x"}', "parse error at line 1, col 2: syntax error: unexpected unwrap, expecting IDENTIFIER or }"),
        ('{keep="x"}', "parse error at line 1, col 2: syntax error: unexpected keep, expecting IDENTIFIER or }"),
        ('{on="x"}', "parse error at line 1, col 2: syntax error: unexpected on, expecting IDENTIFIER or }"),
        ('{bool="x"}', "parse error at line 1, col 2: syntax error: unexpected bool, expecting IDENTIFIER or }"),
        ('{été="x"}', "parse error at line 1, col 2: syntax error: unexpected STRING, expecting IDENTIFIER or }"),
        ('{&="x"}', "parse error at line 1, col 2: syntax error: unexpected STRING, expecting IDENTIFIER or }"),
        (
            'sum(rate({a="b", $="x"}[1m]))',
            "parse error at line 1, col 9: syntax error: unexpected STRING, expecting IDENTIFIER",
        ),
        ("{", "parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }"),
        ("}", "parse error at line 1, col 1: syntax error: unexpected }"),
        ("(", "parse error at line 1, col 2: syntax error: unexpected $end"),
        ("", "parse error : syntax error: unexpected $end"),
    ],
)
def test_selectors(query: str, message: str) -> None:
    """Label names are ASCII words but for keywords, no comma ends a selector, and single quotes quote nothing."""
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{app="x"} | size > 0B', "parse error at line 1, col 20: decimal literal has no digits"),
        (
            '{app="x"} | size >0B',
            'parse error : unable to parse literal as a float: strconv.ParseFloat: parsing "0B": invalid syntax',
        ),
        ("vector(1e)", "parse error at line 1, col 8: exponent has no digits"),
        (
            '{app="x"} | a > 08 | b > 1_',
            'parse error : unable to parse literal as a float: strconv.ParseFloat: parsing "1_": invalid syntax',
        ),
        ('{app="x"} | a > 08 | b >', "parse error at line 1, col 17: invalid digit '8' in octal literal"),
        ('{app="x"} | size > 5EB', "parse error at line 1, col 20: exponent has no digits"),
        (
            '{app="x"} | a > 1_',
            'parse error : unable to parse literal as a float: strconv.ParseFloat: parsing "1_": invalid syntax',
        ),
        ('{app="x"} | a > 08', "parse error at line 1, col 17: invalid digit '8' in octal literal"),
        (
            '{app="x"} | a > 0x',
            'parse error : unable to parse literal as a float: strconv.ParseFloat: parsing "0x": invalid syntax',
        ),
        (
            '{app="x"} | a > 0x1.5',
            'parse error : unable to parse literal as a float: strconv.ParseFloat: parsing "0x1.5": invalid syntax',
        ),
        ('{app="x"} | a > 0b12', "parse error at line 1, col 17: decimal literal has no digits"),
        (
            '{app="x"} | a > 1e',
            'parse error : unable to parse literal as a float: strconv.ParseFloat: parsing "1e": invalid syntax',
        ),
        (
            '{app="x"} | a > 0o7.5',
            'parse error : unable to parse literal as a float: strconv.ParseFloat: parsing "0o7.5": invalid syntax',
        ),
        (
            '{app="x"} | a > 0o7e1',
            'parse error : unable to parse literal as a float: strconv.ParseFloat: parsing "0o7e1": invalid syntax',
        ),
        ('{app="x"} | a > Inf', "parse error at line 1, col 17: syntax error: unexpected IDENTIFIER"),
        ('{app="x"} | a > NaN', "parse error at line 1, col 17: syntax error: unexpected IDENTIFIER"),
        ("5 5", "parse error at line 1, col 3: syntax error: unexpected NUMBER"),
    ],
)
def test_numbers(query: str, message: str) -> None:
    """Sizes and numbers with a prefix are Go's literals; words are no numbers."""
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("-vector(1)", "parse error at line 1, col 2: syntax error: unexpected VECTOR, expecting NUMBER"),
        ('-sum(rate({app="x"}[5m]))', "parse error at line 1, col 2: syntax error: unexpected SUM, expecting NUMBER"),
        ("-(2)", "parse error at line 1, col 2: syntax error: unexpected (, expecting NUMBER"),
        ("vector(-1)", "parse error at line 1, col 8: syntax error: unexpected -, expecting NUMBER"),
        ("--1", "parse error at line 1, col 2: syntax error: unexpected -, expecting NUMBER"),
        ('+rate({app="x"}[5m])', "parse error at line 1, col 2: syntax error: unexpected RATE, expecting NUMBER"),
    ],
)
def test_signs_belong_to_numbers(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{app="x"} offset 5m', "parse error at line 1, col 11: syntax error: unexpected offset"),
        (
            'count_over_time({app="x"}[5m] offset - 5m)',
            "parse error at line 1, col 38: syntax error: unexpected -, expecting DURATION",
        ),
        (
            'count_over_time({app="x"}[5m] offset 5)',
            "parse error at line 1, col 38: syntax error: unexpected NUMBER, expecting DURATION",
        ),
        ('count_over_time({app="x"} offset 5m [5m])', "parse error at line 1, col 27: syntax error: unexpected offset"),
        (
            'count_over_time({app="x"} | json offset 5m [5m])',
            "parse error at line 1, col 34: syntax error: unexpected offset",
        ),
        ('count_over_time({app="x"}[5m]) offset 5m', "parse error at line 1, col 32: syntax error: unexpected offset"),
        (
            'count_over_time({app="x"}[5m] offset)',
            "parse error at line 1, col 37: syntax error: unexpected ), expecting DURATION",
        ),
    ],
)
def test_offset(query: str, message: str) -> None:
    """Offset sits behind the range, before further stages, and takes a duration whose sign sticks to it."""
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('rate({app="x"})', "parse error at line 1, col 15: syntax error: unexpected )"),
        ('rate({app="x"}[5])', 'parse error at line 0, col 15: not a valid duration string: "5"'),
        ('rate({app="x"}[])', "parse error at line 0, col 15: empty duration string"),
        ('rate({app="x"}[5m)', "parse error at line 0, col 15: missing closing ']' in duration"),
        ('rate({app="x"}[5x])', 'parse error at line 0, col 15: unknown unit "x" in duration "5x"'),
        ('rate({app="x"}[1h30s5m])', 'parse error at line 0, col 15: not a valid duration string: "1h30s5m"'),
        ('rate({app="x"}[5m:1m])', 'parse error at line 0, col 15: unknown unit "m:" in duration "5m:1m"'),
        ('rate({app="x"}[5m] @ 5)', "parse error at line 1, col 20: syntax error: unexpected IDENTIFIER, expecting )"),
        ('rate(({app="x"})', "parse error at line 1, col 17: syntax error: unexpected $end, expecting RANGE"),
        ('rate((app="x")[5m])', "parse error at line 1, col 7: syntax error: unexpected IDENTIFIER, expecting { or ("),
        (
            'rate(rate({app="x"}[5m]))',
            "parse error at line 1, col 6: syntax error: unexpected RATE, expecting NUMBER or { or (",
        ),
        ('{app="x"}[5m]', "parse error at line 0, col 10: syntax error: unexpected RANGE"),
        (
            'rate({app="x"}[5m] |= "a" [5m])',
            "parse error at line 0, col 27: syntax error: unexpected RANGE, expecting )",
        ),
        (
            'avg_over_time({app="x"} | unwrap a)',
            "parse error at line 1, col 35: syntax error: unexpected ), expecting RANGE or |",
        ),
        (
            'avg_over_time(({app="x"} | unwrap a, b)[5m])',
            "parse error at line 1, col 36: syntax error: unexpected ,, expecting RANGE or ) or |",
        ),
    ],
)
def test_ranges(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            '{app="x"} |= x',
            "parse error at line 1, col 14: syntax error: unexpected IDENTIFIER, expecting STRING or ip",
        ),
        ('{app="x"} |= "a" or', "parse error at line 1, col 20: syntax error: unexpected $end, expecting STRING or ip"),
        (
            '{app="x"} |= "a" or 1',
            "parse error at line 1, col 21: syntax error: unexpected NUMBER, expecting STRING or ip",
        ),
        ('{app="x"} |= "a" | or "b"', "parse error at line 1, col 20: syntax error: unexpected or"),
        ('{app="x"} |= "a" and "b"', "parse error at line 1, col 22: syntax error: unexpected STRING"),
        ('{app="x"} != 5', "parse error at line 1, col 14: syntax error: unexpected NUMBER, expecting STRING or ip"),
        ('{app="x"} |= ip("1.2.3.4"', "parse error at line 1, col 26: syntax error: unexpected $end, expecting )"),
        ('{app="x"} |= ip(1)', "parse error at line 1, col 17: syntax error: unexpected NUMBER, expecting STRING"),
        ('{app="x"} | |= "a"', "parse error at line 0, col 13: syntax error: unexpected |="),
        ('{app="x"} == "a"', "parse error at line 1, col 14: syntax error: unexpected STRING"),
    ],
)
def test_line_filters(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{app="x"} |', "parse error at line 1, col 12: syntax error: unexpected $end"),
        ('{app="x"} | |', "parse error at line 1, col 13: syntax error: unexpected |"),
        ('{app="x"} | unwrap x', "parse error at line 1, col 13: syntax error: unexpected unwrap"),
        (
            '{app="x"} | line_format x',
            "parse error at line 1, col 25: syntax error: unexpected IDENTIFIER, expecting STRING",
        ),
        ('{app="x"} | label_format a', "parse error at line 1, col 27: syntax error: unexpected $end, expecting ="),
        (
            '{app="x"} | label_format a="b",',
            "parse error at line 1, col 32: syntax error: unexpected $end, expecting IDENTIFIER",
        ),
        (
            '{app="x"} | label_format a=5',
            "parse error at line 1, col 28: syntax error: unexpected NUMBER, expecting IDENTIFIER or STRING",
        ),
        ('{app="x"} | json a=', "parse error at line 1, col 20: syntax error: unexpected $end, expecting STRING"),
        ('{app="x"} | json a,', "parse error at line 1, col 20: syntax error: unexpected $end, expecting IDENTIFIER"),
        (
            '{app="x"} | logfmt --foo',
            "parse error at line 1, col 22: syntax error: unexpected IDENTIFIER, expecting NUMBER",
        ),
        ('{app="x"} | drop', "parse error at line 1, col 17: syntax error: unexpected $end, expecting IDENTIFIER"),
        ('{app="x"} | drop a=', "parse error at line 1, col 20: syntax error: unexpected $end, expecting STRING"),
        ('{app="x"} | keep a,', "parse error at line 1, col 20: syntax error: unexpected $end, expecting IDENTIFIER"),
        ('{app="x"} | decolorize 5', "parse error at line 1, col 24: syntax error: unexpected NUMBER"),
        ('{app="x"} | unpack "a"', "parse error at line 1, col 20: syntax error: unexpected STRING"),
        (
            '{app="x"} | pattern a',
            "parse error at line 1, col 21: syntax error: unexpected IDENTIFIER, expecting STRING",
        ),
        ('{app="x"} | regexp', "parse error at line 1, col 19: syntax error: unexpected $end, expecting STRING"),
        ('{app="x"} | distinct a', "parse error at line 1, col 22: syntax error: unexpected IDENTIFIER"),
        ('{app="x"} | sort', "parse error at line 1, col 17: syntax error: unexpected $end"),
        ('{app="x"} | limit 5', "parse error at line 1, col 19: syntax error: unexpected NUMBER"),
    ],
)
def test_stages(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            '{app="x"} | a > 5 and',
            "parse error at line 1, col 22: syntax error: unexpected $end, expecting IDENTIFIER or (",
        ),
        ('{app="x"} | a >', "parse error at line 1, col 16: syntax error: unexpected $end"),
        ('{app="x"} | (a > 5', "parse error at line 1, col 19: syntax error: unexpected $end"),
        ('{app="x"} | a == "b"', "parse error at line 1, col 18: syntax error: unexpected STRING"),
        ('{app="x"} | a > "b"', "parse error at line 1, col 17: syntax error: unexpected STRING"),
        ('{app="x"} | a =~ 5', "parse error at line 1, col 18: syntax error: unexpected NUMBER, expecting STRING"),
        ('{app="x"} | a > ip("1.2.3.4")', "parse error at line 1, col 17: syntax error: unexpected ip"),
        ('{app="x"} | a = ip(1)', "parse error at line 1, col 20: syntax error: unexpected NUMBER, expecting STRING"),
        ('{app="x"} | a', "parse error at line 1, col 14: syntax error: unexpected $end"),
        (
            '{app="x"} | a > 5 or or b > 5',
            "parse error at line 1, col 22: syntax error: unexpected or, expecting IDENTIFIER or (",
        ),
        ('{app="x"} | a > -', "parse error at line 1, col 18: syntax error: unexpected $end, expecting NUMBER"),
        ('{app="x"} | a == 5m 5m', "parse error at line 0, col 21: syntax error: unexpected DURATION"),
    ],
)
def test_label_filters(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            'sum by (a, (rate({app="x"}[5m]))',
            "parse error at line 1, col 12: syntax error: unexpected (, expecting IDENTIFIER",
        ),
        (
            'sum by (5) (rate({app="x"}[5m]))',
            "parse error at line 1, col 9: syntax error: unexpected NUMBER, expecting IDENTIFIER or )",
        ),
        ('sum by a (rate({app="x"}[5m]))', "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER"),
        ('topk(1, 2, rate({app="x"}[5m]))', "parse error at line 1, col 10: syntax error: unexpected ,"),
        ('sum({app="x"})', "parse error at line 1, col 14: syntax error: unexpected )"),
        ('sum rate({app="x"}[5m])', "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER"),
        ("sum()", "parse error at line 1, col 5: syntax error: unexpected )"),
        ("rate()", "parse error at line 1, col 6: syntax error: unexpected ), expecting NUMBER or { or ("),
        (
            'label_replace(rate({app="x"}[5m]), "a", "b", "c")',
            "parse error at line 1, col 49: syntax error: unexpected ), expecting ,",
        ),
        ('label_replace({app="x"}, "a", "b", "c", "d")', "parse error at line 1, col 24: syntax error: unexpected ,"),
        (
            'label_join(rate({app="x"}[5m]),"a","b","c")',
            "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER",
        ),
        ('count_values("a", rate({app="x"}[5m]))', "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER"),
        (
            'histogram_quantile(0.9, rate({app="x"}[5m]))',
            "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER",
        ),
        (
            'variants(rate({app="x"}[5m])) of ({app="x"}[5m])',
            "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER",
        ),
        ('group(rate({app="x"}[5m]))', "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER"),
        ("time()", "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER"),
    ],
)
def test_aggregations(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('sum(rate({app="x"}[5m])) == on(a) bool 1', "parse error at line 1, col 35: syntax error: unexpected bool"),
        (
            "vector(1) * on(a) group_left (vector(1))",
            "parse error at line 1, col 31: syntax error: unexpected VECTOR, expecting IDENTIFIER or )",
        ),
        ("vector(1) * group_left vector(1)", "parse error at line 1, col 13: syntax error: unexpected group_left"),
        ("vector(1) * on vector(1)", "parse error at line 1, col 16: syntax error: unexpected VECTOR, expecting ("),
        ("vector(1) * on(a", "parse error at line 1, col 17: syntax error: unexpected $end, expecting , or )"),
        (
            "vector(1) * on(a,) vector(1)",
            "parse error at line 1, col 18: syntax error: unexpected ), expecting IDENTIFIER",
        ),
        ("vector(1) +", "parse error at line 1, col 12: syntax error: unexpected $end"),
        ("* vector(1)", "parse error at line 1, col 1: syntax error: unexpected *"),
        ("vector(1) on(a) vector(1)", "parse error at line 1, col 11: syntax error: unexpected on"),
    ],
)
def test_modifiers(query: str, message: str) -> None:
    """`bool` stands right behind the operator; a parenthesis behind group_left is a list of labels."""
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('"abc', "parse error at line 1, col 1: literal not terminated"),
        ('{app="a\nb"}', "parse error at line 1, col 6: literal not terminated"),
        ("{app=`a", "parse error at line 1, col 6: literal not terminated"),
        ('{app="a\\q"}', "parse error at line 1, col 6: invalid char escape"),
        ('{app="a\\\'b"}', "parse error at line 1, col 6: invalid char escape"),
        ('{app="\\400"}', "parse error at line 1, col 6: invalid syntax"),
        ('{app="\\U00110000"}', "parse error at line 1, col 6: invalid syntax"),
        ('{app="\\u12"}', "parse error at line 1, col 6: invalid char escape"),
        ("/* open", "parse error at line 1, col 1: comment not terminated"),
        ("{app=''}", "parse error at line 1, col 6: invalid char literal"),
        ("{app='a", "parse error at line 1, col 6: literal not terminated"),
        ('{app="x"} \xa0 |= "a"', "parse error at line 1, col 11: syntax error: unexpected IDENTIFIER"),
        ('{app="x"}\n  | json\n  | oops(', "parse error at line 3, col 9: syntax error: unexpected ("),
        ('{app="x"} |= "a"\n| b >= c', "parse error at line 2, col 8: syntax error: unexpected IDENTIFIER"),
        ('{app="x\x00"}', "parse error at line 1, col 6: invalid character NUL"),
        ("\x00", "parse error : invalid character NUL"),
        ('{app="x"} |= \ud800', "parse error at line 0, col 11: invalid UTF-8 encoding"),
        ('{app="x"} \ud800', "parse error at line 0, col 9: invalid UTF-8 encoding"),
    ],
)
def test_text(query: str, message: str) -> None:
    assert refusal(query) == message
