"""Entries of a protobuf push to columns, without a message object for each: these take twice the time of the rest.

Entries of the plain form are taken apart here, which is what clients make of an entry without structured metadata: a
timestamp of seconds and nanoseconds (zero nanoseconds may be left out), a line shorter than 16 KiB, and nothing else.
The library decodes the others. See https://protobuf.dev/programming-guides/encoding/ for the bytes.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from log_aggregator.formats import push_pb2
from log_aggregator.model.columns import IT, computed
from log_aggregator.model.segment import LINE, TIMESTAMP

_MOST_OTHERS: Final = 1 / 4
"""Of the entries. With more of them, the library is faster for all."""

_PROBES: Final = 16
"""Entries that are asked for metadata first: where one has it, most have."""

_SECOND_NS: Final = 10**9

# The plain form, and where its octets are:
#   0a | size of the timestamp | 08 | seconds | 10 | nanoseconds, one to five | 12 | size of the line, one or two | line
#   0    1                       2    3 to 7    8    9 to size + 1              size + 2
# The top bit of a varint's octet says that another one follows. Five octets of seconds are 2^28 and more, from 1978 on.
# Seconds end at 2^33 and nanoseconds at 2^31: beyond, nanoseconds since 1970 pass 64 bits, or the message's type wraps.
_HEAD: Final = 17
SHORTEST_PLAIN_ENTRY: Final = _HEAD
"""In bytes, but for a few characters: what is shorter, such as an empty line, is mostly of another form."""
_TIMESTAMP_TAG: Final = 0x0A
_SECONDS_TAG: Final = 0x08
_NANOSECONDS_TAG: Final = 0x10
_LINE_TAG: Final = 0x12
_WHOLE_SECOND: Final = 6  # the size of a timestamp without nanoseconds
_LARGEST: Final = 12  # the size of one with five octets of them


def plain_entries(entries: Sequence[bytes]) -> tuple[pl.Series, pl.Series] | None:
    """The timestamps in nanoseconds and the lines; None when the library is to decode the push, or to say why not."""
    try:
        probes = entries[:: -(-len(entries) // _PROBES)]
        if any(push_pb2.Entry.FromString(entry).structured_metadata for entry in probes):
            return None
        column = pl.Series(LINE, entries, dtype=pl.Binary)
        sizes = column.bin.size().to_numpy().astype(np.int64)
        parts = _parts(_heads(entries), sizes)
        rows = np.flatnonzero(~parts.are_plain).tolist()
        if len(rows) > _MOST_OTHERS * len(entries):
            return None
        others = [push_pb2.Entry.FromString(entries[row]) for row in rows]
        lines_at = pl.Series(np.where(parts.are_plain, parts.lines_at, sizes))
        lines = computed(column, IT.bin.slice(lines_at).cast(pl.String)).alias(LINE)
    except (DecodeError, pl.exceptions.PolarsError):
        return None
    times_ns = [entry.timestamp.seconds * _SECOND_NS + entry.timestamp.nanos for entry in others]
    if any(entry.structured_metadata for entry in others) or any(time_ns.bit_length() > 63 for time_ns in times_ns):
        return None
    timestamps_ns = parts.timestamps_ns
    timestamps_ns[rows] = times_ns
    return pl.Series(TIMESTAMP, timestamps_ns), lines.scatter(rows, [entry.line for entry in others])


def _heads(entries: Sequence[bytes]) -> NDArray[np.uint8]:
    """The first octets of each in a row, zeros behind an entry that is shorter."""
    return np.fromiter(entries, np.dtype((np.bytes_, _HEAD)), len(entries)).view(np.uint8).reshape(-1, _HEAD)


class _Parts(NamedTuple):
    """Of each entry. What is not plain has any time, and its line anywhere."""

    are_plain: NDArray[np.bool_]
    timestamps_ns: NDArray[np.int64]
    lines_at: NDArray[np.int64]


def _parts(heads: NDArray[np.uint8], sizes: NDArray[np.int64]) -> _Parts:
    """Of entries of these sizes that begin with these octets, in rows."""
    octets = np.ascontiguousarray(heads.T)
    size = octets[1]
    has_nanoseconds = [size > at for at in range(7, 12)]
    seconds = octets[3:8]
    nanoseconds = [octets[at] * has for at, has in enumerate(has_nanoseconds, 9)]
    timestamps_ns = _varint(seconds) * _SECOND_NS + _varint(nanoseconds)

    at = np.where(size <= _LARGEST, size, 0)
    rows = np.arange(len(sizes))
    tag, low, high = heads[rows, at + 2], heads[rows, at + 3], heads[rows, at + 4]
    is_long = low > 0x7F
    lines_at = size.astype(np.int64) + is_long + 4
    line_bytes = (low & 0x7F).astype(np.int64) + (high * is_long).astype(np.int64) * 128

    conditions = (
        octets[0] == _TIMESTAMP_TAG,
        octets[2] == _SECONDS_TAG,
        (seconds[:4] > 0x7F).all(axis=0),
        seconds[4] < 1 << 5,
        (size == _WHOLE_SECOND) | has_nanoseconds[0] & (octets[8] == _NANOSECONDS_TAG),
        *((octet > 0x7F) == has_more for octet, has_more in zip(nanoseconds, has_nanoseconds[1:], strict=False)),
        nanoseconds[4] < 1 << 3,
        size <= _LARGEST,
        tag == _LINE_TAG,
        high * is_long <= 0x7F,
        lines_at + line_bytes == sizes,
    )
    return _Parts(np.logical_and.reduce(conditions), timestamps_ns, lines_at)


def _varint(octets: Iterable[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Seven bits of each, the lowest first."""
    groups = [(octet & 0x7F).astype(np.int64) << 7 * number for number, octet in enumerate(octets)]
    value: NDArray[np.int64] = np.bitwise_or.reduce(groups)
    return value
