"""OpenTelemetry's JSON, read into the message that protobuf bodies are.

Source: the OTLP specification, JSON Protobuf Encoding: names in camel case, ids in hexadecimal, 64-bit integers as
numbers or strings, enums as numbers; unknown names are skipped. Names of enum values are taken too, and names as they
are in the .proto file, as the collector's own decoder does.
"""

import re
from typing import Final

import msgspec

from log_aggregator.formats import otlp_pb2
from log_aggregator.formats.push_errors import InvalidPush

_MAX_DEPTH: Final = 30
"""Of values in values. A map in a map is three messages deeper, and protobuf reads a hundred."""

_SEVERITIES: Final = {
    f"SEVERITY_NUMBER_{name}{number or ''}": first + max(number - 1, 0)
    for first, name in zip(range(1, 25, 4), ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"), strict=True)
    for number in (0, 2, 3, 4)
}


class _AnyValue(msgspec.Struct, rename="camel", gc=False):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: float | None = None
    array_value: "_ArrayValue | None" = None
    kvlist_value: "_KeyValueList | None" = None
    bytes_value: bytes | None = None


class _ArrayValue(msgspec.Struct, gc=False):
    values: list[_AnyValue | None] | None = None


class _KeyValue(msgspec.Struct, gc=False):
    key: str | None = None
    value: _AnyValue | None = None


class _KeyValueList(msgspec.Struct, gc=False):
    values: list[_KeyValue] | None = None


class _Resource(msgspec.Struct):
    attributes: list[_KeyValue] | None = None


class _Scope(msgspec.Struct, rename="camel"):
    name: str | None = None
    version: str | None = None
    attributes: list[_KeyValue] | None = None
    dropped_attributes_count: int | None = None


class _LogRecord(msgspec.Struct, rename="camel", gc=False):
    time_unix_nano: int | None = None
    observed_time_unix_nano: int | None = None
    severity_number: int | str | None = None
    severity_text: str | None = None
    body: _AnyValue | None = None
    attributes: list[_KeyValue] | None = None
    dropped_attributes_count: int | None = None
    flags: int | None = None
    trace_id: str | None = None
    span_id: str | None = None
    event_name: str | None = None


class _ScopeLogs(msgspec.Struct, rename="camel"):
    scope: _Scope | None = None
    log_records: list[_LogRecord] | None = None


class _ResourceLogs(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_logs: list[_ScopeLogs] | None = None


class _Request(msgspec.Struct, rename="camel"):
    resource_logs: list[_ResourceLogs] | None = None


_IN_CAMEL_CASE: Final = {
    name: camel
    for struct in (_AnyValue, _Scope, _LogRecord, _ScopeLogs, _ResourceLogs, _Request)
    for name, camel in zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True)
    if name != camel
}

# Not strict: integers may be strings, and so may numbers that JSON cannot say.
_decoder = msgspec.json.Decoder(_Request, strict=False)


def decode_json_request(data: bytes) -> otlp_pb2.ExportLogsServiceRequest:
    """Raises InvalidPush. Text that is not UTF-8 is kept with U+FFFD for what is broken."""
    try:
        request = _decoder.decode(_with_camel_case(data.decode("utf-8", "replace")))
        return otlp_pb2.ExportLogsServiceRequest(resource_logs=[_resource_logs(r) for r in request.resource_logs or ()])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidPush(f"invalid JSON logs request: {error}") from error


def _with_camel_case(text: str) -> str:
    """With names that are in snake case. Only a name stands in quotes that are not escaped, and before a colon."""
    found = [name for name in _IN_CAMEL_CASE if f'"{name}"' in text]
    if not found:
        return text
    names = rf'(?<!\\)"({"|".join(found)})"(?=[ \t\r\n]*:)'
    return re.sub(names, lambda match: f'"{_IN_CAMEL_CASE[match[1]]}"', text)


def _resource_logs(logs: _ResourceLogs) -> otlp_pb2.ResourceLogs:
    attributes = _pairs(logs.resource.attributes) if logs.resource else None
    return otlp_pb2.ResourceLogs(
        resource=otlp_pb2.Resource(attributes=attributes),
        scope_logs=[_scope_logs(scope_logs) for scope_logs in logs.scope_logs or ()],
    )


def _scope_logs(logs: _ScopeLogs) -> otlp_pb2.ScopeLogs:
    scope = logs.scope or _Scope()
    return otlp_pb2.ScopeLogs(
        scope=otlp_pb2.InstrumentationScope(
            name=_utf8(scope.name),
            version=_utf8(scope.version),
            attributes=_pairs(scope.attributes),
            dropped_attributes_count=scope.dropped_attributes_count,
        ),
        log_records=[_log_record(record) for record in logs.log_records or ()],
    )


def _log_record(record: _LogRecord) -> otlp_pb2.LogRecord:
    return otlp_pb2.LogRecord(
        time_unix_nano=record.time_unix_nano,
        observed_time_unix_nano=record.observed_time_unix_nano,
        severity_number=_severity(record.severity_number),
        severity_text=_utf8(record.severity_text),
        body=_value(record.body),
        attributes=_pairs(record.attributes),
        dropped_attributes_count=record.dropped_attributes_count,
        flags=record.flags,
        trace_id=bytes.fromhex(record.trace_id or ""),
        span_id=bytes.fromhex(record.span_id or ""),
        event_name=_utf8(record.event_name),
    )


def _severity(value: int | str | None) -> int | None:
    """Nothing for a name that is none: an entry of unknown severity is better than none."""
    if not isinstance(value, str):
        return value
    return int(value) if value.isdecimal() else _SEVERITIES.get(value)


def _pairs(pairs: list[_KeyValue] | None, depth: int = 0) -> list[otlp_pb2.KeyValue] | None:
    return [otlp_pb2.KeyValue(key=_utf8(pair.key), value=_value(pair.value, depth)) for pair in pairs or ()]


def _value(value: _AnyValue | None, depth: int = 0) -> otlp_pb2.AnyValue | None:
    if value is None:
        return None
    if value.string_value is not None:
        return otlp_pb2.AnyValue(string_value=_utf8(value.string_value))
    if depth > _MAX_DEPTH:
        raise ValueError(f"values are nested more than {_MAX_DEPTH} deep")
    array, pairs = value.array_value, value.kvlist_value
    return otlp_pb2.AnyValue(
        bool_value=value.bool_value,
        int_value=value.int_value,
        double_value=value.double_value,
        array_value=None if array is None else _array(array, depth + 1),
        kvlist_value=None if pairs is None else otlp_pb2.KeyValueList(values=_pairs(pairs.values, depth + 1)),
        bytes_value=value.bytes_value,
    )


def _array(array: _ArrayValue, depth: int) -> otlp_pb2.ArrayValue:
    return otlp_pb2.ArrayValue(values=[_value(value, depth) or otlp_pb2.AnyValue() for value in array.values or ()])


def _utf8(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
