"""The body of an OpenTelemetry logs request as columns, with attributes in the places that Loki gives them.

Source: Loki's documentation, "Ingesting logs to Loki using OpenTelemetry Collector", format considerations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from log_aggregator.formats import otlp_pb2
from log_aggregator.formats.compression import decompress
from log_aggregator.formats.otlp_json import decode_json_request
from log_aggregator.formats.otlp_values import add_attribute, text_of_bytes, value_text
from log_aggregator.formats.parts import Parts, text_length
from log_aggregator.formats.push_errors import EmptyPush, InvalidPush, PushTooLarge
from log_aggregator.model.labels import Labels, clean_name, labels_of
from log_aggregator.model.otlp import DEFAULT_INDEX_LABELS, Action, AttributeRule, OtlpSettings, action_for
from log_aggregator.model.push import PushStream

_JSON: Final = "application/json"
_PROTOBUF: Final = ("application/x-protobuf", "application/protobuf")
_INT64_MAX: Final = 2**63 - 1
_SEVERITY_TEXT: Final = "severity_text"

_BRACES_OF_PART: Final = 2

_MAX_INHERITED_LENGTH: Final = 256 << 20
"""In characters, of all records of a request: each carries what its resource and scope say once, so that a body of a
megabyte could become gigabytes. Batches of collectors stay below a hundredth of it."""


def decode_otlp(
    body: bytes,
    content_type: str | None,
    content_encoding: str | None,
    *,
    settings: OtlpSettings,
    index_labels: tuple[str, ...] = DEFAULT_INDEX_LABELS,
    now_ns: int,
    max_decompressed_bytes: int,
    parts: Parts,
) -> list[PushStream]:
    """The streams of a logs request, which have at least one entry each.

    `index_labels` are the resource attributes that name a stream where the settings do not ignore them.

    A record without any time is of `now_ns`. Where one name comes more than once, it is as in Loki: the scope's
    attributes win over the resource's, these over a record's own fields, such as trace_id, and these over its
    attributes. A time beyond 64 bits of nanoseconds becomes the last that they hold. `max_decompressed_bytes` of 0
    means no bound. Counts what there is to do in `parts`.

    Raises InvalidPush, EmptyPush, PushTooLarge.
    """
    data = decompress(body, content_encoding, max_decompressed_bytes)
    parts.bytes += len(data)
    if is_json(content_type):
        parts.guess(data.count(b"{") // _BRACES_OF_PART)
        request = decode_json_request(data)
    elif _media_type(content_type) in _PROTOBUF:
        request = _decode_protobuf(data)
    else:
        raise InvalidPush(f"content type: {content_type or ''} is not supported")
    streams = _Mapping(settings, index_labels, now_ns, parts).streams_of(request)
    if not streams:
        raise EmptyPush
    return streams


def is_json(content_type: str | None) -> bool:
    """Which of the two encodings a request is in, and its answer is to be in."""
    return _media_type(content_type) == _JSON


def _media_type(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _decode_protobuf(data: bytes) -> otlp_pb2.ExportLogsServiceRequest:
    try:
        return otlp_pb2.ExportLogsServiceRequest.FromString(data)
    except DecodeError as error:
        raise InvalidPush(f"protobuf: the body is not a logs request: {error}") from error


class _Places(dict[bytes, tuple[str, Action]]):
    """The name of each attribute and where it goes. Found out once a request: the same few come with every record."""

    def __init__(self, rules: Sequence[AttributeRule], parts: Parts) -> None:
        super().__init__()
        self._rules = rules
        self._parts = parts

    def __missing__(self, key: bytes) -> tuple[str, Action]:
        attribute = text_of_bytes(key)
        place = self[key] = clean_name(attribute), action_for(attribute, self._rules)
        return place

    def put(self, attributes: Sequence[otlp_pb2.KeyValue], labels: dict[str, str], metadata: dict[str, str]) -> None:
        self._parts.add(len(attributes))
        for pair in attributes:
            name, action = self[pair.key]
            if action is Action.DROP:
                continue
            pairs = labels if action is Action.INDEX_LABEL else metadata
            if text := pair.value.string_value:  # nearly always, and a twelfth of decoding would be the calls for it
                pairs[name] = text_of_bytes(text)
            else:
                add_attribute(pairs, name, pair.value, self._parts)


class _Mapping:
    """One request under one tenant's settings."""

    def __init__(self, settings: OtlpSettings, index_labels: tuple[str, ...], now_ns: int, parts: Parts) -> None:
        self._of_resource = _Places(settings.resource_attributes.rules(index_labels), parts)
        self._of_scope = _Places(settings.scope_attributes, parts)
        self._of_log = _Places(settings.log_attributes, parts)
        self._parts = parts
        self._severity_text_as_label = settings.severity_text_as_label
        self._now_ns = now_ns
        self._streams: dict[Labels, _Stream] = {}
        self._inherited_length = 0

    def streams_of(self, request: otlp_pb2.ExportLogsServiceRequest) -> list[PushStream]:
        self._parts.add(len(request.resource_logs))
        for logs in request.resource_logs:
            labels: dict[str, str] = {}
            metadata: dict[str, str] = {}
            self._of_resource.put(logs.resource.attributes, labels, metadata)
            self._parts.add(len(logs.scope_logs))
            for scope_logs in logs.scope_logs:
                self._add(scope_logs.log_records, labels, metadata | self._scope_metadata(scope_logs.scope))
        return [stream.finished() for stream in self._streams.values()]

    def _scope_metadata(self, scope: otlp_pb2.InstrumentationScope) -> dict[str, str]:
        metadata: dict[str, str] = {}
        self._of_scope.put(scope.attributes, {}, metadata)
        if scope.name:
            metadata["scope_name"] = text_of_bytes(scope.name)
        if scope.version:
            metadata["scope_version"] = text_of_bytes(scope.version)
        if scope.dropped_attributes_count:
            metadata["scope_dropped_attributes_count"] = str(scope.dropped_attributes_count)
        return metadata

    def _add(self, records: Sequence[otlp_pb2.LogRecord], labels: dict[str, str], inherited: dict[str, str]) -> None:
        inherited_length = len(records) * text_length(inherited)
        self._parts.add(len(records) * (1 + len(inherited)))
        self._parts.add_names(inherited, len(records))
        self._parts.add_text(inherited_length + len(records) * text_length(labels))
        self._inherited_length += inherited_length
        if self._inherited_length > _MAX_INHERITED_LENGTH:
            raise PushTooLarge(
                "attributes of resources and scopes, counted once for each of their records, "
                f"are more than {_MAX_INHERITED_LENGTH} characters"
            )
        common: _Stream | None = None  # of the records that add no label of their own
        for record in records:
            own: dict[str, str] = {}
            metadata: dict[str, str] = {}
            self._of_log.put(record.attributes, own, metadata)
            _put_fields(record, metadata)
            if self._severity_text_as_label and record.severity_text:
                own[_SEVERITY_TEXT] = metadata[_SEVERITY_TEXT]
            metadata |= inherited
            if own:
                self._parts.add(len(labels))
                stream = self._stream(labels | own)
            else:
                stream = common = common or self._stream(labels)
            stream.timestamps_ns.append(self._timestamp_ns(record))
            stream.lines.append(value_text(record.body, self._parts))
            stream.metadata.append(metadata)

    def _stream(self, labels: dict[str, str]) -> "_Stream":
        key = labels_of({name: value for name, value in labels.items() if name})
        return self._streams.setdefault(key, _Stream(key, [], [], []))

    def _timestamp_ns(self, record: otlp_pb2.LogRecord) -> int:
        return min(record.time_unix_nano or record.observed_time_unix_nano or self._now_ns, _INT64_MAX)


@dataclass(frozen=True, slots=True)
class _Stream:
    """A PushStream that grows."""

    labels: Labels
    timestamps_ns: list[int]
    lines: list[str]
    metadata: list[dict[str, str]]

    def finished(self) -> PushStream:
        return PushStream(self.labels, self.timestamps_ns, self.lines, self.metadata if any(self.metadata) else None)


def _put_fields(record: otlp_pb2.LogRecord, metadata: dict[str, str]) -> None:
    """What a record says besides its body and attributes; zero and empty mean that it says nothing."""
    if record.time_unix_nano and record.observed_time_unix_nano:
        metadata["observed_timestamp"] = str(record.observed_time_unix_nano)
    if record.severity_number:
        metadata["severity_number"] = str(record.severity_number)
    if record.severity_text:
        metadata[_SEVERITY_TEXT] = text_of_bytes(record.severity_text)
    if record.dropped_attributes_count:
        metadata["dropped_attributes_count"] = str(record.dropped_attributes_count)
    if record.flags:
        metadata["flags"] = str(record.flags)
    if any(record.trace_id):
        metadata["trace_id"] = record.trace_id.hex()
    if any(record.span_id):
        metadata["span_id"] = record.span_id.hex()
    if record.event_name:
        metadata["event_name"] = text_of_bytes(record.event_name)
