"""What reads well but means nothing, in Loki's words."""

import pytest

from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.parser import parse_expr

EMPTY_COMPATIBLE = (
    "queries require at least one regexp or equality matcher that does not have an empty-compatible "
    'value. For instance, app=~".*" does not meet this requirement, but app=~".+" will'
)


def refusal(query: str) -> str:
    with pytest.raises(ParseError) as caught:
        parse_expr(query)
    return str(caught.value).removeprefix("parse error : ")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{}", EMPTY_COMPATIBLE),
        ('{app=""}', EMPTY_COMPATIBLE),
        ('{app=~".*"}', EMPTY_COMPATIBLE),
        ('{app=~""}', EMPTY_COMPATIBLE),
        ('{app!="x"}', EMPTY_COMPATIBLE),
        ('{app!~"x"}', EMPTY_COMPATIBLE),
        ('{app=~"x?", env=""}', EMPTY_COMPATIBLE),
        ("sum(rate({}[5m]))", EMPTY_COMPATIBLE),
        ('rate({app=~".*"}[5m])', EMPTY_COMPATIBLE),
        ("vector(1) + rate({}[5m])", EMPTY_COMPATIBLE),
        ("sum(1)", EMPTY_COMPATIBLE),
        ("topk(1, count by (a) (1 + 1)) > 2", EMPTY_COMPATIBLE),
    ],
)
def test_selector_needs_a_matcher_that_excludes_empty(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{app="x"} + 1', "unexpected type for left leg of binary operation (+): *syntax.MatchersExpr"),
        ('1 + {app="x"}', "unexpected type for right leg of binary operation (+): *syntax.MatchersExpr"),
        ('{app="x"} | json > 5', "unexpected type for left leg of binary operation (>): *syntax.PipelineExpr"),
        (
            'rate({app="x"}[5m]) or {app="x"} |= "a"',
            "unexpected type for right leg of binary operation (or): *syntax.PipelineExpr",
        ),
    ],
)
def test_log_queries_are_no_operands(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            'rate({app="x"}[5m]) and 1',
            "unexpected literal for right leg of logical/set binary operation (and): 1.000000",
        ),
        ('1 or rate({app="x"}[5m])', "unexpected literal for left leg of logical/set binary operation (or): 1.000000"),
        (
            'rate({app="x"}[5m]) unless 2.5',
            "unexpected literal for right leg of logical/set binary operation (unless): 2.500000",
        ),
        ("1 and 2", "unexpected literal for left leg of logical/set binary operation (and): 1.000000"),
        ("3 ^ 1e3 or vector(1)", "unexpected literal for left leg of logical/set binary operation (or): +Inf"),
    ],
)
def test_set_operators_take_no_literals(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('sum_over_time({app="x"} | unwrap a [5m]) by (b)', "grouping not allowed for sum_over_time aggregation"),
        ('rate({app="x"}[5m]) by (b)', "grouping not allowed for rate aggregation"),
        ('count_over_time({app="x"}[5m]) without (b)', "grouping not allowed for count_over_time aggregation"),
        ('absent_over_time({app="x"}[5m]) by (b)', "grouping not allowed for absent_over_time aggregation"),
        ('rate_counter({app="x"} | unwrap a [5m]) by (b)', "grouping not allowed for rate_counter aggregation"),
        ('count_over_time({app="x"} | unwrap a [5m])', "invalid aggregation count_over_time with unwrap"),
        ('bytes_over_time({app="x"} | unwrap a [5m])', "invalid aggregation bytes_over_time with unwrap"),
        ('sum_over_time({app="x"}[5m])', "invalid aggregation sum_over_time without unwrap"),
        ('avg_over_time({app="x"}[5m])', "invalid aggregation avg_over_time without unwrap"),
        ('quantile_over_time({app="x"} | unwrap a [5m])', "parameter required for operation quantile_over_time"),
        (
            'quantile_over_time(0x1, {app="x"} | unwrap a [5m])',
            ('invalid parameter for operation quantile_over_time: strconv.ParseFloat: parsing "0x1": invalid syntax'),
        ),
        ('quantile_over_time(0.5, {app="x"}[5m])', "invalid aggregation quantile_over_time without unwrap"),
        ('rate(5, {app="x"}[5m])', "parameter 5 not supported for operation rate"),
        ('sum_over_time(0.50, {app="x"} | unwrap a [5m])', "parameter 0.50 not supported for operation sum_over_time"),
    ],
)
def test_range_aggregations(query: str, message: str) -> None:
    """Grouping is for those that look at values one by one; parameters for quantile_over_time only."""
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('topk(rate({app="x"}[5m]))', "parameter required for operation topk"),
        ('topk(9223372036854775808, rate({app="x"}[5m]))', "invalid parameter topk(9223372036854775808,"),
        (f'topk({"9" * 5000}, rate({{app="x"}}[5m]))', f"invalid parameter topk({'9' * 5000},"),
        ('topk(0, rate({app="x"}[5m]))', "invalid parameter (must be greater than 0) topk(0"),
        ('bottomk(1.5, rate({app="x"}[5m]))', "invalid parameter bottomk(1.5,"),
        ('approx_topk(rate({app="x"}[5m]))', "parameter required for operation approx_topk"),
        ('approx_topk(2, rate({app="x"}[5m])) by (a)', "grouping not allowed for approx_topk aggregation"),
        ('sum(1, rate({app="x"}[5m]))', "unsupported parameter for operation sum(1,"),
        ('sort(5, rate({app="x"}[5m]))', "unsupported parameter for operation sort(5,"),
        ('sort(rate({app="x"}[5m])) by (a)', "sort and sort_desc doesn't allow grouping by "),
        ('sort_desc without (a) (rate({app="x"}[5m]))', "sort and sort_desc doesn't allow grouping by "),
    ],
)
def test_vector_aggregations(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("0x1F", 'unable to parse literal as a float: strconv.ParseFloat: parsing "0x1F": invalid syntax'),
        ("1e999", ('unable to parse literal as a float: strconv.ParseFloat: parsing "1e999": value out of range')),
        ("vector(0x1F)", ('unable to parse vectorExpr as a float: strconv.ParseFloat: parsing "0x1F": invalid syntax')),
        (
            "vector(1e999)",
            ('unable to parse vectorExpr as a float: strconv.ParseFloat: parsing "1e999": value out of range'),
        ),
        (
            '{app="x"} | a > 0x1F',
            'unable to parse literal as a float: strconv.ParseFloat: parsing "0x1F": invalid syntax',
        ),
    ],
)
def test_literals(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            'label_replace(rate({app="x"}[5m]), "a", "b", "c", "(")',
            "invalid regex in label_replace: error parsing regexp: missing closing ): `^(?:()$`",
        ),
    ],
)
def test_label_replace(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{app=~"("}', "error parsing regexp: missing closing ): `(`"),
        ('{app!~"["}', "error parsing regexp: missing closing ]: `[`"),
        ('{app=~"a**"}', "error parsing regexp: invalid nested repetition operator: `**`"),
        ('{app="x"} |~ "["', "stage '|~ \"[\"' : error parsing regexp: missing closing ]: `[`"),
        (
            '{app="x"} |= "a" |~ "b" |~ "("',
            'stage \'|= "a" |~ "b" |~ "("\' : error parsing regexp: missing closing ): `(`',
        ),
        ('{app="x"} | a=~"*"', "error parsing regexp: missing argument to repetition operator: `*`"),
        ('{app="x"} | drop a=~"("', "error parsing regexp: missing closing ): `(`"),
        ('{app=~"x{1001}"}', "error parsing regexp: invalid repeat count: `{1001}`"),
        ('{app=~"(?=x)"}', "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"),
        (r'{app=~"\\1"}', r"error parsing regexp: invalid escape sequence: `\1`"),
        ('{app=~"[z-a]"}', "error parsing regexp: invalid character class range: `z-a`"),
    ],
)
def test_regular_expressions(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{app="x"} | regexp "("', "invalid regexp parser: error parsing regexp: missing closing ): `(`"),
        ('{app="x"} | regexp "(a)"', "invalid regexp parser: at least one named capture must be supplied"),
        ('{app="x"} | regexp ""', "invalid regexp parser: at least one named capture must be supplied"),
        ('{app="x"} | regexp "(?P<a>b)(?P<a>c)"', "invalid regexp parser: duplicate extracted label name 'a'"),
        (
            '{app="x"} | regexp "(?P<a-b>x)"',
            "invalid regexp parser: error parsing regexp: invalid named capture: `(?P<a-b>`",
        ),
        (
            '{app="x"} | regexp "(?P<été>x)"',
            "invalid regexp parser: error parsing regexp: invalid named capture: `(?P<été>`",
        ),
        (r'{app="x"} | regexp `\(?P<a>x`', "invalid regexp parser: at least one named capture must be supplied"),
        (r'{app="x"} | regexp `\Q(?P<a>\E(x)`', "invalid regexp parser: at least one named capture must be supplied"),
    ],
)
def test_regexp_stage(query: str, message: str) -> None:
    """It needs named groups, each once."""
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            '{app="x"} | pattern ""',
            (
                "invalid pattern parser: parse error at line 1, col 1: syntax error: unexpected "
                "$end, expecting IDENTIFIER or LITERAL"
            ),
        ),
        ('{app="x"} | pattern "a"', "invalid pattern parser: at least one capture is required"),
        ('{app="x"} | pattern "<_>"', "invalid pattern parser: at least one capture is required"),
        (
            '{app="x"} | pattern "<a><b>"',
            "invalid pattern parser: found consecutive capture '<a><b>': invalid expression",
        ),
        ('{app="x"} | pattern "<a> <a>"', "invalid pattern parser: duplicate capture name (a): invalid expression"),
        (
            '{app="x"} | pattern "<_><a>"',
            "invalid pattern parser: found consecutive capture '<_><a>': invalid expression",
        ),
    ],
)
def test_pattern_stage(query: str, message: str) -> None:
    """It needs named captures, each once, none next to another."""
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{app="x"} |> "<a>"', "stage '|> \"<a>\"' : named captures are not allowed: found '<a>'"),
        ('{app="x"} !> "<_><_>"', "stage '!> \"<_><_>\"' : found consecutive capture '<_><_>': invalid expression"),
        ('{app="x"} |> "a" or "<b>"', "stage '|> \"a\" or \"<b>\"' : named captures are not allowed: found '<b>'"),
    ],
)
def test_pattern_filters(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            '{app="x"} | line_format "{{"',
            "stage '| line_format \"{{\"' : invalid line template: template: line:1: unclosed action",
        ),
        (
            '{app="x"} | line_format "{{.a | nofunc}}"',
            (
                "stage '| line_format \"{{.a | nofunc}}\"' : invalid line template: template: "
                'line:1: function "nofunc" not defined'
            ),
        ),
        (
            '{app="x"} | label_format a="{{.b"',
            ("stage '| label_format a=\"{{.b\"' : invalid template for label 'a': template: label:1: unclosed action"),
        ),
        (
            '{app="x"} | label_format a="{{.b\\n"',
            "stage '| label_format a=\"{{.b\\n\"' : invalid template for label 'a': template: label:2: unclosed action "
            "started at label:1",
        ),
        (
            '{app="x"} | label_format a=b,a=c',
            ("stage '| label_format a=b,a=c' : multiple label name 'a' not allowed in a single format operation"),
        ),
        (
            '{app="x"} | label_format __error__="a"',
            "stage '| label_format __error__=\"a\"' : __error__ cannot be formatted",
        ),
        (
            '{app="x"} | label_format a="{{",__error__="a"',
            'stage \'| label_format a="{{",__error__="a"\' : __error__ cannot be formatted',
        ),
    ],
)
def test_templates(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{app="x"} |= ip("z")', 'stage \'|= ip("z")\' : ip: invalid pattern: "z"'),
        ('{app="x"} |= ip(`\\d`)', 'stage \'|= ip("\\\\d")\' : ip: invalid pattern: "\\\\d"'),
        ('{app="x"} |~ ip("1.2.3.4")', "stage '|~ ip(\"1.2.3.4\")' : ip: invalid operation"),
        ('{app="x"} |> ip("1.2.3.4")', "stage '|> ip(\"1.2.3.4\")' : ip: invalid operation"),
        ('{app="x"} | a=ip("1.2.3.4/33")', 'stage \'| a=ip("1.2.3.4/33")\' : ip: invalid pattern: "1.2.3.4/33"'),
        (
            '{app="x"} | (a=ip("1.2.3.4/33"))',
            'stage \'| a=ip("1.2.3.4/33")\' : ip: invalid pattern: "1.2.3.4/33"',
        ),
        ('{app="x"} | a=ip("fe80::%e/64")', 'stage \'| a=ip("fe80::%e/64")\' : ip: invalid pattern: "fe80::%e/64"'),
        (
            '{app="x"} | a!=ip("1.2.3.9-1.2.3.4")',
            'stage \'| a!=ip("1.2.3.9-1.2.3.4")\' : ip: invalid pattern: "1.2.3.9-1.2.3.4"',
        ),
    ],
)
def test_addresses(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            '{app="x"} | json a=""',
            (
                "stage '| json a=\"\"' : cannot parse expression []: syntax error: unexpected "
                "$end, expecting LSB or FIELD"
            ),
        ),
        (
            '{app="x"} | json a="b["',
            (
                "stage '| json a=\"b[\"' : cannot parse expression [b[]: syntax error: unexpected "
                "$end, expecting STRING or INDEX"
            ),
        ),
        (
            '{app="x"} | json a="b[1.5]"',
            (
                "stage '| json a=\"b[1.5]\"' : cannot parse expression [b[1.5]]: syntax error: "
                "unexpected $end, expecting STRING or INDEX"
            ),
        ),
        (
            '{app="x"} | json a="b[x]"',
            (
                "stage '| json a=\"b[x]\"' : cannot parse expression [b[x]]: syntax error: "
                "unexpected FIELD, expecting STRING or INDEX"
            ),
        ),
        (
            '{app="x"} | json a="b..c"',
            (
                "stage '| json a=\"b..c\"' : cannot parse expression [b..c]: syntax error: "
                "unexpected DOT, expecting FIELD"
            ),
        ),
        ('{app="x"} | json a="b-c"', "stage '| json a=\"b-c\"' : cannot parse expression [b-c]: unexpected char -"),
        (
            '{app="x"} | json a="[1a]"',
            (
                "stage '| json a=\"[1a]\"' : cannot parse expression [[1a]]: syntax error: "
                "unexpected $end, expecting STRING or INDEX"
            ),
        ),
    ],
)
def test_json_paths(query: str, message: str) -> None:
    assert refusal(query) == message


BAD_TEMPLATE = "stage '| line_format \"{{\"' : invalid line template: template: line:1: unclosed action"


@pytest.mark.parametrize(
    "query",
    [
        '{app="x"} | line_format "{{"',
        'rate({app="x"} | line_format "{{" | json [1m])',
        'bytes_rate({app="x"} | line_format "{{" [1m])',
    ],
)
def test_a_template_that_cannot_be_built(query: str) -> None:
    assert refusal(query) == BAD_TEMPLATE


def test_a_template_whose_line_nothing_reads_is_not_built() -> None:
    parse_expr('sum(rate({app="x"} | json | line_format "{{" | a > 1 [1m]))')


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            '{app="x"} | logfmt a=""',
            (
                "stage '| logfmt a=\"\"' : cannot parse expression []: syntax error: unexpected "
                "$end, expecting STRING or KEY"
            ),
        ),
        (
            '{app="x"} | logfmt a="b c"',
            "stage '| logfmt a=\"b c\"' : cannot parse expression [b c]: syntax error: unexpected KEY",
        ),
        ('{app="x"} | logfmt a="b.c"', "stage '| logfmt a=\"b.c\"' : cannot parse expression [b.c]: unexpected char ."),
        (
            '{app="x"} | logfmt a="é"',
            (
                "stage '| logfmt a=\"é\"' : cannot parse expression [é]: syntax error: unexpected "
                "$end, expecting STRING or KEY"
            ),
        ),
    ],
)
def test_logfmt_keys(query: str, message: str) -> None:
    assert refusal(query) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("0x1 + {", "parse error at line 1, col 8: syntax error: unexpected $end, expecting IDENTIFIER or }"),
        ('sum(1, rate({app="x"}[5m]', "parse error at line 1, col 26: syntax error: unexpected $end, expecting )"),
        ('topk(sum_over_time({app="x"}[5m]))', "parameter required for operation topk"),
        (
            'sum_over_time({app="x"}[5m]) + topk(rate({app="x"}[5m]))',
            "invalid aggregation sum_over_time without unwrap",
        ),
        ('{app="x"} | json a="[" |~ "("', "stage '|~ \"(\"' : error parsing regexp: missing closing ): `(`"),
        (
            '{app="x"} | line_format "{{" |~ "("',
            "stage '| line_format \"{{\"' : invalid line template: template: line:1: unclosed action",
        ),
        (
            '{app="x"} | json a="[" | b="c" |~ "("',
            (
                "stage '| json a=\"[\"' : cannot parse expression [[]: syntax error: unexpected "
                "$end, expecting STRING or INDEX"
            ),
        ),
        (
            '{app="x"} |~ "(" | json a="[" |~ "["',
            'stage \'|~ "(" |~ "["\' : error parsing regexp: missing closing ]: `[`',
        ),
        ('{app=~"("} | oops oops', "error parsing regexp: missing closing ): `(`"),
    ],
)
def test_which_error_comes_first(query: str, message: str) -> None:
    """Syntax before meaning, outer before inner, left before right, and line filters before what they may pass."""
    assert refusal(query) == message
