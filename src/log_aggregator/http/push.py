"""The push routes."""

from dataclasses import dataclass

from sanic.response import HTTPResponse, empty

from log_aggregator.formats.parts import Parts
from log_aggregator.formats.push import decode_push, decode_streams
from log_aggregator.http.errors import error_line
from log_aggregator.http.server import Call, Route
from log_aggregator.model.push import Push, PushStream
from log_aggregator.services.distributor import Distributor, Format, PushBody
from log_aggregator.services.validation import IngestionBlocked


@dataclass(frozen=True, slots=True)
class PushRoutes:
    distributor: Distributor

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("loki_api_v1_push", ("/loki/api/v1/push",), ("POST",), self._push, is_push=True),
            Route("api_prom_push", ("/api/prom/push",), ("POST",), self._legacy_push, is_push=True),
        )

    async def _push(self, call: Call) -> HTTPResponse:
        return await self._store(call, legacy=False)

    async def _legacy_push(self, call: Call) -> HTTPResponse:
        return await self._store(call, legacy=True)

    async def _store(self, call: Call, *, legacy: bool) -> HTTPResponse:
        headers, body = call.request.headers, call.request.body
        content_type = headers.get("content-type")
        sent = body, content_type, headers.get("content-encoding")

        def decode(max_decompressed_bytes: int) -> Push:
            return decode_push(*sent, legacy=legacy, max_decompressed_bytes=max_decompressed_bytes)

        def streams(max_decompressed_bytes: int, parts: Parts) -> list[PushStream]:
            return decode_streams(*sent, legacy=legacy, max_decompressed_bytes=max_decompressed_bytes, parts=parts)

        form: Format = "json" if content_type and "json" in content_type else "protobuf"
        try:
            await self.distributor.push(call.tenant, PushBody(len(body), decode, streams), form)
        except IngestionBlocked as error:
            return error_line(str(error), error.status)
        return empty(204)
