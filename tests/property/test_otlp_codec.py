"""OpenTelemetry bodies: what the official messages encode is decoded, and what is broken raises PushError alone."""

import base64
import json

from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from log_aggregator.formats.otlp import decode_otlp
from log_aggregator.formats.parts import Parts
from log_aggregator.formats.push_errors import PushError
from log_aggregator.model.otlp import OtlpSettings
from log_aggregator.model.push import PushStream

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
MEGABYTE = 1 << 20
NOW_NS = 1_768_471_200_000_000_000
SETTINGS = OtlpSettings(severity_text_as_label=True)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
keys = st.sampled_from(("service.name", "k8s.pod.name", "host.name", "a", "a.b", "9", "é", "")) | texts
unsigned_32 = st.integers(0, 2**32 - 1)
unsigned_64 = st.integers(0, 2**64 - 1)


def pairs_of(value: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[list[KeyValue]]:
    return st.lists(st.builds(KeyValue, key=keys, value=value), max_size=3)


scalars = st.one_of(
    st.builds(AnyValue),
    st.builds(AnyValue, string_value=texts),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
    st.builds(AnyValue, double_value=st.floats()),
    st.builds(AnyValue, bytes_value=st.binary(max_size=5)),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(AnyValue, array_value=st.builds(ArrayValue, values=st.lists(inner, max_size=3))),
        st.builds(AnyValue, kvlist_value=st.builds(KeyValueList, values=pairs_of(inner))),
    ),
    max_leaves=5,
)


attributes = pairs_of(values)
records = st.builds(
    LogRecord,
    time_unix_nano=unsigned_64,
    observed_time_unix_nano=unsigned_64,
    severity_number=st.integers(0, 24),
    severity_text=texts,
    body=values,
    attributes=attributes,
    dropped_attributes_count=unsigned_32,
    flags=unsigned_32,
    trace_id=st.just(b"") | st.binary(min_size=16, max_size=16),
    span_id=st.just(b"") | st.binary(min_size=8, max_size=8),
    event_name=texts,
)
scopes = st.builds(
    InstrumentationScope, name=texts, version=texts, attributes=attributes, dropped_attributes_count=unsigned_32
)
scope_logs = st.builds(ScopeLogs, scope=scopes, log_records=st.lists(records, min_size=1, max_size=2), schema_url=texts)
resource_logs = st.builds(
    ResourceLogs,
    resource=st.builds(Resource, attributes=attributes, dropped_attributes_count=unsigned_32),
    scope_logs=st.lists(scope_logs, min_size=1, max_size=2),
)
requests = st.builds(ExportLogsServiceRequest, resource_logs=st.lists(resource_logs, min_size=1, max_size=2))


def decode(body: bytes, content_type: str) -> list[PushStream]:
    return decode_otlp(
        body, content_type, None, settings=SETTINGS, now_ns=NOW_NS, max_decompressed_bytes=MEGABYTE, parts=Parts(0)
    )


def records_of(request: ExportLogsServiceRequest) -> list[LogRecord]:
    return [record for logs in request.resource_logs for scope in logs.scope_logs for record in scope.log_records]


def otlp_json(request: ExportLogsServiceRequest) -> bytes:
    """Protobuf's JSON, but ids are hexadecimal."""
    body = MessageToDict(request, use_integers_for_enums=True)
    for logs in body["resourceLogs"]:
        for scope in logs["scopeLogs"]:
            for record in scope["logRecords"]:
                for name in ("traceId", "spanId"):
                    if name in record:
                        record[name] = base64.b64decode(record[name]).hex()
    return json.dumps(body).encode()


def shared_keys(request: ExportLogsServiceRequest) -> list[str]:
    """Of the attributes that records have in common."""
    owners = [own for logs in request.resource_logs for own in (logs.resource, *(one.scope for one in logs.scope_logs))]
    return [attribute.key for own in owners for attribute in own.attributes]


@given(requests)
def test_no_record_is_lost_and_each_keeps_its_time(request: ExportLogsServiceRequest) -> None:
    streams = decode(request.SerializeToString(), PROTOBUF)
    expected = [
        min(record.time_unix_nano or record.observed_time_unix_nano or NOW_NS, 2**63 - 1)
        for record in records_of(request)
    ]
    assert sorted(time for stream in streams for time in stream.timestamps_ns) == sorted(expected)
    assert_well_formed(streams)


@given(requests)
def test_string_bodies_are_lines_and_ids_are_hexadecimal(request: ExportLogsServiceRequest) -> None:
    streams = decode(request.SerializeToString(), PROTOBUF)
    lines = [line for stream in streams for line in stream.lines]
    rows = [row for stream in streams for row in stream.metadata or [{}] * len(stream.lines)]
    for record in records_of(request):
        if record.body.HasField("string_value"):
            assert record.body.string_value in lines
        # An attribute of the resource or the scope may have the name, and then wins.
        if any(record.trace_id) and not any(key.startswith("trace") for key in shared_keys(request)):
            assert any(row.get("trace_id") == record.trace_id.hex() for row in rows)


@given(requests)
def test_json_says_the_same_as_protobuf(request: ExportLogsServiceRequest) -> None:
    assert decode(otlp_json(request), JSON) == decode(request.SerializeToString(), PROTOBUF)


@st.composite
def damaged(draw: st.DrawFn, body: bytes) -> bytes:
    """Cut, with a byte flipped, or with bytes put in."""
    at = draw(st.integers(0, len(body) - 1))
    match draw(st.sampled_from(("cut", "flip", "insert"))):
        case "cut":
            return body[:at]
        case "flip":
            return body[:at] + bytes([body[at] ^ draw(st.integers(1, 255))]) + body[at + 1 :]
        case _:
            return body[:at] + draw(st.binary(max_size=4)) + body[at:]


@given(st.data(), requests, st.sampled_from((JSON, PROTOBUF)))
def test_damaged_bodies_never_fail_otherwise(
    data: st.DataObject, request: ExportLogsServiceRequest, content_type: str
) -> None:
    body = otlp_json(request) if content_type == JSON else request.SerializeToString()
    decodes_or_explains(data.draw(damaged(body)), content_type)


@given(st.binary(max_size=60), st.sampled_from((JSON, PROTOBUF, "text/plain", "")))
def test_noise_never_fails_otherwise(body: bytes, content_type: str) -> None:
    decodes_or_explains(body, content_type)


def decodes_or_explains(body: bytes, content_type: str) -> None:
    try:
        streams = decode(body, content_type)
    except PushError:
        return
    assert_well_formed(streams)


def assert_well_formed(streams: list[PushStream]) -> None:
    assert streams
    for stream in streams:
        assert stream.lines
        assert len(stream.timestamps_ns) == len(stream.lines)
        assert stream.metadata is None or len(stream.metadata) == len(stream.lines)
        assert all(0 <= time < 2**63 for time in stream.timestamps_ns)
        assert all(name and value for name, value in stream.labels)
        "".join(stream.lines).encode()  # no lone surrogates
