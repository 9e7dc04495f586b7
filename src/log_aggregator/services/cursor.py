"""Where a page of a log query's answer ended, so that the next begins there: no entry lost, none given twice.

Entries of one timestamp have an order of their own (`engine.order`), so a cursor says how many of them have been given,
and what the last one was: entries that arrive later with the same timestamp stand before it when the direction is
backward. A cursor holds times and a checksum, nothing of a tenant's; with another tenant's query it is a range like any
other.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec
import xxhash

from log_aggregator.engine.order import Direction
from log_aggregator.engine.pipeline import Row
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.model.segment import clamped_ns

_VERSION: Final = 1
_INT64: Final = 2**63
# Each page reads again what earlier ones gave of its first timestamp.
_MAX_GIVEN: Final = 200_000
_DIRECTIONS: Final[tuple[Direction, ...]] = ("forward", "backward")


class InvalidCursor(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.INVALID

    def __init__(self) -> None:
        super().__init__("could not parse 'cursor' parameter: give back what the X-Next-Cursor header of an answer had")


class TimestampTooFull(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.INVALID

    def __init__(self, timestamp_ns: int) -> None:
        super().__init__(
            f"more than {_MAX_GIVEN} entries have the timestamp {timestamp_ns}, which is more than a cursor counts: "
            "use a narrower selector, or export"
        )


@dataclass(frozen=True, slots=True)
class Cursor:
    """`[start_ns, end_ns)` is what is left of the query's range. Of the first timestamp in the query's direction,
    `given` entries were in earlier pages, the last of which has the checksum `last`.
    """

    direction: Direction
    start_ns: int
    end_ns: int
    given: int
    last: int


_Packed = tuple[int, int, int, int, int, int]


def encode_cursor(cursor: Cursor) -> str:
    """Letters that need no escaping in a URL. Raises TimestampTooFull."""
    if cursor.given > _MAX_GIVEN:
        raise TimestampTooFull(cursor.start_ns if cursor.direction == "forward" else cursor.end_ns - 1)
    start_ns, end_ns = map(clamped_ns, (cursor.start_ns, cursor.end_ns))
    fields = (_VERSION, _DIRECTIONS.index(cursor.direction), start_ns, end_ns, cursor.given, cursor.last)
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(fields)).decode().rstrip("=")


def decode_cursor(text: str) -> Cursor:
    """Raises InvalidCursor."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        version, direction, start_ns, end_ns, given, last = msgspec.msgpack.decode(packed, type=_Packed)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise InvalidCursor from error
    valid = version == _VERSION and direction in (0, 1) and 0 <= given <= _MAX_GIVEN
    if not valid or not -_INT64 <= start_ns <= end_ns < _INT64:
        raise InvalidCursor
    return Cursor(_DIRECTIONS[direction], start_ns, end_ns, given, last)


def cursor_behind(rows: Sequence[Row], direction: Direction, start_ns: int, end_ns: int, interval_ns: int) -> Cursor:
    """The cursor behind the last of the rows, which are all that the range has up to there, what was skipped included.

    With an interval between entries, the next one can only be found that much later.
    """
    last = rows[-1]
    if interval_ns:
        if direction == "forward":
            return Cursor(direction, min(last.timestamp_ns + interval_ns, end_ns), end_ns, 0, 0)
        return Cursor(direction, start_ns, max(last.timestamp_ns - interval_ns + 1, start_ns), 0, 0)
    given = sum(1 for row in rows if row.timestamp_ns == last.timestamp_ns)
    if direction == "forward":
        return Cursor(direction, last.timestamp_ns, end_ns, given, _checksum(last))
    return Cursor(direction, start_ns, last.timestamp_ns + 1, given, _checksum(last))


def not_given(rows: Sequence[Row], cursor: Cursor) -> Sequence[Row]:
    """The rows of the cursor's range without those that earlier pages had."""
    if not cursor.given or not rows:
        return rows
    first_ns = cursor.start_ns if cursor.direction == "forward" else cursor.end_ns - 1
    of_first = next((n for n, row in enumerate(rows) if row.timestamp_ns != first_ns), len(rows))
    for number in range(cursor.given - 1, of_first):
        if _checksum(rows[number]) == cursor.last:
            return rows[number + 1 :]
    return rows[min(cursor.given, of_first) :]  # the last one was deleted meanwhile


def _checksum(row: Row) -> int:
    return xxhash.xxh3_64_intdigest(repr((row.labels(), row.line)).encode())
