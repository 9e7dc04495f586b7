import pytest

from log_aggregator.model.quantity import (
    format_duration,
    format_rfc3339,
    format_size,
    format_time,
    parse_duration,
    parse_size,
    parse_time,
)

SECOND = 1_000_000_000
HOUR = 3600 * SECOND


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("7ns", 7),
        ("7us", 7_000),
        ("7µs", 7_000),
        ("7ms", 7_000_000),
        ("3m", 180 * SECOND),
        ("1h30m", 90 * 60 * SECOND),
        ("1h0m0s", HOUR),
        ("1.5h", 90 * 60 * SECOND),
        (".5s", SECOND // 2),
        ("30d", 30 * 24 * HOUR),
        ("1w", 168 * HOUR),
        ("1y", 365 * 24 * HOUR),
        ("30d1h", 721 * HOUR),
        ("-1s", -SECOND),
    ],
)
def test_duration_in_every_unit(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "30", "s", "1 h", "1h 30m", "h1", "1x", "--1s", "1e3s"])
def test_duration_needs_number_and_unit(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration; write a number with a unit, such as 30s, 1h30m or 7d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (100_000_000, "100ms"),
        (1_500_000_000, "1.5s"),
        (1_050_000_000, "1.05s"),
        (60 * SECOND, "1m0s"),
        (721 * HOUR, "721h0m0s"),
        (-SECOND, "-1s"),
    ],
)
def test_duration_is_shown_as_go_does(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1024", 1024),
        ("5B", 5),
        ("256KB", 256 << 10),
        ("256kb", 256 << 10),
        ("64K", 64 << 10),
        ("4MB", 4 << 20),
        ("4MiB", 4 << 20),
        ("1.5GB", 3 << 29),
        ("2 TB", 2 << 40),
    ],
)
def test_size_in_powers_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "KB", "1XB", "1 2MB", "-1KB", "many"])
def test_size_needs_number_and_known_unit(text: str) -> None:
    with pytest.raises(ValueError, match="not a size; write bytes or a number with a unit, such as 256KB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (1023, "1023B"), (256 << 10, "256KB"), (1_572_864, "1536KB"), (150 << 30, "150GB")]
)
def test_size_is_shown_in_the_largest_whole_unit(size: int, text: str) -> None:
    assert format_size(size) == text
    assert parse_size(text) == size


def test_time_is_rfc3339() -> None:
    assert parse_time("2026-01-31T12:00:00Z") == 1_769_860_800 * SECOND
    assert parse_time("2026-01-31T13:00:00+01:00") == 1_769_860_800 * SECOND
    assert parse_time("2026-01-31T12:00:00") == 1_769_860_800 * SECOND
    assert parse_time("0") == 0
    assert format_time(1_769_860_800 * SECOND) == "2026-01-31T12:00:00Z"
    with pytest.raises(ValueError, match="not a time; write it as 2026-01-31T12:00:00Z"):
        parse_time("soon")


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_768_471_200_000_000_000, "2026-01-15T10:00:00Z"),
        (1_768_471_200_120_000_000, "2026-01-15T10:00:00.12Z"),
        (1_768_471_200_000_000_001, "2026-01-15T10:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
    ],
)
def test_rfc3339_has_the_digits_that_it_takes(time_ns: int, text: str) -> None:
    assert format_rfc3339(time_ns) == text
