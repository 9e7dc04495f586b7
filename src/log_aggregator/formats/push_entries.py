"""Entries of a protobuf push to columns, without a message object for each: these take twice the time of the rest.

Entries of the plain form are taken apart here, which is what clients make of an entry without structured metadata: a
timestamp of seconds and nanoseconds (zero nanoseconds may be left out), a line shorter than 16 KiB, and nothing else.
The library decodes the others. See https://protobuf.dev/programming-guides/encoding/ for the bytes.
"""

from collections.abc import Sequence
from functools import reduce
from operator import and_
from typing import Final

import polars as pl
from google.protobuf.message import DecodeError

from log_aggregator.formats import push_pb2
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
"""In bytes: what is shorter, such as an empty line, is not taken apart here."""
_TIMESTAMP_TAG: Final = 0x0A
_SECONDS_TAG: Final = 0x08
_NANOSECONDS_TAG: Final = 0x10
_LINE_TAG: Final = 0x12
_WHOLE_SECOND: Final = 6  # the size of a timestamp without nanoseconds
_LARGEST: Final = 12  # the size of one with five octets of them

_ENTRY: Final = pl.col("entry")
_BYTES: Final = _ENTRY.bin.size()
_HEADS: Final = (
    pl.when(_BYTES >= _HEAD)
    .then(_ENTRY.bin.slice(0, _HEAD))
    .otherwise(pl.lit(bytes(_HEAD)))
    .bin.reinterpret(dtype=pl.Array(pl.UInt8, _HEAD))
)


def plain_entries(entries: Sequence[bytes]) -> tuple[pl.Series, pl.Series] | None:
    """The timestamps in nanoseconds and the lines; None when the library is to decode the push, or to say why not."""
    try:
        probes = entries[:: -(-len(entries) // _PROBES)]
        if any(push_pb2.Entry.FromString(entry).structured_metadata for entry in probes):
            return None
        parts = _parts(pl.Series("entry", entries, dtype=pl.Binary))
        rows = (~parts["is_plain"]).arg_true()
        if len(rows) > _MOST_OTHERS * len(entries):
            return None
        others = [push_pb2.Entry.FromString(entries[row]) for row in rows]
        lines = parts.select_seq(_ENTRY.bin.slice("line_at").cast(pl.String))["entry"]
    except (DecodeError, pl.exceptions.PolarsError):
        return None
    times_ns = [entry.timestamp.seconds * _SECOND_NS + entry.timestamp.nanos for entry in others]
    if any(entry.structured_metadata for entry in others) or any(time_ns.bit_length() > 63 for time_ns in times_ns):
        return None
    timestamps_ns = parts["timestamp_ns"].scatter(rows, times_ns)
    return timestamps_ns.alias(TIMESTAMP), lines.scatter(rows, [entry.line for entry in others]).alias(LINE)


def _parts(entries: pl.Series) -> pl.DataFrame:
    """Each `entry` with `is_plain`, `timestamp_ns`, and the offset `line_at` of its line, or its end if not plain.

    By operations of series: to plan so many expressions takes longer than to compute them.
    """
    frame = entries.to_frame().select_seq(_ENTRY, _BYTES.alias("bytes"), _HEADS.alias("head"))
    octets = frame["head"].explode()
    heads = pl.int_range(0, len(octets), _HEAD, dtype=pl.UInt32, eager=True)

    size = octets[heads + 1]
    has_nanoseconds = [size > at for at in range(7, 12)]
    seconds = [octets[heads + at] for at in range(3, 8)]
    nanoseconds = [octets[heads + at] * has for at, has in enumerate(has_nanoseconds, 9)]
    timestamp_ns = _varint(seconds) * _SECOND_NS + _varint(nanoseconds)

    line = heads + size * (size <= _LARGEST) + 2
    low, high = octets[line + 1], octets[line + 2]
    is_long = low > 0x7F
    line_at = size.cast(pl.UInt32) + is_long.cast(pl.UInt32) + 4
    line_bytes = (low & 0x7F).cast(pl.UInt32) + (high * is_long).cast(pl.UInt32) * 128

    conditions = (
        octets[heads] == _TIMESTAMP_TAG,
        octets[heads + 2] == _SECONDS_TAG,
        reduce(and_, seconds[:4]) > 0x7F,
        seconds[4] < 1 << 5,
        (size == _WHOLE_SECOND) | has_nanoseconds[0] & (octets[heads + 8] == _NANOSECONDS_TAG),
        *((octet > 0x7F) == has_more for octet, has_more in zip(nanoseconds, has_nanoseconds[1:], strict=False)),
        nanoseconds[4] < 1 << 3,
        size <= _LARGEST,
        octets[line] == _LINE_TAG,
        high * is_long <= 0x7F,
        line_at + line_bytes == frame["bytes"],
    )
    is_plain = reduce(and_, conditions)
    return frame.select_seq(
        "entry",
        is_plain.alias("is_plain"),
        timestamp_ns.alias("timestamp_ns"),
        line_at.zip_with(is_plain, frame["bytes"]).alias("line_at"),
    )


def _varint(octets: Sequence[pl.Series]) -> pl.Series:
    """Seven bits of each, the lowest first."""
    groups = [(one & 0x7F).cast(pl.Int64) for one in octets]
    return reduce(lambda value, group: value * 128 + group, reversed(groups))
