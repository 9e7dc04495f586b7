"""The live tail: entries over a websocket as they arrive."""

from dataclasses import dataclass
from typing import Any

import msgspec

from log_aggregator.clock import Clock
from log_aggregator.http import params
from log_aggregator.http.encode import encoding_flags, legacy_streams, streams
from log_aggregator.http.params import InvalidParameter
from log_aggregator.http.server import Call, SocketRoute
from log_aggregator.http.socket import Conversation, Socket
from log_aggregator.model.labels import format_labels
from log_aggregator.model.quantity import format_rfc3339
from log_aggregator.services.live_tail import Frame, LiveTails, TailQuery
from log_aggregator.services.parsing import parsed

_MAX_DELAY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class TailRoutes:
    tails: LiveTails
    clock: Clock

    def routes(self) -> tuple[SocketRoute, ...]:
        return (
            SocketRoute("loki_api_v1_tail", ("/loki/api/v1/tail",), self._tail),
            SocketRoute("api_prom_tail", ("/api/prom/tail",), self._legacy_tail),
        )

    async def _tail(self, call: Call) -> Conversation:
        query, flags = await self._query(call), encoding_flags(call.request.headers)

        async def conversation(socket: Socket) -> None:
            async def send(frame: Frame) -> None:
                await socket.send(_text(frame_json(frame, flags)))

            await self.tails.run(call.tenant, query, send)

        return conversation

    async def _legacy_tail(self, call: Call) -> Conversation:
        query = await self._query(call)

        async def conversation(socket: Socket) -> None:
            async def send(frame: Frame) -> None:
                await socket.send(_text(legacy_frame_json(frame)))

            await self.tails.run(call.tenant, query, send)

        return conversation

    async def _query(self, call: Call) -> TailQuery:
        given = call.params
        expr = await parsed(given.get("query"))
        limit = params.limit(given)
        start_ns = params.bounds(given, self.clock.now_ns()).start_ns
        delay_seconds = params.natural(given.get("delay_for"), "delay_for", 0)
        if delay_seconds > _MAX_DELAY_SECONDS:
            raise InvalidParameter(f"delay_for can't be greater than {_MAX_DELAY_SECONDS}")
        return TailQuery(expr, start_ns, limit, delay_seconds)


def frame_json(frame: Frame, flags: frozenset[str]) -> dict[str, Any]:
    body: dict[str, Any] = {"streams": streams(frame.rows, flags)}
    if frame.dropped:
        body["dropped_entries"] = [
            {"timestamp": str(timestamp_ns), "labels": dict(labels)} for labels, timestamp_ns in frame.dropped
        ]
    if flags:
        body["encodingFlags"] = sorted(flags)
    return body


def legacy_frame_json(frame: Frame) -> dict[str, Any]:
    body: dict[str, Any] = {"streams": legacy_streams(frame.rows)}
    if frame.dropped:
        body["dropped_entries"] = [
            {"Timestamp": format_rfc3339(timestamp_ns), "Labels": format_labels(labels)}
            for labels, timestamp_ns in frame.dropped
        ]
    return body


def _text(body: dict[str, Any]) -> str:
    return msgspec.json.encode(body).decode()
