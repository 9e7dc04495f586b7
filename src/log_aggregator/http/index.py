"""Routes on how much there is: statistics and volumes from the index."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from sanic.response import HTTPResponse

from log_aggregator.clock import Clock
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.http import params
from log_aggregator.http.params import Bounds, InvalidParameter
from log_aggregator.http.respond import json_response, success
from log_aggregator.http.server import Call, Route
from log_aggregator.logql.parser import parse_selector
from log_aggregator.model.limits import Limits
from log_aggregator.services.extents import Answer, Extents, StreamExtents
from log_aggregator.services.index_stats import index_stats
from log_aggregator.services.query_limits import check_resolution
from log_aggregator.services.volume import AggregateBy, SteppedVolume, VolumeQuery, stepped_volumes, total_volumes

_DEFAULT_LIMIT = 100
_MILLISECOND_NS = 1_000_000
_AGGREGATIONS: dict[str, AggregateBy] = {"": "series", "series": "series", "labels": "labels"}


class VolumeDisabled(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.NOT_FOUND

    def __init__(self) -> None:
        super().__init__("not found")


@dataclass(frozen=True, slots=True)
class IndexRoutes:
    extents: StreamExtents
    limits_of: Callable[[str], Limits]
    clock: Clock

    def routes(self) -> tuple[Route, ...]:
        methods = ("GET", "POST")
        return (
            Route("loki_api_v1_index_stats", ("/loki/api/v1/index/stats",), methods, self._stats, partial=True),
            Route("loki_api_v1_index_volume", ("/loki/api/v1/index/volume",), methods, self._volume, partial=True),
            Route(
                "loki_api_v1_index_volume_range",
                ("/loki/api/v1/index/volume_range",),
                methods,
                self._volume_range,
                partial=True,
            ),
        )

    async def _stats(self, call: Call) -> HTTPResponse:
        bounds, selector = self._bounds(call), parse_selector(call.params.get("query"))
        found = await self.extents.ask(
            call.tenant,
            bounds.start_ns,
            bounds.end_ns,
            lambda extents: index_stats(extents, bounds.start_ns, bounds.end_ns, selector),
        )
        return json_response(
            call.request,
            {"streams": found.streams, "chunks": found.chunks, "bytes": found.text_bytes, "entries": found.entries},
        )

    async def _volume(self, call: Call) -> HTTPResponse:
        query = self._volume_query(call, self._bounds(call))
        end = _seconds(query.end_ns // _MILLISECOND_NS)
        volumes = await self._ask(call, query, lambda extents: total_volumes(extents, query))
        result = [{"metric": dict(one.labels), "value": [end, str(one.text_bytes)]} for one in volumes]
        return json_response(call.request, success({"resultType": "vector", "result": result}))

    async def _volume_range(self, call: Call) -> HTTPResponse:
        bounds = self._bounds(call)
        step_ns = params.step(call.params, bounds)
        check_resolution(bounds.start_ns, bounds.end_ns, step_ns)
        query = self._volume_query(call, bounds)
        volumes = await self._ask(call, query, lambda extents: stepped_volumes(extents, query, step_ns))
        result = [_series(volume, bounds, step_ns) for volume in volumes]
        # Loki calls nothing a vector.
        kind = "matrix" if result else "vector"
        return json_response(call.request, success({"resultType": kind, "result": result}))

    async def _ask(self, call: Call, query: VolumeQuery, question: Callable[[Extents], Answer]) -> Answer:
        return await self.extents.ask(call.tenant, query.start_ns, query.end_ns, question)

    def _bounds(self, call: Call) -> Bounds:
        return params.allowed_bounds(call.params, self.limits_of(call.tenant), self.clock.now_ns())

    def _volume_query(self, call: Call, bounds: Bounds) -> VolumeQuery:
        limits, given = self.limits_of(call.tenant), call.params
        if not limits.volume_enabled:
            raise VolumeDisabled
        aggregate_by = given.get("aggregateBy")
        if aggregate_by not in _AGGREGATIONS:
            raise InvalidParameter("invalid aggregation option")
        return VolumeQuery(
            bounds.start_ns,
            bounds.end_ns,
            params.selector(given.get("query")),
            [name for name in given.get("targetLabels").split(",") if name],
            _AGGREGATIONS[aggregate_by],
            _limit(given.get("limit")),
            limits.volume_max_series,
        )


def _limit(text: str) -> int:
    """Here, unlike in queries, 0 is the default."""
    value = params.integer(text) if text else 0
    if value < 0:
        raise InvalidParameter("limit must be a positive value")
    return value or _DEFAULT_LIMIT


def _series(volume: SteppedVolume, bounds: Bounds, step_ns: int) -> dict[str, Any]:
    """Samples stand at the last millisecond of their step, the last one at the end of the range."""
    first, last = bounds.start_ns // step_ns, (bounds.end_ns - 1) // step_ns
    ends_ms = (
        (bounds.end_ns if first + step == last else (first + step + 1) * step_ns - 1) // _MILLISECOND_NS
        for step, _ in volume.steps
    )
    values = [
        [_seconds(end_ms), str(text_bytes)] for end_ms, (_, text_bytes) in zip(ends_ms, volume.steps, strict=True)
    ]
    return {"metric": dict(volume.labels), "values": values}


def _seconds(milliseconds: int) -> int | float:
    return milliseconds / 1000 if milliseconds % 1000 else milliseconds // 1000
