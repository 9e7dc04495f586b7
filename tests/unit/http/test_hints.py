import time

import pytest

from log_aggregator.errors import LogAggregatorError
from log_aggregator.http.hints import with_hint
from log_aggregator.http.params import Bounds, InvalidParameter, Params, step
from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.limits import Limits
from log_aggregator.services.query_limits import QueryRefused, check_span

CONTAINS = 'Lines that contain a text: |= "text"'
FILTERS = f'{CONTAINS}, that match a regular expression: |~ "expression"'
CURL = "if curl or a shell took the braces away, use: curl -G --data-urlencode 'query={...}'"
SINGLE_QUOTES = "strings stand in double quotes or backticks, not in single quotes"
COMMAS = "matchers are separated by commas, and all must match"


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("", "the parameter 'query' is missing or empty"),
        ('job="manager"', CURL),
        ('job="manager" |= "x"', CURL),
        ('job=~"manager|worker",env="prod"', CURL),
        ('{job="manager"} | ERROR', f'did you mean {{job="manager"}} |= "ERROR"? {FILTERS}'),
        ('{job="m"} |= "a" | 10.0.0.1', f'did you mean {{job="m"}} |= "a" |= "10.0.0.1"? {FILTERS}'),
        ('{job="manager"} | "ERROR"', f'did you mean {{job="manager"}} |= "ERROR"? {CONTAINS}'),
        ('{job="m"} |= ERROR', 'did you mean {job="m"} |= "ERROR"? Texts stand in double quotes or backticks'),
        ('{job="m"} |~ err.*', 'did you mean {job="m"} |~ "err.*"? Texts stand in double quotes or backticks'),
        ("{job='manager'}", SINGLE_QUOTES),
        ('{job=="manager"}', "labels are compared with =, !=, =~ or !~"),
        ("{job=manager}", 'did you mean {job="manager"}? Values stand in double quotes or backticks'),
        ('{job="a" and env="b"}', COMMAS),
        ('{job="a" || env="b"}', COMMAS),
        ('rate({job="a"})', "rate needs a range, such as [5m], behind the query inside it"),
        (
            'sum(count_over_time({job="a"} |= "(x["))',
            "count_over_time needs a range, such as [5m], behind the query inside it",
        ),
        ("SELECT * FROM logs", 'queries are LogQL, such as {job="manager"} |= "text"'),
    ],
)
def test_known_mistakes(query: str, hint: str) -> None:
    with pytest.raises(ParseError) as raised:
        parse_expr(query)
    assert with_hint(raised.value, [query]) == f"{raised.value}\nhint: {hint}"


@pytest.mark.parametrize(
    "query",
    [
        'count_over_time({job="a"} | logfmt | addr = ip("bogus") [1m])',
        "{",
        '{job="a"} | json |',
        "{job=}",
        "1 +",
        "}" * 10,
        "{" * 100_000,
    ],
)
def test_other_errors_have_no_hint(query: str) -> None:
    with pytest.raises(ParseError) as raised:
        parse_expr(query)
    assert with_hint(raised.value, [query]) == str(raised.value)


def test_other_kinds_of_errors_have_no_hint() -> None:
    assert with_hint(LogAggregatorError("text"), ["job"]) == "text"


@pytest.mark.parametrize("part", ["{a", '{a="b"}|', "{a=b}[", '"', "rate({", '{a="b"} and ', "rate("])
def test_hints_cost_little(part: str) -> None:
    begun = time.process_time()
    with_hint(ParseError("x"), [part * (1000 // len(part))])
    assert time.process_time() - begun < 0.5


def test_parameter_that_the_message_does_not_name() -> None:
    with pytest.raises(InvalidParameter) as raised:
        step(Params({"step": ["x"]}), Bounds(0, 1))
    assert with_hint(raised.value, []) == "cannot parse \"x\" to a valid duration\nhint: the parameter is 'step'"


def test_limit_that_the_message_does_not_name() -> None:
    with pytest.raises(QueryRefused) as raised:
        check_span(0, 7200 * 10**9, Limits(max_query_length=3600 * 10**9))
    assert with_hint(raised.value, []) == (
        "the query time range exceeds the limit (query length: 2h0m0s, limit: 1h)\n"
        "hint: the limit is limits_config.max_query_length"
    )
