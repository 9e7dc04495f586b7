"""The time as HTTP writes it."""

import pytest

from clocks import SetClock
from log_aggregator.http.date import AnswerDate


@pytest.mark.parametrize(
    ("now_ns", "text"),
    [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777_000_000_000, "Sun, 06 Nov 1994 08:49:37 GMT"),  # of RFC 9110
        (784_111_777_999_999_999, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (1_709_210_096_000_000_000, "Thu, 29 Feb 2024 12:34:56 GMT"),
    ],
)
def test_time_is_written_in_whole_seconds_of_gmt(now_ns: int, text: str) -> None:
    assert AnswerDate(SetClock(now_ns))() == text


def test_time_goes_on_and_follows_a_clock_that_is_set_back() -> None:
    clock = SetClock(784_111_777_000_000_000)
    date = AnswerDate(clock)
    shown = []
    for step_ns in (0, 999_999_999, 1, -2_000_000_000):
        clock.time_ns += step_ns
        shown.append(date()[-6:-4])
    assert shown == ["37", "37", "38", "36"]
