import pytest

from log_aggregator.http import params
from log_aggregator.http.params import Bounds, InvalidParameter, Params
from log_aggregator.logql.errors import ParseError
from log_aggregator.model.limits import Limits
from log_aggregator.services.query_limits import QueryRefused

NOW = 1_768_478_400 * params.SECOND_NS


def query(**values: str) -> Params:
    return Params({name: [value] for name, value in values.items()})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1768471200", 1_768_471_200_000_000_000),
        ("-5", -5_000_000_000),
        ("17684712000", 17_684_712_000),  # eleven digits are nanoseconds
        ("1768471200.5", 1_768_471_200_500_000_000),
        ("1768471200.0004", 1_768_471_200_000_000_000),  # floats are rounded to the millisecond
        ("1768471200.0625", 1_768_471_200_063_000_000),
        ("-1.0625", -1_063_000_000),
        ("2026-01-15T10:00:00Z", 1_768_471_200_000_000_000),
        ("2026-01-15T12:00:00.123456789+02:00", 1_768_471_200_123_456_789),
        ("2026-01-15T10:00:00-24:00", 1_768_557_600_000_000_000),
        ("1_768_471_200.5", 1_768_471_200_500_000_000),
        ("", NOW),
    ],
)
def test_timestamp(text: str, expected: int) -> None:
    assert params.timestamp(text, NOW) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abc", 'strconv.ParseInt: parsing "abc": invalid syntax'),
        ("1e9", 'strconv.ParseInt: parsing "1e9": invalid syntax'),
        ("2026-01-15", 'strconv.ParseInt: parsing "2026-01-15": invalid syntax'),
        ("2026-13-15T10:00:00Z", 'strconv.ParseInt: parsing "2026-13-15T10:00:00Z": invalid syntax'),
        ("99999999999999999999", 'strconv.ParseInt: parsing "99999999999999999999": value out of range'),
        ("2026-01-15T10:00:00+25:00", 'strconv.ParseInt: parsing "2026-01-15T10:00:00+25:00": invalid syntax'),
        ("٣", 'strconv.ParseInt: parsing "٣": invalid syntax'),
    ],
)
def test_bad_timestamp(text: str, message: str) -> None:
    with pytest.raises(InvalidParameter) as raised:
        params.timestamp(text, NOW)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h30m", 5400),
        ("1d", 86_400),
        ("1w", 604_800),
        ("1y", 31_536_000),
        ("500ms", 0.5),
        ("0", 0),
        ("2.5", 2.5),
        # As Go reads floats.
        ("1_0", 10),
        ("0x1p4", 16),
        (".5", 0.5),
    ],
)
def test_seconds_or_duration(text: str, seconds: float) -> None:
    assert params.seconds_or_duration(text) == seconds * params.SECOND_NS


@pytest.mark.parametrize("text", ["1x", "5 m", "-5m", "1ns", "abc", "1m1h", "1e400", "0x10", "\u0661"])
def test_bad_duration(text: str) -> None:
    with pytest.raises(InvalidParameter) as raised:
        params.seconds_or_duration(text)
    assert str(raised.value) == f'cannot parse "{text}" to a valid duration'


def test_step_overflow_is_named() -> None:
    with pytest.raises(InvalidParameter, match="It overflows int64"):
        params.seconds_or_duration("1e300")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Bounds(NOW - params.DEFAULT_SINCE_NS, NOW)),
        ({"since": "10m"}, Bounds(NOW - 600 * params.SECOND_NS, NOW)),
        # With an end in the future, `since` counts from now.
        ({"since": "10m", "end": "1768480000"}, Bounds(NOW - 600 * params.SECOND_NS, 1_768_480_000_000_000_000)),
        ({"since": "10m", "start": "1768471200"}, Bounds(1_768_471_200_000_000_000, NOW)),
    ],
)
def test_bounds(values: dict[str, str], expected: Bounds) -> None:
    assert params.bounds(query(**values), NOW) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"since": "1us"}, 'could not parse \'since\' parameter: unknown unit "us" in duration "1us"'),
        ({"since": "-1h"}, "could not parse 'since' parameter: not a valid duration string: \"-1h\""),
        ({"end": "abc"}, "could not parse 'end' parameter: strconv.ParseInt: parsing \"abc\": invalid syntax"),
        ({"start": "abc"}, "could not parse 'start' parameter: strconv.ParseInt: parsing \"abc\": invalid syntax"),
        ({"start": "11", "end": "10"}, "end timestamp must not be before or equal to start time"),
    ],
)
def test_bad_bounds(values: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidParameter) as raised:
        params.ordered_bounds(query(**values), NOW)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0", "limit must be a positive value"),
        ("-1", "limit must be a positive value"),
        ("1.5", 'strconv.Atoi: parsing "1.5": invalid syntax'),
        ("\u0663", 'strconv.Atoi: parsing "\u0663": invalid syntax'),
        ("4294967296", "limit value 4294967296 is out of range [0, 4294967295]"),
    ],
)
def test_bad_limit(text: str, message: str) -> None:
    with pytest.raises(InvalidParameter) as raised:
        params.limit(query(limit=text))
    assert str(raised.value) == message


def test_direction_ignores_case_and_defaults_to_backward() -> None:
    assert params.direction(query(direction="Forward")) == "forward"
    assert params.direction(query()) == "backward"
    with pytest.raises(InvalidParameter, match="invalid direction 'sideways'"):
        params.direction(query(direction="sideways"))


@pytest.mark.parametrize(("seconds", "step"), [(0, 1), (249, 1), (3600, 14), (86_400, 345)])
def test_default_step_gives_about_250_points(seconds: int, step: int) -> None:
    assert params.step(query(), Bounds(0, seconds * params.SECOND_NS)) == step * params.SECOND_NS


@pytest.mark.parametrize("text", ["0", "-1", "0s", "NaN"])
def test_step_must_be_positive(text: str) -> None:
    with pytest.raises(InvalidParameter, match="zero or negative query resolution step widths"):
        params.step(query(step=text), Bounds(0, 1))


def test_first_mistake_of_a_range_query_is_told() -> None:
    wrong = {"start": "2", "end": "1", "limit": "0", "direction": "up", "step": "0.001", "interval": "-1"}
    right = {"end": "1000", "limit": "1", "direction": "forward", "step": "1"}
    messages = []
    for name, value in right.items():
        with pytest.raises((InvalidParameter, QueryRefused)) as raised:
            params.ranged(query(**wrong), NOW)
        messages.append(str(raised.value).partition(". ")[0])
        wrong[name] = value
    with pytest.raises(InvalidParameter, match="interval must be >= 0"):
        params.ranged(query(**wrong), NOW)
    assert messages == [
        "end timestamp must not be before or equal to start time",
        "limit must be a positive value",
        "invalid direction 'up'",
        "exceeded maximum resolution of 11,000 points per time series",
    ]


def test_steps_are_limited() -> None:
    range_ = Bounds(0, 11_000 * params.SECOND_NS)
    assert params.step(query(step="1"), range_) == params.SECOND_NS
    with pytest.raises(QueryRefused, match="exceeded maximum resolution of 11,000 points"):
        params.step(query(step="0.999"), range_)


def test_interval_is_a_number() -> None:
    with pytest.raises(InvalidParameter, match="interval must be >= 0"):
        params.interval(query(interval="NaN"))


def test_form_values_follow_those_of_the_url() -> None:
    both = Params({"match[]": ["{a}"]}, {"match[]": ["{b}"], "limit": ["3"]})
    assert both.all("match[]") == ["{a}", "{b}"]
    assert both.get("limit") == "3"
    assert both.get("absent") == ""


def test_span_of_the_range_is_limited() -> None:
    day = 86_400 * params.SECOND_NS
    wanted = query(start="1768391999", end="1768478400")
    with pytest.raises(QueryRefused) as raised:
        params.allowed(params.bounds(wanted, NOW), Limits(max_query_length=day), NOW)
    assert str(raised.value) == "the query time range exceeds the limit (query length: 24h0m1s, limit: 1d)"
    assert params.allowed(params.bounds(wanted, NOW), Limits(max_query_length=0), NOW) == params.bounds(wanted, NOW)


def test_span_is_measured_in_milliseconds() -> None:
    wanted = query(start="1768391999.9996", end="1768478400")
    assert params.allowed(params.bounds(wanted, NOW), Limits(max_query_length=86_400 * params.SECOND_NS), NOW)


def test_range_is_cut_at_the_lookback() -> None:
    limits = Limits(max_query_lookback=params.DEFAULT_SINCE_NS)
    wanted = query(start="1768391999", end="1768478400")
    assert params.allowed(params.bounds(wanted, NOW), limits, NOW) == Bounds(NOW - params.DEFAULT_SINCE_NS, NOW)


@pytest.mark.parametrize("text", ["{}", "{ }"])
def test_empty_selector_has_no_matchers(text: str) -> None:
    assert params.selector(text) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "parse error : syntax error: unexpected $end"),
        ('{app="a"} | json', "only label matchers are supported"),
    ],
)
def test_bad_selector(text: str, message: str) -> None:
    with pytest.raises(ParseError) as raised:
        params.selector(text)
    assert str(raised.value) == message
