"""The OpenTelemetry logs route, with answers in the encoding of the request.

Source: the OTLP specification, OTLP/HTTP response; where Loki differs: a request without records is 422.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from sanic import Request
from sanic.response import HTTPResponse, raw

from log_aggregator.clock import Clock
from log_aggregator.formats import otlp_pb2
from log_aggregator.formats.otlp import decode_otlp, is_json
from log_aggregator.formats.parts import Parts
from log_aggregator.http.errors import RETRY_AFTER_SECONDS
from log_aggregator.http.server import Call, Route
from log_aggregator.model.otlp import OtlpSettings
from log_aggregator.model.push import Push, PushStream
from log_aggregator.services.distributor import Distributor, PushBody, PushRejected
from log_aggregator.services.validation import IngestionBlocked

_UNKNOWN: Final = 2
_GRPC_CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 413: 8, 422: 3, 429: 8, 503: 14, 504: 4}
"""google.rpc.Code by HTTP status."""


@dataclass(frozen=True, slots=True)
class OtlpRoutes:
    distributor: Distributor
    clock: Clock
    otlp_of: Callable[[str], OtlpSettings]
    """The settings of a tenant."""
    index_labels: tuple[str, ...]

    def routes(self) -> tuple[Route, ...]:
        # Loki serves the first path. The second is what exporters make of an endpoint that is only host and port.
        paths = ("/otlp/v1/logs", "/v1/logs")
        return (Route("otlp_v1_logs", paths, ("POST",), self._export, is_push=True, error=status_answer),)

    async def _export(self, call: Call) -> HTTPResponse:
        headers, body = call.request.headers, call.request.body
        settings, now_ns = self.otlp_of(call.tenant), self.clock.now_ns()

        def streams(max_decompressed_bytes: int, parts: Parts) -> list[PushStream]:
            return decode_otlp(
                body,
                headers.get("content-type"),
                headers.get("content-encoding"),
                settings=settings,
                index_labels=self.index_labels,
                now_ns=now_ns,
                max_decompressed_bytes=max_decompressed_bytes,
                parts=parts,
            )

        def decode(max_decompressed_bytes: int) -> Push:
            return Push.of(streams(max_decompressed_bytes, Parts(0)))

        try:
            await self.distributor.push(call.tenant, PushBody(len(body), decode, streams), "otlp")
        except PushRejected as error:
            # Nothing is sent again for either answer, but only this one says how many records were stored.
            if not error.stored_lines:
                raise
            return _export_answer(call.request, 200, error.refused_lines, error.told)
        except IngestionBlocked as error:
            if error.status >= 300:
                return status_answer(call.request, str(error), error.status)
            return _export_answer(call.request, error.status, error.lines, str(error))
        return _export_answer(call.request, 200)


def status_answer(request: Request, message: str, status: int) -> HTTPResponse:
    """google.rpc.Status. Exporters drop what was answered 500 and retry a 503, so a failure of ours is a 503."""
    status = 503 if status == 500 else status
    code = _GRPC_CODES.get(status, _UNKNOWN)
    retry = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status in (429, 503) else {}
    if is_json(request.headers.get("content-type")):
        return _json(status, {"code": code, "message": message}, retry)
    return _protobuf(status, otlp_pb2.Status(code=code, message=message).SerializeToString(), retry)


def _export_answer(request: Request, status: int, rejected_records: int = 0, message: str = "") -> HTTPResponse:
    """ExportLogsServiceResponse; empty if nothing was rejected."""
    if is_json(request.headers.get("content-type")):
        partial = {"rejectedLogRecords": str(rejected_records), "errorMessage": message}
        return _json(status, {"partialSuccess": partial} if rejected_records else {}, {})
    response = otlp_pb2.ExportLogsServiceResponse()
    if rejected_records:
        response.partial_success.rejected_log_records = rejected_records
        response.partial_success.error_message = message
    return _protobuf(status, response.SerializeToString(), {})


def _json(status: int, body: object, headers: dict[str, str]) -> HTTPResponse:
    return raw(msgspec.json.encode(body), status=status, headers=headers, content_type="application/json")


def _protobuf(status: int, body: bytes, headers: dict[str, str]) -> HTTPResponse:
    return raw(body, status=status, headers=headers, content_type="application/x-protobuf")
