from collections.abc import Iterable as _Iterable
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar

from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers

DESCRIPTOR: _descriptor.FileDescriptor

class ExportLogsServiceRequest(_message.Message):
    __slots__ = ("resource_logs",)
    RESOURCE_LOGS_FIELD_NUMBER: _ClassVar[int]
    resource_logs: _containers.RepeatedCompositeFieldContainer[ResourceLogs]
    def __init__(self, resource_logs: _Iterable[ResourceLogs | _Mapping] | None = ...) -> None: ...

class ResourceLogs(_message.Message):
    __slots__ = ("resource", "scope_logs")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_LOGS_FIELD_NUMBER: _ClassVar[int]
    resource: Resource
    scope_logs: _containers.RepeatedCompositeFieldContainer[ScopeLogs]
    def __init__(
        self, resource: Resource | _Mapping | None = ..., scope_logs: _Iterable[ScopeLogs | _Mapping] | None = ...
    ) -> None: ...

class Resource(_message.Message):
    __slots__ = ("attributes",)
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    attributes: _containers.RepeatedCompositeFieldContainer[KeyValue]
    def __init__(self, attributes: _Iterable[KeyValue | _Mapping] | None = ...) -> None: ...

class ScopeLogs(_message.Message):
    __slots__ = ("log_records", "scope")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    LOG_RECORDS_FIELD_NUMBER: _ClassVar[int]
    scope: InstrumentationScope
    log_records: _containers.RepeatedCompositeFieldContainer[LogRecord]
    def __init__(
        self,
        scope: InstrumentationScope | _Mapping | None = ...,
        log_records: _Iterable[LogRecord | _Mapping] | None = ...,
    ) -> None: ...

class InstrumentationScope(_message.Message):
    __slots__ = ("attributes", "dropped_attributes_count", "name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_ATTRIBUTES_COUNT_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    version: bytes
    attributes: _containers.RepeatedCompositeFieldContainer[KeyValue]
    dropped_attributes_count: int
    def __init__(
        self,
        name: bytes | None = ...,
        version: bytes | None = ...,
        attributes: _Iterable[KeyValue | _Mapping] | None = ...,
        dropped_attributes_count: int | None = ...,
    ) -> None: ...

class LogRecord(_message.Message):
    __slots__ = (
        "attributes",
        "body",
        "dropped_attributes_count",
        "event_name",
        "flags",
        "observed_time_unix_nano",
        "severity_number",
        "severity_text",
        "span_id",
        "time_unix_nano",
        "trace_id",
    )
    TIME_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_TEXT_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_ATTRIBUTES_COUNT_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_TIME_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    EVENT_NAME_FIELD_NUMBER: _ClassVar[int]
    time_unix_nano: int
    severity_number: int
    severity_text: bytes
    body: AnyValue
    attributes: _containers.RepeatedCompositeFieldContainer[KeyValue]
    dropped_attributes_count: int
    flags: int
    trace_id: bytes
    span_id: bytes
    observed_time_unix_nano: int
    event_name: bytes
    def __init__(
        self,
        time_unix_nano: int | None = ...,
        severity_number: int | None = ...,
        severity_text: bytes | None = ...,
        body: AnyValue | _Mapping | None = ...,
        attributes: _Iterable[KeyValue | _Mapping] | None = ...,
        dropped_attributes_count: int | None = ...,
        flags: int | None = ...,
        trace_id: bytes | None = ...,
        span_id: bytes | None = ...,
        observed_time_unix_nano: int | None = ...,
        event_name: bytes | None = ...,
    ) -> None: ...

class KeyValue(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: AnyValue
    def __init__(self, key: bytes | None = ..., value: AnyValue | _Mapping | None = ...) -> None: ...

class AnyValue(_message.Message):
    __slots__ = (
        "array_value",
        "bool_value",
        "bytes_value",
        "double_value",
        "int_value",
        "kvlist_value",
        "string_value",
    )
    STRING_VALUE_FIELD_NUMBER: _ClassVar[int]
    BOOL_VALUE_FIELD_NUMBER: _ClassVar[int]
    INT_VALUE_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_VALUE_FIELD_NUMBER: _ClassVar[int]
    ARRAY_VALUE_FIELD_NUMBER: _ClassVar[int]
    KVLIST_VALUE_FIELD_NUMBER: _ClassVar[int]
    BYTES_VALUE_FIELD_NUMBER: _ClassVar[int]
    string_value: bytes
    bool_value: bool
    int_value: int
    double_value: float
    array_value: ArrayValue
    kvlist_value: KeyValueList
    bytes_value: bytes
    def __init__(
        self,
        string_value: bytes | None = ...,
        bool_value: bool | None = ...,
        int_value: int | None = ...,
        double_value: float | None = ...,
        array_value: ArrayValue | _Mapping | None = ...,
        kvlist_value: KeyValueList | _Mapping | None = ...,
        bytes_value: bytes | None = ...,
    ) -> None: ...

class ArrayValue(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[AnyValue]
    def __init__(self, values: _Iterable[AnyValue | _Mapping] | None = ...) -> None: ...

class KeyValueList(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[KeyValue]
    def __init__(self, values: _Iterable[KeyValue | _Mapping] | None = ...) -> None: ...

class ExportLogsServiceResponse(_message.Message):
    __slots__ = ("partial_success",)
    PARTIAL_SUCCESS_FIELD_NUMBER: _ClassVar[int]
    partial_success: ExportLogsPartialSuccess
    def __init__(self, partial_success: ExportLogsPartialSuccess | _Mapping | None = ...) -> None: ...

class ExportLogsPartialSuccess(_message.Message):
    __slots__ = ("error_message", "rejected_log_records")
    REJECTED_LOG_RECORDS_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    rejected_log_records: int
    error_message: str
    def __init__(self, rejected_log_records: int | None = ..., error_message: str | None = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    def __init__(self, code: int | None = ..., message: str | None = ...) -> None: ...
