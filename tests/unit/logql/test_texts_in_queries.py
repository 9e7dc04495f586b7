"""The small languages inside queries: durations, sizes, paths, keys, patterns, addresses."""

from ipaddress import ip_address

import pytest

from log_aggregator.logql.ip import InvalidIpPattern, parse_ip_pattern
from log_aggregator.logql.paths import InvalidPath, parse_json_path, parse_logfmt_key
from log_aggregator.logql.pattern import Capture, parse_line_pattern, parse_pattern
from log_aggregator.logql.template.sizes import parse_size
from log_aggregator.logql.units import format_bytes, format_prometheus_duration
from log_aggregator.model.quantity import format_duration


@pytest.mark.parametrize(
    ("value_ns", "go", "prometheus"),
    [
        (0, "0s", "0s"),
        (1, "1ns", "0s"),
        (1_500, "1.5µs", "0s"),
        (100_000_000, "100ms", "100ms"),
        (1_500_000_000, "1.5s", "1s500ms"),
        (90_000_000_000, "1m30s", "1m30s"),
        (3_600_000_000_000, "1h0m0s", "1h"),
        (86_400_000_000_000, "24h0m0s", "1d"),
        (604_800_000_000_000, "168h0m0s", "1w"),
        (694_800_000_000_000, "193h0m0s", "8d1h"),
        (-300_000_000_000, "-5m0s", "-5m"),
    ],
)
def test_durations_are_printed(value_ns: int, go: str, prometheus: str) -> None:
    assert (format_duration(value_ns), format_prometheus_duration(value_ns)) == (go, prometheus)


@pytest.mark.parametrize(
    ("text", "value", "printed"),
    [
        ("0", 0, "0B"),
        ("9B", 9, "9B"),
        ("1024", 1024, "1.0kB"),
        ("1KiB", 1024, "1.0kB"),
        ("1kb", 1000, "1.0kB"),
        ("9.95kB", 9950, "10kB"),
        ("20 MB", 20_000_000, "20MB"),
        ("1.5 GiB", 1_610_612_736, "1.6GB"),
        (".5k", 500, "500B"),
        ("1,000B", 1000, "1.0kB"),
    ],
)
def test_sizes(text: str, value: int, printed: str) -> None:
    assert parse_size(text) == value
    assert format_bytes(value) == printed


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ("a",)),
        ("a.b[0].c", ("a", "b", 0, "c")),
        ('["a b"]["c"]', ("a b", "c")),
        (' a [ 1 ] [ "x', None),
        ("[0]", (0,)),
        ("[000000000000000000000007]", (7,)),
        ("a\0b", ("a",)),
    ],
)
def test_json_paths(text: str, path: tuple[str | int, ...] | None) -> None:
    if path is None:
        with pytest.raises(InvalidPath, match=r"unexpected \$end, expecting RSB"):
            parse_json_path(text)
    else:
        assert parse_json_path(text) == path


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a[1]2[3]", "non-integer value: ["),
        ("a[9223372036854775808]", "syntax error: unexpected $end, expecting STRING or INDEX"),
        ("a[0]1.", "cannot use float as array index"),
        ("a-b", "unexpected char -"),
        ("a b", "syntax error: unexpected FIELD"),
    ],
)
def test_what_is_no_json_path(text: str, problem: str) -> None:
    with pytest.raises(InvalidPath) as caught:
        parse_json_path(text)
    assert str(caught.value) == f"cannot parse expression [{text}]: {problem}"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("a_1", "a_1"),
        (' "a b" ', "a b"),
        ('"a', "a"),
        ('a "b""c"', "a%!(EXTRA string=b, string=c)"),
    ],
)
def test_logfmt_keys(text: str, key: str) -> None:
    assert parse_logfmt_key(text) == key


def test_patterns_are_literals_and_captures() -> None:
    assert parse_pattern('<a> - <_> "<b1>" <1> <é>').parts == (
        *(Capture("a"), " - ", Capture("_"), ' "', Capture("b1"), '" <1> <é>'),
    )
    assert parse_pattern("<a> <_>").names == ("a",)
    assert parse_line_pattern("").parts == ()


@pytest.mark.parametrize(
    ("pattern", "address", "is_held"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.0/8", "10.255.255.255", True),
        ("10.0.0.0/8", "11.0.0.0", False),
        ("10.0.0.5/8", "10.0.0.1", True),
        ("10.0.0.1-10.0.0.3", "10.0.0.3", True),
        ("10.0.0.1-10.0.0.3", "10.0.0.4", False),
        ("fe80::/10", "fe80::1", True),
        ("::1", "0.0.0.1", False),
        ("fe80::1%eth0", "fe80::1", False),
    ],
)
def test_addresses(pattern: str, address: str, is_held: bool) -> None:
    assert parse_ip_pattern(pattern).holds(ip_address(address)) is is_held


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "1.2.3",
        "1.2.3.4/33",
        "1.2.3.4/+8",
        "1.2.3.4/08",
        "1.2.3.4/255.0.0.0",
        "1.2.3.4-::1",
        "2.0.0.0-1.0.0.0",
    ],
)
def test_what_is_no_address(pattern: str) -> None:
    with pytest.raises(InvalidIpPattern):
        parse_ip_pattern(pattern)
