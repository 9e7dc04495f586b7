"""Push bodies: what is encoded is decoded, and what is broken raises PushError and nothing else."""

import json

import cramjam
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from log_aggregator.formats import push_pb2
from log_aggregator.formats.compression import decompress
from log_aggregator.formats.labels_text import LabelsSyntaxError, parse_labels_text
from log_aggregator.formats.push import decode_push
from log_aggregator.formats.push_errors import PushError
from log_aggregator.model.labels import format_labels, labels_of
from log_aggregator.model.push import PushStream

SECOND_NS = 10**9
JSON = "application/json"
PROTOBUF = "application/x-protobuf"
MEGABYTE = 1 << 20

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,8}\Z")
label_values = texts.filter(lambda text: "\ufffd" not in text)
labels = st.dictionaries(names, label_values, max_size=4).map(labels_of)
metadata = st.dictionaries(texts, texts, max_size=3)
entries = st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), texts, metadata), max_size=5)


@st.composite
def streams(draw: st.DrawFn) -> PushStream:
    rows = draw(entries)
    own = [row[2] for row in rows]
    return PushStream(draw(labels), [row[0] for row in rows], [row[1] for row in rows], own if any(own) else None)


pushes = st.lists(streams(), min_size=1, max_size=4)


def json_body(push: list[PushStream]) -> bytes:
    def values(stream: PushStream) -> list[list[object]]:
        own = stream.metadata or [{}] * len(stream.lines)
        return [
            [str(time), line, *([pairs] if pairs else [])]
            for time, line, pairs in zip(stream.timestamps_ns, stream.lines, own, strict=True)
        ]

    return json.dumps({"streams": [{"stream": dict(s.labels), "values": values(s)} for s in push]}).encode()


def protobuf_message(push: list[PushStream]) -> bytes:
    def entry(time: int, line: str, own: dict[str, str]) -> push_pb2.Entry:
        pairs = [push_pb2.LabelPair(name=name, value=value) for name, value in own.items()]
        seconds, nanos = divmod(time, SECOND_NS)
        return push_pb2.Entry(
            timestamp=push_pb2.Timestamp(seconds=seconds, nanos=nanos), line=line, structured_metadata=pairs
        )

    def stream(s: PushStream) -> push_pb2.Stream:
        own = s.metadata or [{}] * len(s.lines)
        rows = zip(s.timestamps_ns, s.lines, own, strict=True)
        return push_pb2.Stream(labels=format_labels(s.labels), entries=[entry(*row) for row in rows])

    return push_pb2.PushRequest(streams=[stream(s) for s in push]).SerializeToString()


def snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


def decode(body: bytes, content_type: str | None, encoding: str | None = None) -> list[PushStream]:
    push = decode_push(body, content_type, encoding, legacy=False, max_decompressed_bytes=MEGABYTE)
    return list(push.by_stream())


@given(pushes)
def test_json_is_decoded_as_it_was_encoded(push: list[PushStream]) -> None:
    assert decode(json_body(push), JSON) == push


@given(pushes)
def test_protobuf_is_decoded_as_it_was_encoded(push: list[PushStream]) -> None:
    assert decode(snappy(protobuf_message(push)), PROTOBUF) == push


@given(labels)
def test_labels_are_parsed_as_they_were_formatted(pairs: tuple[tuple[str, str], ...]) -> None:
    assert parse_labels_text(format_labels(pairs)) == pairs
    assert parse_labels_text(f" {format_labels(pairs)}") == pairs  # not the plain form


@given(st.text(st.sampled_from("{}=,\"'`\\ \nab1é\ufffdxu0"), max_size=20))
def test_any_text_is_labels_or_a_syntax_error(text: str) -> None:
    try:
        pairs = parse_labels_text(text)
    except LabelsSyntaxError:
        return
    assert list(pairs) == sorted(pairs)
    assert all(value for _, value in pairs)


@st.composite
def damaged(draw: st.DrawFn, body: bytes) -> bytes:
    """Cut, with a byte flipped, or with bytes put in."""
    at = draw(st.integers(0, max(len(body) - 1, 0)))
    match draw(st.sampled_from(("cut", "flip", "insert"))):
        case "cut":
            return body[:at]
        case "flip":
            return body[:at] + bytes([body[at] ^ draw(st.integers(1, 255))]) + body[at + 1 :] if body else body
        case _:
            return body[:at] + draw(st.binary(max_size=4)) + body[at:]


def decodes_or_explains(body: bytes, content_type: str | None, encoding: str | None, legacy: bool) -> None:
    try:
        push = decode_push(body, content_type, encoding, legacy=legacy, max_decompressed_bytes=MEGABYTE)
    except PushError:
        return
    assert push.streams
    for stream in push.by_stream():
        assert len(stream.timestamps_ns) == len(stream.lines)
        assert stream.metadata is None or len(stream.metadata) == len(stream.lines)
        assert all(-(2**63) <= time < 2**63 for time in stream.timestamps_ns)


@given(st.data(), pushes, st.booleans())
def test_damaged_json_never_fails_otherwise(data: st.DataObject, push: list[PushStream], legacy: bool) -> None:
    decodes_or_explains(data.draw(damaged(json_body(push))), JSON, None, legacy)


@given(st.data(), pushes)
def test_damaged_protobuf_never_fails_otherwise(data: st.DataObject, push: list[PushStream]) -> None:
    message = protobuf_message(push)
    decodes_or_explains(snappy(data.draw(damaged(message))), PROTOBUF, None, False)
    decodes_or_explains(data.draw(damaged(snappy(message))), PROTOBUF, "snappy", False)


@given(
    st.binary(max_size=60),
    st.sampled_from((JSON, PROTOBUF, "text/plain", "", None)),
    st.sampled_from((None, "gzip", "deflate", "zstd", "snappy", "br")),
    st.booleans(),
)
def test_noise_never_fails_otherwise(body: bytes, content_type: str | None, encoding: str | None, legacy: bool) -> None:
    decodes_or_explains(body, content_type, encoding, legacy)


@given(st.data(), st.binary(max_size=300))
def test_damaged_zstd_never_fails_otherwise(data: st.DataObject, text: bytes) -> None:
    body = data.draw(damaged(zstandard.ZstdCompressor().compress(text)))
    try:
        text = decompress(body, "zstd", MEGABYTE)
    except PushError:
        return
    assert len(text) <= MEGABYTE
