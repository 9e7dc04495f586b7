"""Moments and ranges of time, as people give them on the command line."""

import re
from argparse import Namespace
from datetime import UTC, datetime, timedelta
from typing import Final

from log_aggregator.client.errors import ClientError
from log_aggregator.model.quantity import parse_duration

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_NS: Final = 1_000_000_000
_FRACTION: Final = re.compile(r"\.(\d{1,9})")


def parse_moment(text: str) -> int:
    """Nanoseconds since 1970 of `2026-01-31T12:00:00Z`, `2026-01-31` (UTC), seconds or nanoseconds.

    Raises ClientError.
    """
    if text.isdecimal():
        # As in the API: what has eleven digits or more cannot be seconds.
        return int(text) * (_SECOND_NS if len(text) <= 10 else 1)
    fraction = _FRACTION.search(text)
    try:
        moment = datetime.fromisoformat(_FRACTION.sub("", text))
    except ValueError as error:
        raise ClientError(f"not a time: {text!r}; write it as 2026-01-31T12:00:00Z") from error
    since = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _EPOCH
    seconds = since // timedelta(seconds=1)
    return seconds * _SECOND_NS + (int(fraction[1].ljust(9, "0")) if fraction else 0)


def range_of(options: Namespace, now_ns: int) -> tuple[int, int]:
    """Start and end, from --from, --to and --since. Raises ClientError."""
    end = parse_moment(options.to) if options.to else now_ns
    if options.start:
        return parse_moment(options.start), end
    try:
        return end - parse_duration(options.since), end
    except ValueError as error:
        raise ClientError(f"--since: {error}") from error
