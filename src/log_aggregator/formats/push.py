"""The body of a push as columns: Loki's JSON, its legacy JSON, and protobuf."""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, chain, islice, pairwise
from operator import mul
from typing import Final, NamedTuple, TypeVar

import msgspec
import polars as pl
from google.protobuf.message import DecodeError

from log_aggregator.formats import push_pb2
from log_aggregator.formats.compression import decompress
from log_aggregator.formats.labels_text import LabelsSyntaxError, parse_labels_text
from log_aggregator.formats.parts import Parts, text_length
from log_aggregator.formats.push_entries import SHORTEST_PLAIN_ENTRY, plain_entries
from log_aggregator.formats.push_errors import EmptyPush, InvalidPush, PushTooLarge
from log_aggregator.model.labels import Labels, format_labels, labels_of, quote
from log_aggregator.model.push import Push, PushStream

_JSON: Final = "application/json"
_SECOND_NS: Final = 10**9
_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1

_ENTRIES_AT_ONCE: Final = 4096
"""The objects that stand for the parts of a decoded message take several times what they stand for."""

_BRACES_OF_PART: Final = 8
_PARTS_OF_REPAIR: Final = 4
_UNUSUAL_BYTES_OF_PART: Final = 4

_PLAIN_ENTRIES_AT_ONCE: Final = 1 << 16
"""Columns take some 200 bytes of each meanwhile."""

_FEW_ENTRIES: Final = 700
"""Up to which, as measured, the objects cost less than the columns do."""

_MAX_LABELS_BYTES: Final = 1 << 24
"""Of one stream's label text, as in Loki."""

# A snappy block of 123 bytes begins with a brace, too, but not with what may come behind one in JSON.
_JSON_OBJECT: Final = re.compile(rb"[ \t\r\n]*\{[ \t\r\n]*[\"}]")
_LABEL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# msgspec counts what it has read, the first byte too many included.
_TRAILING: Final = re.compile(r"trailing characters \(byte ([0-9]+)\)")
# What leading zeros are there, int() need not see: it reads no more than some thousand digits.
_INTEGER: Final = re.compile(r"(-?)(?=[0-9])0*+([0-9]{0,19})")
_RFC3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def decode_push(
    body: bytes, content_type: str | None, content_encoding: str | None, *, legacy: bool, max_decompressed_bytes: int
) -> Push:
    """The columns of a push of at least one stream; streams may be without entries.

    `legacy` says which JSON the path takes: /api/prom/push has labels as text and times as RFC 3339. A body without a
    content type, or with one that tells nothing, such as text/plain, is JSON if it begins like an object; everything
    else is protobuf in snappy's block format, whatever the content encoding around it. Text that is not UTF-8 is kept
    with U+FFFD for what is broken. `max_decompressed_bytes` of 0 means no bound.

    Raises InvalidPush, EmptyPush, PushTooLarge.
    """
    opened = _opened(body, content_type, content_encoding, max_decompressed_bytes)
    plain = None if opened.is_json else _plain_push(opened.data)
    return Push.of(_streams(opened, Parts(0), legacy=legacy)) if plain is None else plain


def decode_streams(
    body: bytes,
    content_type: str | None,
    content_encoding: str | None,
    *,
    legacy: bool,
    max_decompressed_bytes: int,
    parts: Parts,
) -> list[PushStream]:
    """The same as streams, which cost less where there are few entries. Counts what there is to do in `parts`."""
    opened = _opened(body, content_type, content_encoding, max_decompressed_bytes)
    parts.bytes += len(opened.data)
    return _streams(opened, parts, legacy=legacy)


class _Opened(NamedTuple):
    data: bytes
    media_type: str
    is_json: bool


def _opened(body: bytes, content_type: str | None, content_encoding: str | None, max_bytes: int) -> _Opened:
    """The body without its encodings. Raises InvalidPush, PushTooLarge."""
    encoding = (content_encoding or "").strip().lower()
    # Clients name snappy here or not; it is part of the protobuf format and means nothing for JSON.
    data = decompress(body, None if encoding == "snappy" else content_encoding, max_bytes)
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type == _JSON or ("protobuf" not in media_type and _JSON_OBJECT.match(data)):
        return _Opened(data, media_type, is_json=True)
    return _Opened(decompress(data, "snappy", max_bytes), media_type, is_json=False)


def _streams(opened: _Opened, parts: Parts, *, legacy: bool) -> list[PushStream]:
    """Raises InvalidPush, EmptyPush, PushTooLarge."""
    if opened.is_json:
        streams = (_decode_legacy_json if legacy else _decode_json)(opened.data, parts)
    else:
        streams = _decode_protobuf(opened.data, parts)
    if streams:
        return streams
    # Loki takes a body for JSON only if its content type says so. Others are meant for logs, and here there are none.
    if not opened.media_type:
        raise InvalidPush("mime: no media type")
    is_known = opened.media_type == _JSON or "protobuf" in opened.media_type
    raise EmptyPush if is_known else InvalidPush("snappy: corrupt input")


# Protobuf


def _plain_push(data: bytes) -> Push | None:
    """The push if it is large and its entries are of the plain form; also None for what is broken."""
    try:
        request = push_pb2.UncutPushRequest.FromString(data)
    except DecodeError:
        return None
    rows = [len(stream.entries) for stream in request.streams]
    if sum(rows) < _FEW_ENTRIES or len(data) < sum(rows) * SHORTEST_PLAIN_ENTRY:
        return None
    entries = chain.from_iterable(stream.entries for stream in request.streams)
    timestamps_ns, lines = [], []
    while some := list(islice(entries, _PLAIN_ENTRIES_AT_ONCE)):
        columns = plain_entries(some)
        if columns is None:
            return None
        timestamps_ns.append(columns[0])
        lines.append(columns[1])
    labels = [_parse_labels(stream.labels) for stream in request.streams]
    return Push(labels, rows, pl.concat(timestamps_ns, rechunk=True), pl.concat(lines, rechunk=True), None)


def _decode_protobuf(data: bytes, parts: Parts) -> list[PushStream]:
    """The push as the library decodes it. Raises InvalidPush, PushTooLarge."""
    streams = _messages(data, parts)
    parts.add(len(streams))
    rows = [len(stream.entries) for stream in streams]
    parts.add(sum(rows))
    _count_labels([stream.labels for stream in streams], rows, parts)
    timestamps_ns: list[int] = []
    lines: list[str] = []
    metadata: list[dict[str, str]] = []
    entries = chain.from_iterable(stream.entries for stream in streams)
    while some := list(islice(entries, _ENTRIES_AT_ONCE)):
        # One pass a field: a comprehension over the C objects costs a third of a loop that builds entries.
        times = [entry.timestamp for entry in some]
        timestamps_ns += [time.seconds * _SECOND_NS + time.nanos for time in times]
        pairs = [entry.structured_metadata for entry in some]
        if any(pairs):  # most pushes have none, and to look into each entry's costs as much as all the rest
            parts.add(sum(map(len, pairs)))
            metadata += [{}] * (len(lines) - len(metadata))
            metadata += [{pair.name: pair.value for pair in own} for own in pairs]
        lines += [entry.line for entry in some]
    if timestamps_ns and (max(timestamps_ns) > _INT64_MAX or min(timestamps_ns) < _INT64_MIN):
        row = next(row for row, time_ns in enumerate(timestamps_ns) if not _INT64_MIN <= time_ns <= _INT64_MAX)
        index = bisect_right(list(accumulate(rows)), row)
        raise InvalidPush(f"streams[{index}].entries: a timestamp lies outside of what 64 bits of nanoseconds can hold")
    if metadata:
        metadata += [{}] * (len(lines) - len(metadata))
    labels = [_parse_labels(stream.labels) for stream in streams]
    ranges = pairwise(accumulate(rows, initial=0))
    return [
        PushStream(own, timestamps_ns[begin:end], lines[begin:end], _if_any(metadata[begin:end]))
        for own, (begin, end) in zip(labels, ranges, strict=True)
    ]


def _if_any(metadata: list[dict[str, str]]) -> list[dict[str, str]] | None:
    return metadata if any(metadata) else None


def _count_labels(texts: Sequence[str], rows: Sequence[int], parts: Parts) -> None:
    """Pairs and escapes; and each entry may be refused with a message that has all of its stream's text."""
    parts.add(sum(text.count("=") + text.count("\\") for text in texts))
    parts.add_text(sum(map(mul, rows, map(len, texts))))


def _messages(data: bytes, parts: Parts) -> Sequence[push_pb2.Stream]:
    """The streams, with their text made valid UTF-8. Raises InvalidPush, PushTooLarge."""
    try:
        return push_pb2.PushRequest.FromString(data).streams
    except DecodeError:
        pass
    try:
        raw = push_pb2.RawPushRequest.FromString(data)
    except DecodeError as error:
        raise InvalidPush(f"protobuf: the body is not a push request: {error}") from error
    parts.guess(_PARTS_OF_REPAIR * len(raw.streams))
    entries = sum(len(stream.entries) for stream in raw.streams)
    parts.guess(_PARTS_OF_REPAIR * entries)
    pairs = sum(len(entry.structured_metadata) for stream in raw.streams for entry in stream.entries)
    parts.guess(_PARTS_OF_REPAIR * (entries + pairs))
    return list(map(_repaired_stream, raw.streams))


def _repaired_stream(stream: push_pb2.RawStream) -> push_pb2.Stream:
    return push_pb2.Stream(labels=_text(stream.labels), entries=[_repaired_entry(entry) for entry in stream.entries])


def _repaired_entry(entry: push_pb2.RawEntry) -> push_pb2.Entry:
    pairs = [push_pb2.LabelPair(name=_text(p.name), value=_text(p.value)) for p in entry.structured_metadata]
    return push_pb2.Entry(timestamp=entry.timestamp, line=_text(entry.line), structured_metadata=pairs)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _parse_labels(text: str) -> Labels:
    if len(text) > _MAX_LABELS_BYTES:
        raise PushTooLarge(f"stream labels size {len(text)} bytes exceeds limit of {_MAX_LABELS_BYTES} bytes")
    try:
        return parse_labels_text(text)
    except LabelsSyntaxError as error:
        raise InvalidPush(f"couldn't parse labels: {error}") from error


# JSON


class _Entry(msgspec.Struct, array_like=True, gc=False):
    timestamp: str
    line: str
    metadata: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class _Stream(msgspec.Struct):
    stream: dict[str, str] = msgspec.field(default_factory=dict)
    values: list[_Entry] | None = None


class _Request(msgspec.Struct):
    streams: list[_Stream] | None = None


class _AnyLabelsStream(msgspec.Struct):
    stream: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)
    values: list[_Entry | None] | None = None


class _AnyLabelsRequest(msgspec.Struct):
    streams: list[_AnyLabelsStream] | None = None


class _LegacyEntry(msgspec.Struct, gc=False):
    ts: str
    line: str = ""
    metadata: dict[str, str] = msgspec.field(default_factory=dict, name="structuredMetadata")


class _LegacyStream(msgspec.Struct):
    labels: str = ""
    entries: list[_LegacyEntry] | None = None


class _LegacyRequest(msgspec.Struct):
    streams: list[_LegacyStream] | None = None


_json_decoder = msgspec.json.Decoder(_Request | None)
_any_labels_decoder = msgspec.json.Decoder(_AnyLabelsRequest | None)
_legacy_decoder = msgspec.json.Decoder(_LegacyRequest | None)

_Decoded = TypeVar("_Decoded")


def _decode_json(data: bytes, parts: Parts) -> list[PushStream]:
    # The decoder's objects take time, too. Lines of JSON have some braces each.
    parts.guess(data.count(b"{") // _BRACES_OF_PART)
    try:
        request = _json_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        parts.guess(len(data) // _UNUSUAL_BYTES_OF_PART)
        request = _decode_unusual_json(data)
    streams = (request.streams if request else None) or []
    return [_json_stream(stream, index, parts) for index, stream in enumerate(streams)]


def _json_stream(stream: _Stream, index: int, parts: Parts) -> PushStream:
    entries = stream.values or []
    parts.add(1 + len(entries) + len(stream.stream))
    parts.add_text(len(entries) * text_length(stream.stream))
    metadata = [entry.metadata for entry in entries]
    if any(metadata):
        parts.add(sum(len(own) for own in metadata if own))
    return PushStream(
        _labels_of_json(stream.stream),
        _timestamps_ns([entry.timestamp for entry in entries], index),
        [entry.line for entry in entries],
        [own or {} for own in metadata] if any(metadata) else None,
    )


def _decode_unusual_json(data: bytes) -> _Request:
    """What the fast decoder refuses and Loki takes: text that is not UTF-8, label values that are not strings, entries
    that are null, and anything behind the end of the JSON.

    Such a value counts as its JSON text: `{"port":80}` is the label port="80". Raises InvalidPush for the rest.
    """
    return _decode_or_explain(_decode_any_labels, data)


def _decode_any_labels(data: bytes) -> _Request:
    try:
        request = _any_labels_decoder.decode(data)
    except msgspec.DecodeError as error:
        trailing = _TRAILING.search(str(error))
        if trailing is None:
            raise
        request = _any_labels_decoder.decode(data[: int(trailing[1]) - 1])
    streams = (request.streams if request else None) or []
    return _Request([_Stream(_any_labels(own.stream), list(filter(None, own.values or ()))) for own in streams])


def _any_labels(stream: dict[str, msgspec.Raw]) -> dict[str, str]:
    return {name: _label_value(raw) for name, raw in stream.items()}


def _label_value(raw: msgspec.Raw) -> str:
    text = bytes(raw)
    return msgspec.json.decode(text, type=str) if text[:1] == b'"' else text.decode()


def _decode_or_explain(decode: Callable[[bytes], _Decoded], data: bytes) -> _Decoded:
    if not data.strip():
        raise InvalidPush("EOF")
    try:
        return decode(_text(data).encode())
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidPush(f"invalid JSON push request: {error}") from error


def _labels_of_json(pairs: dict[str, str]) -> Labels:
    """A name that is none makes the text of labels unreadable, and that is what Loki answers with."""
    if all(map(_LABEL_NAME.fullmatch, pairs)):
        return labels_of(pairs)
    return _parse_labels(format_labels(tuple(sorted(pairs.items()))))


def _timestamps_ns(texts: list[str], stream_index: int) -> list[int]:
    digits = "".join(texts)
    if digits.isascii() and digits.isdecimal():
        try:
            timestamps_ns = list(map(int, texts))
            if max(timestamps_ns) <= _INT64_MAX:
                return timestamps_ns
        except ValueError:
            pass  # an empty text, or one of thousands of digits; the slow way says which
    return [_timestamp_ns(text, stream_index, index) for index, text in enumerate(texts)]


def _timestamp_ns(text: str, stream_index: int, entry_index: int) -> int:
    found = _INTEGER.fullmatch(text)
    if found and _INT64_MIN <= (timestamp_ns := int(f"{found[1]}{found[2] or 0}")) <= _INT64_MAX:
        return timestamp_ns
    raise InvalidPush(
        f"streams[{stream_index}].values[{entry_index}][0]: expected the timestamp as nanoseconds since 1970, "
        f"a string of decimal digits within 64 bits, got {quote(text[:64])}"
    )


# Legacy JSON


def _decode_legacy_json(data: bytes, parts: Parts) -> list[PushStream]:
    request = _decode_or_explain(_legacy_decoder.decode, data)
    streams = (request.streams if request else None) or []
    return [_legacy_stream(stream, index, parts) for index, stream in enumerate(streams)]


def _legacy_stream(stream: _LegacyStream, index: int, parts: Parts) -> PushStream:
    entries = stream.entries or []
    metadata = [entry.metadata for entry in entries]
    parts.add(1 + len(entries) + sum(map(len, metadata)))
    _count_labels([stream.labels], [len(entries)], parts)
    timestamps_ns = [_rfc3339_ns(entry.ts, index, position) for position, entry in enumerate(entries)]
    lines = [entry.line for entry in entries]
    return PushStream(_parse_labels(stream.labels), timestamps_ns, lines, _if_any(metadata))


def _rfc3339_ns(text: str, stream_index: int, entry_index: int) -> int:
    """Datetimes stop at microseconds, so the fraction is read by itself; digits beyond nanoseconds are dropped."""
    match = _RFC3339.fullmatch(text)
    try:
        seconds = (datetime.fromisoformat(match[1] + match[3]) - _EPOCH) // timedelta(seconds=1) if match else None
    except ValueError:
        seconds = None
    if match is not None and seconds is not None:
        timestamp_ns = seconds * _SECOND_NS + int((match[2] or "").ljust(9, "0")[:9])
        if _INT64_MIN <= timestamp_ns <= _INT64_MAX:
            return timestamp_ns
    raise InvalidPush(
        f"streams[{stream_index}].entries[{entry_index}].ts: expected a time as RFC 3339, such as "
        f'"2026-01-15T10:00:00.5Z", between the years 1678 and 2261, got {quote(text[:64])}'
    )
