"""Entries taken apart as columns are what the library makes of them."""

from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from log_aggregator.formats import push_pb2
from log_aggregator.formats.push_entries import plain_entries

SECOND_NS = 10**9
NOW = 1_768_471_200
PLAIN = push_pb2.Entry(timestamp=push_pb2.Timestamp(seconds=NOW, nanos=123_456_789), line="one of many lines")
# With so many of them, a list with one other entry is still decoded as columns.
MANY = [PLAIN.SerializeToString()] * 16

seconds = st.one_of(
    st.integers(NOW - 10**6, NOW + 10**6),
    st.sampled_from((0, 1, 2**28 - 1, 2**28, 2**33 - 1, 2**33, 2**35 - 1, 2**35, 9_223_372_036, 9_223_372_037, -1)),
)
nanos = st.one_of(
    st.sampled_from((0, 1, 127, 128, 2**14 - 1, 2**14, 2**21 - 1, 2**21, 2**28 - 1, 2**28, 10**9 - 1, 2**31 - 1, -1)),
    st.integers(0, 10**9 - 1),
)
lengths = st.sampled_from((0, 1, 2, 3, 7, 126, 127, 128, 129, 130, 255, 256, 16_382, 16_383, 16_384, 40_000))
lines = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), lengths.map("x".__mul__))
metadata = st.lists(st.just(push_pb2.LabelPair(name="a", value="b")), max_size=1)
entries = st.builds(
    lambda seconds, nanos, line, metadata: push_pb2.Entry(
        timestamp=push_pb2.Timestamp(seconds=seconds, nanos=nanos), line=line, structured_metadata=metadata
    ).SerializeToString(),
    seconds,
    nanos,
    lines,
    metadata,
)


def varint(value: int, octets: int) -> bytes:
    """In so many octets, more than it needs perhaps."""
    low = [value >> 7 * at & 0x7F for at in range(octets)]
    return bytes([*(group | 0x80 for group in low[:-1]), low[-1]])


varints = st.builds(varint, st.integers(0, 2**35 - 1), st.integers(1, 6))
fields = st.one_of(
    st.builds(lambda tag, value: bytes([tag]) + value, st.sampled_from((0x08, 0x10, 0x18)), varints),
    st.builds(
        lambda tag, octets: bytes([tag, len(octets)]) + octets, st.sampled_from((0x0A, 0x12)), st.binary(max_size=9)
    ),
)
parts = st.lists(fields, max_size=3).map(b"".join)
# Like plain entries, with fields missing, doubled, in another order, or with sizes and tags of other fields.
likes = st.builds(
    lambda timestamp, line: b"".join([b"\x0a", varint(len(timestamp), 1), timestamp, b"\x12", line]),
    parts,
    fields | parts,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    entry = bytearray(draw(entries))
    if entry:
        entry[draw(st.integers(0, min(len(entry), 20) - 1))] = draw(st.integers(0, 255))
    return bytes(entry)[: draw(st.integers(0, len(entry))) or None]


def by_library(entry: bytes) -> tuple[int, str] | None:
    """None if it has to be refused, or has metadata."""
    try:
        decoded = push_pb2.Entry.FromString(entry)
    except DecodeError:
        return None
    timestamp_ns = decoded.timestamp.seconds * SECOND_NS + decoded.timestamp.nanos
    return None if decoded.structured_metadata or timestamp_ns.bit_length() > 63 else (timestamp_ns, decoded.line)


SECONDS = b"\x08\xa0\xf5\xa2\xcb\x06"


@given(st.one_of(entries, likes, damaged(), st.binary(max_size=40)), st.integers(0, 16))
@example(b"\x0a\x07" + SECONDS + b"\x10\x12\x0b0123456789a", 3)  # nanoseconds without a value
@example(b"\x0a\x0c" + SECONDS + b"\x10\x80\x80\x80\x80\x08\x12\x0b0123456789a", 3)  # 2^31 of them
@example(b"\x0a\x06" + SECONDS + b"\x12\x81\x80\x00a\x22\xfc\x7f" + b"x" * 16_380, 3)  # a size in three octets
def test_entry_is_what_the_library_makes_of_it(entry: bytes, at: int) -> None:
    columns = plain_entries([*MANY[:at], entry, *MANY[at:]])
    expected = by_library(entry)
    if expected is None:
        assert columns is None
    else:
        assert columns is not None
        timestamps_ns, texts = columns
        assert (timestamps_ns[at], texts[at]) == expected
        others = set(zip(timestamps_ns, texts, strict=True)) - {expected}
        assert others <= {(NOW * SECOND_NS + 123_456_789, "one of many lines")}


@given(st.lists(st.sampled_from(MANY) | entries, min_size=1, max_size=40), st.integers(0, 3))
def test_columns_are_complete_or_none(batch: list[bytes], share: int) -> None:
    batch = [*batch, *MANY * share]
    columns = plain_entries(batch)
    if columns is not None:
        assert list(zip(*columns, strict=True)) == [by_library(entry) for entry in batch]


def test_some_entries_of_other_forms_do_not_keep_the_rest_from_columns() -> None:
    empty = push_pb2.Entry(timestamp=push_pb2.Timestamp(seconds=NOW)).SerializeToString()
    assert plain_entries([*MANY, *[empty] * 5]) is not None
    assert plain_entries([*MANY, *[empty] * 6]) is None


def test_columns_hold_their_lines_alone() -> None:
    """What they kept of the entries would be written to the log with them."""
    columns = plain_entries(MANY * 256)
    assert columns is not None
    written = columns[1].to_frame().write_ipc_stream(None, compression="uncompressed").getbuffer().nbytes
    assert written < len(MANY) * 256 * (16 + len(PLAIN.line) + 1)
