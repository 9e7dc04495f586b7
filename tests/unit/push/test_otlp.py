"""Where Loki puts what an OpenTelemetry log record says."""

import json
from contextlib import suppress
from typing import Any

import cramjam
import pytest
import zstandard

from log_aggregator.formats import otlp_pb2
from log_aggregator.formats.otlp import decode_otlp
from log_aggregator.formats.parts import Parts
from log_aggregator.formats.push_errors import EmptyPush, InvalidPush, PushTooLarge
from log_aggregator.model.otlp import OtlpSettings
from log_aggregator.model.push import PushStream

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
NS = 1_768_471_200_000_000_000
NOW_NS = NS + 5_000_000_000


def decode(
    body: object,
    content_type: str | None = JSON,
    encoding: str | None = None,
    max_decompressed_bytes: int = 1 << 20,
    max_parts: int = 0,
    **settings: Any,
) -> list[PushStream]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_otlp(
        data,
        content_type,
        encoding,
        settings=OtlpSettings.model_validate(settings),
        now_ns=NOW_NS,
        max_decompressed_bytes=max_decompressed_bytes,
        parts=Parts(max_parts),
    )


def pairs(attributes: dict[str, object]) -> list[object]:
    return [{"key": key, "value": any_value(value)} for key, value in attributes.items()]


def any_value(value: object) -> object:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [any_value(element) for element in value]}}
        case dict():
            return {"kvlistValue": {"values": pairs(value)}}
        case _:
            return {"stringValue": value}


def request(
    *records: dict[str, object], resource: dict[str, object] | None = None, scope: object = None
) -> dict[str, object]:
    scope_logs = {"scope": scope, "logRecords": records}
    return {"resourceLogs": [{"resource": {"attributes": pairs(resource or {})}, "scopeLogs": [scope_logs]}]}


RECORD: dict[str, object] = {"timeUnixNano": str(NS), "body": {"stringValue": "x"}}


def test_resource_attributes_that_name_a_stream_are_labels_and_all_others_metadata() -> None:
    resource = {"service.name": "shop", "k8s.pod.name": "p1", "host.name": "h", "deployment.environment.name": "prod"}
    labels = (("deployment_environment_name", "prod"), ("k8s_pod_name", "p1"), ("service_name", "shop"))
    assert decode(request(RECORD, resource=resource)) == [PushStream(labels, [NS], ["x"], [{"host_name": "h"}])]


def test_everything_a_record_says_is_metadata() -> None:
    scope = {"name": "lib", "version": "1", "droppedAttributesCount": 2, "attributes": pairs({"a.b": "c"})}
    record = {
        **RECORD,
        "observedTimeUnixNano": str(NS + 7),
        "severityNumber": 13,
        "severityText": "WARN",
        "attributes": pairs({"http.method": "GET", "retries": 3, "ok": True}),
        "droppedAttributesCount": 1,
        "flags": 1,
        "traceId": "5B8EFFF798038103D269B633813FC60C",
        "spanId": "eee19b7ec3c1b174",
        "eventName": "checkout",
    }
    (stream,) = decode(request(record, scope=scope))
    assert stream.metadata == [
        {
            "scope_name": "lib",
            "scope_version": "1",
            "scope_dropped_attributes_count": "2",
            "a_b": "c",
            "http_method": "GET",
            "retries": "3",
            "ok": "true",
            "observed_timestamp": str(NS + 7),
            "severity_number": "13",
            "severity_text": "WARN",
            "dropped_attributes_count": "1",
            "flags": "1",
            "trace_id": "5b8efff798038103d269b633813fc60c",
            "span_id": "eee19b7ec3c1b174",
            "event_name": "checkout",
        }
    ]


def test_what_a_record_does_not_say_is_not_metadata() -> None:
    silent = {"severityNumber": 0, "severityText": "", "traceId": "0" * 32, "spanId": "", "flags": 0, "eventName": ""}
    assert decode(request({**RECORD, **silent}))[0].metadata is None


@pytest.mark.parametrize(
    ("times", "timestamp_ns", "metadata"),
    [
        ({"timeUnixNano": str(NS)}, NS, None),
        ({"observedTimeUnixNano": str(NS)}, NS, None),
        ({"timeUnixNano": NS, "observedTimeUnixNano": NS + 1}, NS, [{"observed_timestamp": str(NS + 1)}]),
        ({}, NOW_NS, None),
        ({"timeUnixNano": str(2**64 - 1)}, 2**63 - 1, None),
    ],
)
def test_time_is_the_record_s_or_the_observer_s_or_now(
    times: dict[str, object], timestamp_ns: int, metadata: object
) -> None:
    (stream,) = decode(request({"body": {"stringValue": "x"}, **times}))
    assert (stream.timestamps_ns, stream.metadata) == ([timestamp_ns], metadata)


def test_maps_are_flattened_and_names_become_label_names() -> None:
    record = {**RECORD, "attributes": pairs({"http": {"status-code": 200, "h": {"a.b": "c"}, "none": {}}, "9x": "d"})}
    assert decode(request(record))[0].metadata == [{"http_status_code": "200", "http_h_a_b": "c", "key_9x": "d"}]


def test_what_records_inherit_wins() -> None:
    scope = {"attributes": pairs({"a": "scope", "b": "scope"})}
    record = {**RECORD, "attributes": pairs({"a": "record", "trace_id": "mine"}), "traceId": "01" * 16}
    (stream,) = decode(request(record, resource={"a": "resource", "b": "resource", "c": "resource"}, scope=scope))
    assert stream.metadata == [{"a": "scope", "b": "scope", "c": "resource", "trace_id": "01" * 16}]


def test_records_of_equal_labels_share_a_stream_in_order_of_arrival() -> None:
    body = {
        "resourceLogs": [
            *request(RECORD, resource={"service.name": "a", "host.name": "1"})["resourceLogs"],  # type: ignore[misc]
            *request(RECORD, resource={"service.name": "b"})["resourceLogs"],  # type: ignore[misc]
            *request({**RECORD, "body": any_value("y")}, resource={"service.name": "a"})["resourceLogs"],  # type: ignore[misc]
        ]
    }
    assert decode(body) == [
        PushStream((("service_name", "a"),), [NS, NS], ["x", "y"], [{"host_name": "1"}, {}]),
        PushStream((("service_name", "b"),), [NS], ["x"], None),
    ]


def test_a_resource_that_says_much_cannot_have_many_records() -> None:
    """A megabyte here would become six gigabytes of metadata."""
    body = request(*[RECORD] * 10_000, resource={"host.name": "h" * 600_000})
    with pytest.raises(PushTooLarge) as caught:
        decode(body, max_decompressed_bytes=0)
    assert str(caught.value) == (
        "request body too large: attributes of resources and scopes, counted once for each of their records, "
        "are more than 268435456 characters"
    )


def map_of_maps(depth: int, name: str) -> dict[str, object]:
    return {name: map_of_maps(depth - 1, name)} if depth else {f"leaf{number}": "x" for number in range(30)}


@pytest.mark.parametrize(
    "body",
    [
        request({"body": any_value([""] * 2_000)}),
        request({"attributes": pairs({f"a{number}": "" for number in range(2_000)})}),
        request({"attributes": pairs({"a": {f"b{number}": "" for number in range(2_000)}})}),
        request({"attributes": pairs(map_of_maps(20, "k." * 200))}),
        request(*[{}] * 2_000),
        request(*[{}] * 200, resource={f"a{number}": "x" for number in range(20)}),
        request(*[{}] * 200, resource={"a": "x" * 20_000}),
        request(*[{}] * 200, resource={"service.name": "x" * 20_000}),
        request(*[{}] * 200, resource={"k." * 500: "x"}),
        {"resourceLogs": [{}] * 2_001},
        {"resourceLogs": [{"scopeLogs": [{}] * 2_001}]},
        {"resourceLogs": [], "unknown": [{}] * 5_000},
    ],
)
def test_what_takes_long_is_not_decoded_where_little_time_is(body: object) -> None:
    with pytest.raises(PushTooLarge, match="more than 2000 streams, entries, labels and metadata"):
        decode(body, max_parts=2_000)
    with suppress(EmptyPush):
        decode(body)


# Settings


def test_rules_say_where_resource_attributes_go() -> None:
    resource = {"service.name": "shop", "team": "a", "host.name": "h", "secret.key": "s", "os": {"type": "linux"}}
    rules = [
        {"action": "index_label", "attributes": ["team"]},
        {"action": "drop", "regex": "secret.*"},
        {"action": "index_label", "regex": "os"},
        {"action": "drop", "attributes": ["service.name"]},  # comes after the defaults
    ]
    (stream,) = decode(request(RECORD, resource=resource), resource_attributes={"attributes_config": rules})
    assert stream.labels == (("os_type", "linux"), ("service_name", "shop"), ("team", "a"))
    assert stream.metadata == [{"host_name": "h"}]


def test_default_labels_can_be_switched_off() -> None:
    rules = {"ignore_defaults": True, "attributes_config": [{"action": "index_label", "attributes": ["a"]}]}
    (stream,) = decode(request(RECORD, resource={"service.name": "b", "a": "c"}), resource_attributes=rules)
    assert (stream.labels, stream.metadata) == ((("a", "c"),), [{"service_name": "b"}])


def test_a_rule_s_regex_matches_the_whole_name() -> None:
    record = {**RECORD, "attributes": pairs({"a": "1", "ab": "2"})}
    (stream,) = decode(request(record), log_attributes=[{"action": "drop", "regex": "a"}])
    assert stream.metadata == [{"ab": "2"}]


def test_records_whose_attributes_are_labels_part_into_streams() -> None:
    body = request(
        {**RECORD, "attributes": pairs({"level": "a"}), "severityText": "INFO"},
        {**RECORD, "attributes": pairs({"level": "b"})},
        RECORD,
        resource={"service.name": "s"},
    )
    rules = [{"action": "index_label", "attributes": ["level"]}]
    service = ("service_name", "s")
    assert decode(body, severity_text_as_label=True, log_attributes=rules) == [
        PushStream((("level", "a"), service, ("severity_text", "INFO")), [NS], ["x"], [{"severity_text": "INFO"}]),
        PushStream((("level", "b"), service), [NS], ["x"], None),
        PushStream((service,), [NS], ["x"], None),
    ]


def test_scope_attributes_may_be_dropped() -> None:
    body = request(RECORD, scope={"attributes": pairs({"a": "1", "b": "2"})})
    assert decode(body, scope_attributes=[{"action": "drop", "attributes": ["a"]}])[0].metadata == [{"b": "2"}]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"log_attributes": [{"action": "drop"}]}, "attributes or regex must be set"),
        (
            {"log_attributes": [{"attributes": ["a"], "regex": "b"}]},
            "only one of attributes or regex must be set",
        ),
        ({"log_attributes": [{"regex": "("}]}, "not a regular expression: ("),
        ({"log_attributes": [{"action": "keep", "regex": "a"}]}, "Input should be 'index_label'"),
        ({"scope_attributes": [{"action": "index_label", "regex": "a"}]}, "index_label action is only supported for"),
        ({"resource": {}}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        OtlpSettings.model_validate(settings)
    assert problem in str(caught.value)


# Values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", ""),
        ("é\n", "é\n"),
        (True, "true"),
        (False, "false"),
        (-(2**63), "-9223372036854775808"),
        (2.0, "2"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-10, "1.5e-10"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e21, "1e+21"),
        ([], "[]"),
        (["<a>", 1, 2.0, 1e21, None, [True]], '["<a>",1,2,1e+21,null,[true]]'),
        ({"b": {"d": 1}, "a": "c"}, '{"a":"c","b":{"d":1}}'),
    ],
)
def test_the_body_is_the_line_as_text(value: object, text: str) -> None:
    assert decode(request({**RECORD, "body": any_value(value)}))[0].lines == [text]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"bytesValue": "aGk="}, "aGk="),
        ({}, ""),
        (None, ""),
        ({"intValue": 5}, "5"),
        ({"doubleValue": "NaN"}, "NaN"),
        ({"doubleValue": "-Infinity"}, "-Infinity"),
        (
            {"arrayValue": {"values": [{"doubleValue": "Infinity"}, {"bytesValue": "aGk="}, {}]}},
            '["Infinity","aGk=",null]',
        ),
        ({"arrayValue": {}}, "[]"),
    ],
)
def test_json_has_several_ways_to_write_values(body: object, text: str) -> None:
    assert decode(request({**RECORD, "body": body}))[0].lines == [text]


# JSON


@pytest.mark.parametrize(
    ("severity", "number"),
    [
        (9, "9"),
        ("9", "9"),
        ("SEVERITY_NUMBER_INFO", "9"),
        ("SEVERITY_NUMBER_FATAL4", "24"),
        ("SEVERITY_NUMBER_TRACE2", "2"),
    ],
)
def test_json_enums_are_numbers_or_names(severity: object, number: str) -> None:
    assert decode(request({**RECORD, "severityNumber": severity}))[0].metadata == [{"severity_number": number}]


def test_json_of_an_unknown_severity_is_stored_without_it() -> None:
    assert decode(request({**RECORD, "severityNumber": "LOUD"}))[0].metadata is None


def test_json_names_may_be_in_snake_case() -> None:
    line = '"trace_id": "time_unix_nano":'
    record = {
        "time_unix_nano": "5",
        "severity_number": 17,
        "trace_id": "0102",
        "body": {"kvlist_value": {"values": [{"key": "span_id", "value": {"string_value": line}}]}},
        "attributes": [{"key": "severity_text", "value": {"int_value": 3}}],
    }
    body = {"resource_logs": [{"scope_logs": [{"scope": {"name": "s"}, "log_records": [record]}]}]}
    (stream,) = decode(body)
    assert stream.timestamps_ns == [5]
    assert [json.loads(text) for text in stream.lines] == [{"span_id": line}]
    assert stream.metadata == [{"severity_number": "17", "severity_text": "3", "trace_id": "0102", "scope_name": "s"}]


def test_json_fields_that_are_unknown_or_null_do_not_matter() -> None:
    body = request({**RECORD, "new": {"x": []}, "severityText": None, "attributes": None, "flags": None})
    body["other"] = 1
    assert decode(body) == [PushStream((), [NS], ["x"], None)]


def test_json_text_that_is_not_utf_8_is_kept_with_replacement_characters() -> None:
    assert decode(json.dumps(request(RECORD)).replace('"x"', '"\udcff"').encode(errors="surrogateescape"))[0].lines == [
        "\ufffd"
    ]


def nested(depth: int) -> object:
    value: object = {"intValue": 1}
    for _ in range(depth):
        value = {"arrayValue": {"values": [value]}}
    return value


BAD_JSON = {
    "empty": (b"", "Input data was truncated"),
    "array": (b"[]", "Expected `object`, got `array`"),
    "records of another type": (b'{"resourceLogs":{}}', "Expected `array | null`, got `object` - at `$.resourceLogs`"),
    "body of another type": (
        json.dumps(request({"body": "x"})).encode(),
        "Expected `object | null`, got `str` - at `$.resourceLogs[0].scopeLogs[0].logRecords[0].body`",
    ),
    "time that is none": (json.dumps(request({"timeUnixNano": "x"})).encode(), "Expected `int | null`, got `str`"),
    "time below zero": (json.dumps(request({"timeUnixNano": -1})).encode(), "Value out of range: -1"),
    "integer too large": (json.dumps(request({"body": {"intValue": 2**63}})).encode(), "Value out of range"),
    "trace id not hexadecimal": (
        json.dumps(request({"traceId": "xyz="})).encode(),
        "non-hexadecimal number found in fromhex() arg at position 0",
    ),
    "nested beyond all measure": (
        b'{"x":' + b"[" * 100_000,
        "maximum recursion depth exceeded",
    ),
    "nested too deeply": (
        json.dumps(request({"body": nested(31)})).encode(),
        "values are nested more than 30 deep",
    ),
}


@pytest.mark.parametrize(("body", "problem"), BAD_JSON.values(), ids=BAD_JSON)
def test_bad_json_is_told_with_what_was_expected(body: bytes, problem: str) -> None:
    with pytest.raises(InvalidPush) as caught:
        decode(body)
    assert str(caught.value).startswith(f"invalid JSON logs request: {problem}")


def test_values_may_be_nested_deeply() -> None:
    assert decode(request({**RECORD, "body": nested(30)}))[0].lines == ["[" * 30 + "1" + "]" * 30]
    body: object = 1
    for _ in range(30):
        body = {"a": body}
    assert decode(request({**RECORD, "body": any_value(body)}))[0].lines == ['{"a":' * 30 + "1" + "}" * 30]


# Protobuf


def message(line: bytes = b"x") -> bytes:
    record = otlp_pb2.LogRecord(time_unix_nano=NS, body=otlp_pb2.AnyValue(string_value=line))
    logs = otlp_pb2.ResourceLogs(scope_logs=[otlp_pb2.ScopeLogs(log_records=[record])])
    return otlp_pb2.ExportLogsServiceRequest(resource_logs=[logs]).SerializeToString()


STREAMS = [PushStream((), [NS], ["x"], None)]


def test_protobuf_text_that_is_not_utf_8_is_kept_with_replacement_characters() -> None:
    assert decode(message(b"a\xffb"), PROTOBUF)[0].lines == ["a\ufffdb"]


def test_protobuf_that_is_cut_is_refused() -> None:
    with pytest.raises(InvalidPush, match=r"^protobuf: the body is not a logs request: "):
        decode(message()[:-1], PROTOBUF)


# Headers


@pytest.mark.parametrize(
    "content_type", ["application/x-protobuf", "application/protobuf", "Application/X-Protobuf; charset=utf-8"]
)
def test_content_types_of_protobuf(content_type: str) -> None:
    assert decode(message(), content_type) == STREAMS


@pytest.mark.parametrize("content_type", ["application/json", "application/json;charset=utf-8"])
def test_content_types_of_json(content_type: str) -> None:
    assert decode(request(RECORD), content_type) == STREAMS


@pytest.mark.parametrize(
    ("content_type", "problem"),
    [("text/plain", "content type: text/plain is not supported"), (None, "content type:  is not supported")],
)
def test_other_content_types_are_refused(content_type: str | None, problem: str) -> None:
    with pytest.raises(InvalidPush) as caught:
        decode(message(), content_type)
    assert str(caught.value) == problem


ENCODINGS = {
    "identity": message(),
    "gzip": bytes(cramjam.gzip.compress(message())),
    "zstd": zstandard.ZstdCompressor().compress(message()),
    "deflate": bytes(cramjam.zlib.compress(message())),
    "lz4": bytes(cramjam.lz4.compress(message())),
    "snappy": bytes(cramjam.snappy.compress_raw(message())),
}


@pytest.mark.parametrize(("encoding", "body"), ENCODINGS.items(), ids=ENCODINGS)
def test_content_encodings_are_undone(encoding: str, body: bytes) -> None:
    assert decode(body, PROTOBUF, encoding) == STREAMS


def test_decompression_is_bounded() -> None:
    with pytest.raises(PushTooLarge):
        decode(bytes(cramjam.gzip.compress(message(b"x" * (1 << 20)))), PROTOBUF, "gzip")


@pytest.mark.parametrize(
    "body", [{}, {"resourceLogs": []}, {"resourceLogs": [{"scopeLogs": [{"scope": {"name": "a"}}]}]}]
)
def test_a_request_without_records_is_empty(body: object) -> None:
    with pytest.raises(EmptyPush, match=r"^error at least one valid stream is required for ingestion$"):
        decode(body)
