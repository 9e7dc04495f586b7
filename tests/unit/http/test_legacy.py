import pytest

from log_aggregator.http.encode import format_rfc3339


@pytest.mark.parametrize(
    ("timestamp_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_768_471_200_000_000_000, "2026-01-15T10:00:00Z"),
        (1_768_471_200_120_000_000, "2026-01-15T10:00:00.12Z"),
        (1_768_471_200_000_000_001, "2026-01-15T10:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
    ],
)
def test_format_rfc3339(timestamp_ns: int, text: str) -> None:
    assert format_rfc3339(timestamp_ns) == text
