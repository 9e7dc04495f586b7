"""The `Date` of answers, which RFC 9110 (6.6.1) asks of each server that has a clock: caches count from it."""

from email.utils import formatdate
from typing import Final

from log_aggregator.clock import Clock

_SECOND_NS: Final = 1_000_000_000


class AnswerDate:
    """Call it for the time as HTTP writes it. A text is made once a second, since that takes longer than to send it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seconds = -1
        self._text = ""

    def __call__(self) -> str:
        seconds = self._clock.now_ns() // _SECOND_NS
        if seconds != self._seconds:
            self._seconds, self._text = seconds, formatdate(seconds, usegmt=True)
        return self._text
