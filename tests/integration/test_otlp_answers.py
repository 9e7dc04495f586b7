"""What the OpenTelemetry route answers, in the encoding of the request."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from log_aggregator.formats import otlp_pb2
from servers import LogAggregator, RedisServer

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
OLD_NS = 1_000_000_000
TOO_OLD = "has timestamp too old: 1970-01-01T00:00:01Z"
NO_STREAM = "error at least one valid stream is required for ingestion"


@pytest.fixture(scope="module")
def server() -> Iterator[LogAggregator]:
    with LogAggregator() as server:
        yield server


def request(*times_ns: int) -> ExportLogsServiceRequest:
    message = ExportLogsServiceRequest()
    records = message.resource_logs.add().scope_logs.add().log_records
    for time_ns in times_ns:
        records.add(time_unix_nano=time_ns).body.string_value = "x"
    return message


def request_json(*times_ns: int) -> bytes:
    records = [{"timeUnixNano": str(time_ns), "body": {"stringValue": "x"}} for time_ns in times_ns]
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()


def export(server: LogAggregator, body: bytes, content_type: str, **headers: str) -> httpx.Response:
    headers |= {"Content-Type": content_type}
    answer = httpx.post(f"{server.url}/otlp/v1/logs", content=body, headers=headers, timeout=30)
    if content_type in (JSON, PROTOBUF):
        assert answer.headers["content-type"] == content_type
    return answer


def status_of(answer: httpx.Response) -> tuple[int, int, str]:
    status = otlp_pb2.Status.FromString(answer.content)
    return answer.status_code, status.code, status.message


def test_success_is_an_empty_response(server: LogAggregator) -> None:
    answer = export(server, request(time.time_ns()).SerializeToString(), PROTOBUF)
    assert (answer.status_code, answer.content) == (200, b"")
    answer = export(server, request_json(time.time_ns()), JSON)
    assert (answer.status_code, answer.json()) == (200, {})


def test_records_that_are_refused_beside_others_are_a_partial_success(server: LogAggregator) -> None:
    answer = export(server, request(time.time_ns(), OLD_NS, OLD_NS).SerializeToString(), PROTOBUF)
    partial: ExportLogsPartialSuccess = ExportLogsServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partial.rejected_log_records) == (200, 2)
    assert TOO_OLD in partial.error_message
    answer = export(server, request_json(time.time_ns(), OLD_NS), JSON)
    assert (answer.status_code, answer.json()["partialSuccess"]["rejectedLogRecords"]) == (200, "1")


def test_a_request_of_which_nothing_is_stored_fails(server: LogAggregator) -> None:
    status, code, message = status_of(export(server, request(OLD_NS).SerializeToString(), PROTOBUF))
    assert (status, code) == (400, 3)
    assert TOO_OLD in message
    answer = export(server, request_json(OLD_NS), JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert TOO_OLD in answer.json()["message"]


def test_a_request_without_records_is_unprocessable(server: LogAggregator) -> None:
    assert status_of(export(server, b"", PROTOBUF)) == (422, 3, NO_STREAM)
    answer = export(server, b"{}", JSON)
    assert (answer.status_code, answer.json()) == (422, {"code": 3, "message": NO_STREAM})


def test_broken_requests_are_told_why(server: LogAggregator) -> None:
    status, code, message = status_of(export(server, b"\xff", PROTOBUF))
    assert (status, code) == (400, 3)
    assert message.startswith("protobuf: the body is not a logs request")
    assert status_of(export(server, b"x", "text/plain")) == (400, 3, "content type: text/plain is not supported")
    answer = export(server, request_json(time.time_ns()), JSON, **{"Content-Encoding": "br"})
    assert answer.json() == {"code": 3, "message": 'Content-Encoding "br" not supported'}


def test_a_quota_that_is_used_up_says_when_to_come_back() -> None:
    with LogAggregator(
        "-limits-config.ingestion-rate-mb=0.00001", "-limits-config.ingestion-burst-size-mb=0.00001"
    ) as server:
        status, code, message = status_of(
            answer := export(server, request(time.time_ns()).SerializeToString() * 20, PROTOBUF)
        )
    assert (status, code, answer.headers["retry-after"]) == (429, 8, "1")
    assert message.startswith("ingestion rate limit exceeded for user fake")


def test_a_missing_tenant_is_unauthenticated() -> None:
    with LogAggregator("-auth.enabled=true") as server:
        assert status_of(export(server, request(time.time_ns()).SerializeToString(), PROTOBUF)) == (
            401,
            16,
            "no org id",
        )


def test_a_log_that_cannot_be_written_says_to_come_back() -> None:
    with RedisServer() as redis, LogAggregator(f"-redis.url={redis.url}") as server:
        redis.kill()
        answer = export(server, request(time.time_ns()).SerializeToString(), PROTOBUF)
        status, code, _ = status_of(answer)
    assert (status, code, answer.headers["retry-after"]) == (503, 14, "1")


CONFIG = """
distributor:
  otlp_config:
    default_resource_attributes_as_index_labels: [env]
limits_config:
  otlp_config:
    severity_text_as_label: true
    resource_attributes:
      attributes_config:
        - action: index_label
          regex: team.*
    log_attributes:
      - action: drop
        attributes: [secret]
"""


def test_the_configuration_says_where_attributes_go() -> None:
    message = request(time.time_ns())
    logs = message.resource_logs[0]
    for name, value in (("team.name", "a"), ("env", "e"), ("k8s.pod.name", "p")):
        logs.resource.attributes.add(key=name).value.string_value = value
    record = logs.scope_logs[0].log_records[0]
    record.severity_text = "INFO"
    record.attributes.add(key="secret").value.string_value = "s"
    with LogAggregator(config=CONFIG) as server:
        export(server, message.SerializeToString(), PROTOBUF)
        series = httpx.get(f"{server.url}/loki/api/v1/series", params={"match[]": '{team_name="a"}'}).json()["data"]
        found = httpx.get(f"{server.url}/loki/api/v1/query_range", params={"query": '{team_name="a"}'}).json()
    labels = {"team_name": "a", "env": "e", "severity_text": "INFO", "service_name": "unknown_service"}
    assert series == [labels]
    (stream,) = found["data"]["result"]
    assert stream["stream"] == {
        **labels,
        "severity_text_extracted": "INFO",
        "detected_level": "info",
        "k8s_pod_name": "p",
    }
