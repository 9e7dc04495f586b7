"""The push routes."""

import asyncio
from dataclasses import dataclass

from sanic.response import HTTPResponse, empty

from log_aggregator.formats.push import PushStream, decode_push
from log_aggregator.http.errors import error_response
from log_aggregator.http.server import Call, Route
from log_aggregator.services.distributor import Distributor, Format
from log_aggregator.services.validation import IngestionBlocked

# Smaller bodies are decoded faster than a thread is woken.
_DECODE_INLINE_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class PushRoutes:
    distributor: Distributor
    max_decompressed_bytes: int

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("loki_api_v1_push", ("/loki/api/v1/push",), ("POST",), self._push),
            Route("api_prom_push", ("/api/prom/push",), ("POST",), self._legacy_push),
        )

    async def _push(self, call: Call) -> HTTPResponse:
        return await self._store(call, legacy=False)

    async def _legacy_push(self, call: Call) -> HTTPResponse:
        return await self._store(call, legacy=True)

    async def _store(self, call: Call, *, legacy: bool) -> HTTPResponse:
        headers, body = call.request.headers, call.request.body
        content_type = headers.get("content-type")

        def decode() -> list[PushStream]:
            return decode_push(
                body,
                content_type,
                headers.get("content-encoding"),
                legacy=legacy,
                max_decompressed_bytes=self.max_decompressed_bytes,
            )

        streams = decode() if len(body) < _DECODE_INLINE_BYTES else await asyncio.to_thread(decode)
        form: Format = "json" if content_type and "json" in content_type else "protobuf"
        try:
            await self.distributor.push(call.tenant, streams, form)
        except IngestionBlocked as error:
            return error_response(str(error), error.status)
        return empty(204)
