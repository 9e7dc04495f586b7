import gzip
import json
from dataclasses import replace

import cramjam
import pytest

from log_aggregator.formats import push_pb2
from log_aggregator.formats.labels_text import parse_labels_text
from log_aggregator.formats.parts import Parts
from log_aggregator.formats.push import decode_push, decode_streams
from log_aggregator.formats.push_errors import EmptyPush, InvalidPush, PushError, PushTooLarge
from log_aggregator.model.labels import format_labels
from log_aggregator.model.push import PushStream

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
NS = 1_768_471_200_000_000_000


def decode(body: bytes | str, content_type: str | None = JSON, encoding: str | None = None) -> list[PushStream]:
    data = body.encode() if isinstance(body, str) else body
    push = decode_push(data, content_type, encoding, legacy=False, max_decompressed_bytes=1 << 20)
    return list(push.by_stream())


def decode_legacy(body: str) -> list[PushStream]:
    return list(decode_push(body.encode(), JSON, None, legacy=True, max_decompressed_bytes=1 << 20).by_stream())


def decode_counted(body: bytes, content_type: str, parts: Parts) -> list[PushStream]:
    return decode_streams(body, content_type, None, legacy=False, max_decompressed_bytes=0, parts=parts)


def one_entry(values: object) -> str:
    return json.dumps({"streams": [{"stream": {"a": "b"}, "values": [values]}]})


def snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


def message(call: object, *args: object) -> str:
    with pytest.raises(PushError) as caught:
        call(*args)  # type: ignore[operator]
    return str(caught.value)


# JSON


def test_json_streams_become_columns() -> None:
    body = {
        "streams": [
            {"stream": {"b": "2", "a": "1", "empty": ""}, "values": [[str(NS), "x"], [str(NS + 1), "é\n", {"k": "v"}]]},
            {"stream": {}, "values": []},
            {"stream": {"c": "3"}},
        ]
    }
    assert decode(json.dumps(body)) == [
        PushStream((("a", "1"), ("b", "2")), [NS, NS + 1], ["x", "é\n"], [{}, {"k": "v"}]),
        PushStream((), [], [], None),
        PushStream((("c", "3"),), [], [], None),
    ]


@pytest.mark.parametrize("text", ["0", "-1", str(2**63 - 1), str(-(2**63)), "0" * 30 + "7", "0001", "0" * 5000 + "7"])
def test_json_timestamps_are_whole_nanoseconds(text: str) -> None:
    assert decode(one_entry([text, "x"]))[0].timestamps_ns == [int(text.lstrip("0") or "0")]


@pytest.mark.parametrize("text", ["", "x", "1.5", "1_000", " 1", "+1", "٣", str(2**63), str(-(2**63) - 1), "9" * 5000])
def test_json_timestamps_that_are_none_are_located(text: str) -> None:
    body = json.dumps({"streams": [{}, {"stream": {"a": "b"}, "values": [["1", "x"], [text, "y"]]}]})
    assert message(decode, body).startswith("streams[1].values[1][0]: expected the timestamp as nanoseconds since 1970")


@pytest.mark.parametrize(
    ("value", "label"),
    [(80, "80"), (1.50, "1.5"), (True, "true"), (None, "null"), ({"x": [1]}, '{"x": [1]}'), ("é\n", "é\n")],
)
def test_json_label_values_of_other_types_count_as_their_text(value: object, label: str) -> None:
    body = json.dumps({"streams": [{"stream": {"a": value, "b": 1}, "values": [["1", "x", {"k": "v"}]]}]})
    assert decode(body) == [PushStream((("a", label), ("b", "1")), [1], ["x"], [{"k": "v"}])]


def test_json_text_that_is_not_utf_8_is_kept_with_replacement_characters() -> None:
    body = b'{"streams":[{"stream":{"a":"b\xff","c":1},"values":[["1","x\xffy"]]}]}'
    assert decode(body) == [PushStream((("a", "b\ufffd"), ("c", "1")), [1], ["x\ufffdy"], None)]


BAD_JSON = {
    "empty body": ("", "EOF"),
    "cut": ('{"streams":[', "invalid JSON push request: Input data was truncated"),
    "array": ("[]", "invalid JSON push request: Expected `object | null`, got `array`"),
    "streams of another type": (
        '{"streams":{}}',
        "invalid JSON push request: Expected `array | null`, got `object` - at `$.streams`",
    ),
    "labels of another type": (
        '{"streams":[{"stream":"{}"}]}',
        "invalid JSON push request: Expected `object`, got `str` - at `$.streams[0].stream`",
    ),
    "timestamp a number": (
        one_entry([1, "x"]),
        "invalid JSON push request: Expected `str`, got `int` - at `$.streams[0].values[0][0]`",
    ),
    "line a number": (
        one_entry(["1", 5]),
        "invalid JSON push request: Expected `str`, got `int` - at `$.streams[0].values[0][1]`",
    ),
    "no line": (
        one_entry(["1"]),
        "invalid JSON push request: Expected `array` of at least length 2, got 1 - at `$.streams[0].values[0]`",
    ),
    "metadata a string": (
        one_entry(["1", "x", "y"]),
        "invalid JSON push request: Expected `object`, got `str` - at `$.streams[0].values[0][2]`",
    ),
    "metadata null": (
        one_entry(["1", "x", None]),
        "invalid JSON push request: Expected `object`, got `null` - at `$.streams[0].values[0][2]`",
    ),
    "metadata value a number": (
        one_entry(["1", "x", {"k": 5}]),
        "invalid JSON push request: Expected `str`, got `int` - at `$.streams[0].values[0][2][...]`",
    ),
    "label name with a dash": (
        '{"streams":[{"stream":{"a-b":"c"}}]}',
        "couldn't parse labels: 1:3: parse error: unexpected character inside braces: '-'",
    ),
    "empty label name": (
        '{"streams":[{"stream":{"":"c"}}]}',
        'couldn\'t parse labels: 1:2: parse error: unexpected "=" in label set, expected identifier or "}"',
    ),
}


@pytest.mark.parametrize(("body", "expected"), BAD_JSON.values(), ids=BAD_JSON)
def test_bad_json_is_told_with_the_field_and_what_was_expected(body: str, expected: str) -> None:
    assert message(decode, body) == expected


@pytest.mark.parametrize(
    "body",
    [
        one_entry(["1", "x"]) + "}, and more",
        one_entry(["1", "x"]) * 2,
        '{"streams":[{"stream":{"a":"b"},"values":[null,["1","x"],null]}]}',
    ],
)
def test_what_loki_passes_over_is_passed_over(body: str) -> None:
    (stream,) = decode(body)
    assert stream.lines == ["x"]


@pytest.mark.parametrize("body", ["{}", "null", '{"streams":[]}', '{"streams":null}', '{"stream":[]}'])
def test_a_push_without_streams_is_empty(body: str) -> None:
    with pytest.raises(EmptyPush, match=r"^error at least one valid stream is required for ingestion$"):
        decode(body)


# Headers


@pytest.mark.parametrize(
    "content_type",
    [JSON, "Application/JSON; charset=utf-8", None, "", "text/plain", "application/x-www-form-urlencoded"],
)
def test_json_is_recognised_whatever_the_content_type_says(content_type: str | None) -> None:
    assert decode("\n " + one_entry(["1", "x"]), content_type)[0].lines == ["x"]


def test_without_a_content_type_an_empty_push_is_loki_s_error() -> None:
    assert message(decode, '{"streams":[]}', "") == "mime: no media type"


def test_json_of_another_content_type_must_hold_logs() -> None:
    assert message(decode, '{"streams":[]}', "text/plain") == "snappy: corrupt input"


@pytest.mark.parametrize("content_type", [PROTOBUF, "text/plain", None])
def test_what_is_not_json_must_be_snappy(content_type: str | None) -> None:
    assert message(decode, "x", content_type) == "snappy: corrupt input"


def test_json_is_not_looked_for_where_protobuf_is_announced() -> None:
    assert message(decode, one_entry(["1", "x"]), PROTOBUF) == "snappy: corrupt input"


def test_content_encoding_is_undone_and_bounded() -> None:
    body = one_entry(["1", "x" * 1000]).encode()
    assert decode(gzip.compress(body), JSON, "gzip")[0].lines == ["x" * 1000]
    with pytest.raises(PushTooLarge, match=r"decompressed message size too large than max \(1001 vs 1000\)$"):
        decode_push(gzip.compress(body), JSON, "gzip", legacy=False, max_decompressed_bytes=1000)


# Protobuf


def request() -> push_pb2.PushRequest:
    pair = push_pb2.LabelPair(name="k", value="v")
    first = push_pb2.Entry(timestamp=push_pb2.Timestamp(seconds=1, nanos=5), line="x")
    second = push_pb2.Entry(timestamp=push_pb2.Timestamp(seconds=-1, nanos=5), line="é", structured_metadata=[pair])
    return push_pb2.PushRequest(
        streams=[
            push_pb2.Stream(labels='{b="2", a="1"}', entries=[first, second]),
            push_pb2.Stream(labels='{c="3"}', entries=[first]),
        ]
    )


STREAMS = [
    PushStream((("a", "1"), ("b", "2")), [1_000_000_005, -999_999_995], ["x", "é"], [{}, {"k": "v"}]),
    PushStream((("c", "3"),), [1_000_000_005], ["x"], None),
]


@pytest.mark.parametrize("encoding", [None, "snappy", "Snappy"])
def test_protobuf_streams_become_columns(encoding: str | None) -> None:
    assert decode(snappy(request().SerializeToString()), PROTOBUF, encoding) == STREAMS


def test_protobuf_may_be_compressed_again() -> None:
    assert decode(gzip.compress(snappy(request().SerializeToString())), PROTOBUF, "gzip") == STREAMS


@pytest.mark.parametrize("content_type", ["application/octet-stream", None])
def test_protobuf_is_not_json_because_its_length_is_a_brace(content_type: str | None) -> None:
    """A block of snappy begins with its length, and that of 123 bytes is "{"."""
    whole = request()
    whole.streams[1].entries[0].line += "x" * (ord("{") - whole.ByteSize())
    body = snappy(whole.SerializeToString())
    assert body.startswith(b"{")
    assert decode(body, content_type) == [STREAMS[0], replace(STREAMS[1], lines=[whole.streams[1].entries[0].line])]


def large_request() -> tuple[push_pb2.PushRequest, list[PushStream]]:
    """So many entries that they are decoded as columns, some whole seconds and empty lines among them."""
    parsed = [
        PushStream((("a", "1"),), [NS + 10**6 * row for row in range(3000)], [f"é {row}" for row in range(3000)], None),
        PushStream((("a", "2"),), [], [], None),
        PushStream((("a", "1"),), [NS, NS + 1, 0], ["x" * 20_000, "", "of 1970"], None),
    ]
    streams = []
    for stream in parsed:
        entries = [
            push_pb2.Entry(timestamp=push_pb2.Timestamp(seconds=time // 10**9, nanos=time % 10**9), line=line)
            for time, line in zip(stream.timestamps_ns, stream.lines, strict=True)
        ]
        streams.append(push_pb2.Stream(labels=format_labels(stream.labels), entries=entries))
    return push_pb2.PushRequest(streams=streams), parsed


def test_many_entries_are_decoded_like_few() -> None:
    body, parsed = large_request()
    assert decode(snappy(body.SerializeToString()), PROTOBUF) == parsed


def test_entries_of_several_pieces_are_decoded_like_few() -> None:
    entry = push_pb2.Entry(timestamp=push_pb2.Timestamp(seconds=NS // 10**9, nanos=5), line="a line")
    body = push_pb2.PushRequest(streams=[push_pb2.Stream(labels='{a="1"}', entries=[entry] * 70_000)])
    body.streams[0].entries[69_999].line = ""
    lines = [*["a line"] * 69_999, ""]
    data = snappy(body.SerializeToString())
    push = decode_push(data, PROTOBUF, None, legacy=False, max_decompressed_bytes=0)
    assert list(push.by_stream()) == [PushStream((("a", "1"),), [NS + 5] * 70_000, lines, None)]


def test_metadata_of_one_entry_among_many_is_kept() -> None:
    body, parsed = large_request()
    body.streams[0].entries[7].structured_metadata.append(push_pb2.LabelPair(name="k", value="v"))
    metadata = [{"k": "v"} if row == 7 else {} for row in range(3000)]
    assert decode(snappy(body.SerializeToString()), PROTOBUF) == [replace(parsed[0], metadata=metadata), *parsed[1:]]


def test_text_that_is_not_utf_8_among_many_is_kept_with_replacement_characters() -> None:
    body, parsed = large_request()
    broken = body.SerializeToString().replace("é 2999".encode(), b"\xc3\xff 2999")
    lines = [*parsed[0].lines[:-1], "\ufffd\ufffd 2999"]
    assert decode(snappy(broken), PROTOBUF) == [replace(parsed[0], lines=lines), *parsed[1:]]


def test_a_timestamp_beyond_64_bits_among_many_is_refused() -> None:
    body, _ = large_request()
    body.streams[2].entries[1].timestamp.seconds = 2**62
    expected = "streams[2].entries: a timestamp lies outside of what 64 bits of nanoseconds can hold"
    assert message(decode, snappy(body.SerializeToString()), PROTOBUF) == expected


def test_protobuf_is_read_as_other_programs_write_it() -> None:
    """Bytes by hand: field numbers and wire types of the schema, and unknown fields that are skipped."""
    entry = b"\x0a\x04\x08\x01\x10\x05" + b"\x12\x01x" + b"\x1a\x06\x0a\x01k\x12\x01v" + b"\x22\x00"
    stream = b'\x0a\x07{a="1"}' + b"\x12" + bytes([len(entry)]) + entry + b"\x19" + b"\x01" * 8
    body = b"\x0a" + bytes([len(stream)]) + stream + b"\x12\x04json"
    assert decode(snappy(body), PROTOBUF) == [PushStream((("a", "1"),), [1_000_000_005], ["x"], [{"k": "v"}])]


def test_protobuf_text_that_is_not_utf_8_is_kept_with_replacement_characters() -> None:
    body = request().SerializeToString().replace("é".encode(), b"\xc3\xff")
    assert decode(snappy(body), PROTOBUF)[0].lines == ["x", "\ufffd\ufffd"]


def test_protobuf_labels_that_are_not_utf_8_are_refused() -> None:
    body = request().SerializeToString().replace(b'"2"', b'"\xff"')
    expected = "couldn't parse labels: 1:4: parse error: invalid UTF-8 rune"
    assert message(decode, snappy(body), PROTOBUF) == expected


def test_protobuf_that_is_cut_is_refused() -> None:
    body = request().SerializeToString()[:-1]
    assert message(decode, snappy(body), PROTOBUF).startswith("protobuf: the body is not a push request: ")


def test_protobuf_timestamps_beyond_64_bits_are_refused() -> None:
    late = push_pb2.Entry(timestamp=push_pb2.Timestamp(seconds=2**62), line="x")
    body = push_pb2.PushRequest(streams=[push_pb2.Stream(labels='{a="b"}', entries=[late])]).SerializeToString()
    expected = "streams[0].entries: a timestamp lies outside of what 64 bits of nanoseconds can hold"
    assert message(decode, snappy(body), PROTOBUF) == expected


def test_protobuf_without_streams_is_empty() -> None:
    with pytest.raises(EmptyPush):
        decode(snappy(b""), PROTOBUF)


@pytest.mark.parametrize(
    ("streams", "parts"),
    [
        ([('{a="b"}', ["x"] * 9)], 11),
        ([('{a="b"}', [])] * 9, 18),
        ([('{a="b", c="d"}', ["x", "y"]), ('{e="f"}', ["z"])], 8),
        ([('{a="b"}', [{"k": "v", "l": "w"}] * 3)], 11),
    ],
)
def test_parts_of_a_push_are_counted_before_they_cost_time(
    streams: list[tuple[str, list[str | dict[str, str]]]], parts: int
) -> None:
    request = push_pb2.RawPushRequest()
    json_streams = []
    for labels, entries in streams:
        stream = request.streams.add(labels=labels.encode())
        values: list[list[object]] = []
        for entry in entries:
            line, metadata = (entry, {}) if isinstance(entry, str) else ("x", entry)
            raw = stream.entries.add(line=line.encode("latin-1"))
            for name, value in metadata.items():
                raw.structured_metadata.add(name=name.encode(), value=value.encode())
            values.append([str(NS), line, metadata])
        json_streams.append({"stream": dict(parse_labels_text(labels)), "values": values})
    bodies = ((snappy(request.SerializeToString()), PROTOBUF), (json.dumps({"streams": json_streams}).encode(), JSON))
    for body, content_type in bodies:
        for most in (parts, 0):
            counted = Parts(most)
            decoded = decode_counted(body, content_type, counted)
            assert [len(stream.lines) for stream in decoded] == [len(entries) for _, entries in streams]
            assert counted.count == parts
        with pytest.raises(PushTooLarge):
            decode_counted(body, content_type, Parts(parts - 1))


def broken_text(entries: int) -> bytes:
    entry = push_pb2.RawEntry(line=b"\xff")
    return push_pb2.RawPushRequest(
        streams=[push_pb2.RawStream(labels=b'{a="b"}', entries=[entry] * entries)]
    ).SerializeToString()


def test_some_text_may_be_repaired_where_little_time_is() -> None:
    (stream,) = decode_counted(snappy(broken_text(500)), PROTOBUF, Parts(2_000))
    assert stream.lines == ["\ufffd"] * 500


@pytest.mark.parametrize(
    "body",
    [
        snappy(broken_text(501)),
        snappy(large_request()[0].SerializeToString()),
        snappy(b"\x0a\x00" * 2_001),
        snappy(
            push_pb2.PushRequest(streams=[push_pb2.Stream(labels='{a="' + "\\\\" * 1_001 + '"}')]).SerializeToString()
        ),
        json.dumps({"streams": [{}] * 2_001}).encode(),
        json.dumps({"streams": [{"stream": {"a": "b" * 20_000}, "values": [[str(NS), "x"]] * 110}]}).encode(),
        json.dumps({"streams": [{"stream": {"a": 1}}] * 700}).encode() + b"x",
    ],
)
def test_what_takes_long_is_not_decoded_where_little_time_is(body: bytes) -> None:
    content_type = JSON if body.startswith(b"{") else PROTOBUF
    with pytest.raises(PushTooLarge, match="more than 2000 streams, entries, labels and metadata"):
        decode_counted(body, content_type, Parts(2_000))


def test_labels_of_megabytes_are_too_large() -> None:
    body = push_pb2.PushRequest(streams=[push_pb2.Stream(labels="{" + " " * (1 << 24) + "}")]).SerializeToString()
    with pytest.raises(PushTooLarge, match=r"^request body too large: stream labels size 16777218 bytes exceeds limit"):
        decode_push(snappy(body), PROTOBUF, None, legacy=False, max_decompressed_bytes=0)


# Legacy JSON


def test_legacy_entries_may_have_metadata() -> None:
    entry = {"ts": "2026-01-15T10:00:00Z", "line": "x", "structuredMetadata": {"k": "v"}}
    (stream,) = decode_legacy(json.dumps({"streams": [{"labels": '{a="b"}', "entries": [entry]}]}))
    assert stream.metadata == [{"k": "v"}]


@pytest.mark.parametrize(
    ("text", "timestamp_ns"),
    [
        ("2026-01-15T10:00:00Z", NS),
        ("2026-01-15T12:00:00.123456789+02:00", NS + 123_456_789),
        ("2026-01-15T10:00:00.5Z", NS + 500_000_000),
        ("2026-01-15T10:00:00.1234567899Z", NS + 123_456_789),
        ("1969-12-31T23:59:59.9Z", -100_000_000),
    ],
)
def test_legacy_json_has_labels_as_text_and_times_as_rfc_3339(text: str, timestamp_ns: int) -> None:
    body = {"streams": [{"labels": '{b="2",a="1"}', "entries": [{"ts": text, "line": "x"}]}, {"labels": "{}"}]}
    assert decode_legacy(json.dumps(body)) == [
        PushStream((("a", "1"), ("b", "2")), [timestamp_ns], ["x"], None),
        PushStream((), [], [], None),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-01-15", "2026-13-15T10:00:00Z", "2026-01-15T10:00:00", "3000-01-01T00:00:00Z", "1768471200"],
)
def test_legacy_times_that_are_none_are_located(text: str) -> None:
    body = json.dumps({"streams": [{"labels": '{a="b"}', "entries": [{"ts": text, "line": "x"}]}]})
    assert message(decode_legacy, body).startswith("streams[0].entries[0].ts: expected a time as RFC 3339")


def test_legacy_labels_are_checked() -> None:
    with pytest.raises(InvalidPush, match=r"^couldn't parse labels: 1:3: parse error: "):
        decode_legacy('{"streams":[{"labels":"{a-b=\\"c\\"}"}]}')
