"""Routes on how much there is: statistics and volumes from the index."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from sanic.response import HTTPResponse

from log_aggregator.clock import Clock
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.http import params
from log_aggregator.http.encode import json_seconds
from log_aggregator.http.params import Bounds, InvalidParameter, Params
from log_aggregator.http.query_headers import CallLimits
from log_aggregator.http.respond import json_response, success
from log_aggregator.http.server import Call, Route
from log_aggregator.logql.ast import Matcher
from log_aggregator.logql.parser import parse_selector
from log_aggregator.services.extents import Answer, Extents, StreamExtents
from log_aggregator.services.index_stats import IndexStats, index_stats, together
from log_aggregator.services.query_limits import MILLISECOND_NS, check_span, seen_start
from log_aggregator.services.volume import (
    AggregateBy,
    SteppedVolume,
    VolumeQuery,
    stepped_volumes,
    steps_together,
    total_volumes,
    volumes_together,
)

_DEFAULT_LIMIT = 100
_AGGREGATIONS: dict[str, AggregateBy] = {"": "series", "series": "series", "labels": "labels"}


class VolumeDisabled(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.NOT_FOUND

    def __init__(self) -> None:
        super().__init__("not found")


@dataclass(frozen=True, slots=True)
class IndexRoutes:
    extents: StreamExtents
    limits: CallLimits
    clock: Clock

    def routes(self) -> tuple[Route, ...]:
        return (
            Route.reading("loki_api_v1_index_stats", self._stats, "/loki/api/v1/index/stats"),
            Route.reading("loki_api_v1_index_volume", self._volume, "/loki/api/v1/index/volume"),
            Route.reading("loki_api_v1_index_volume_range", self._volume_range, "/loki/api/v1/index/volume_range"),
        )

    async def _stats(self, call: Call) -> HTTPResponse:
        now_ns = self.clock.now_ns()
        bounds = params.allowed(params.ranged(call.params, now_ns).bounds, self.limits(call), now_ns)
        selector = parse_selector(call.params.get("query"))
        found = together(() if bounds is None else await self._ask_stats(call.tenant, bounds, selector))
        return json_response(
            call.request,
            {"streams": found.streams, "chunks": found.chunks, "bytes": found.text_bytes, "entries": found.entries},
        )

    async def _ask_stats(self, tenant: str, bounds: Bounds, selector: Sequence[Matcher]) -> list[IndexStats]:
        start_ns, end_ns = bounds.start_ns, bounds.end_ns
        return await self.extents.ask_each(
            tenant, start_ns, end_ns, selector, lambda own, extents: index_stats(extents, start_ns, end_ns, own)
        )

    async def _volume(self, call: Call) -> HTTPResponse:
        given, now_ns = call.params, self.clock.now_ns()
        limit = _limit(given)
        params.instant(given, now_ns)  # means nothing, as does the direction, but a wrong one is refused
        params.direction(given)
        aggregate_by = _aggregate_by(given)
        query = self._volume_query(call, params.ordered_bounds(given, now_ns), limit, aggregate_by)
        if query is None:
            return json_response(call.request, success({"resultType": "vector", "result": []}))
        end = json_seconds(query.end_ns)
        volumes = volumes_together(await self._ask(call, query, total_volumes), query.limit)
        result = [{"metric": dict(one.labels), "value": [end, str(one.text_bytes)]} for one in volumes]
        return json_response(call.request, success({"resultType": "vector", "result": result}))

    async def _volume_range(self, call: Call) -> HTTPResponse:
        asked = params.ranged(call.params, self.clock.now_ns(), _limit)
        query = self._volume_query(call, asked.bounds, asked.limit, _aggregate_by(call.params), asked.step_ns)
        if query is None:
            return json_response(call.request, success({"resultType": "vector", "result": []}))
        bounds, step_ns = Bounds(query.start_ns, query.end_ns), asked.step_ns
        found = await self._ask(call, query, lambda extents, own: stepped_volumes(extents, own, step_ns))
        volumes = steps_together(found, query.limit)
        return json_response(call.request, success(_stepped(volumes, bounds, step_ns)))

    async def _ask(
        self, call: Call, query: VolumeQuery, question: Callable[[Extents, VolumeQuery], Answer]
    ) -> list[Answer]:
        return await self.extents.ask_each(
            call.tenant,
            query.start_ns,
            query.end_ns,
            query.selector,
            lambda own, extents: question(extents, replace(query, selector=own)),
        )

    def _volume_query(
        self, call: Call, asked: Bounds, limit: int, aggregate_by: AggregateBy, step_ns: int = 0
    ) -> VolumeQuery | None:
        """None where `max_query_lookback` leaves nothing of the range. Steps are limited each: the whole range may be
        longer than a tenant may ask for.
        """
        limits, given = self.limits(call), call.params
        if not limits.volume_enabled:
            raise VolumeDisabled
        start_ns = seen_start(asked.start_ns, asked.end_ns, self.clock.now_ns(), limits)
        if start_ns is None:
            return None
        first_ns = max(start_ns, asked.end_ns - step_ns) if step_ns else start_ns
        check_span(first_ns, asked.end_ns, limits, params.SECOND_NS)
        text, names = given.get("query"), given.get("targetLabels")
        return VolumeQuery(
            start_ns,
            -(-asked.end_ns // MILLISECOND_NS) * MILLISECOND_NS,
            () if text == "{}" else parse_selector(text),
            list(dict.fromkeys(names.split(","))) if names else [],
            aggregate_by,
            limit,
            limits.volume_max_series,
        )


def _limit(given: Params) -> int:
    """Here, unlike in queries, 0 is the default."""
    text = given.get("limit")
    is_default = text and params.integer(text) == 0
    return params.positive("" if is_default else text, "limit", _DEFAULT_LIMIT)


def _aggregate_by(given: Params) -> AggregateBy:
    text = given.get("aggregateBy")
    if text not in _AGGREGATIONS:
        raise InvalidParameter("invalid aggregation option")
    return _AGGREGATIONS[text]


def _stepped(volumes: Sequence[SteppedVolume], bounds: Bounds, step_ns: int) -> dict[str, Any]:
    """A matrix; but where no series has more than one sample, Loki answers with a vector."""
    series = [_series(volume, bounds, step_ns) for volume in volumes]
    if any(len(one["values"]) > 1 for one in series):
        return {"resultType": "matrix", "result": series}
    vector = [{"metric": one["metric"], "value": value} for one in series for value in one["values"]]
    return {"resultType": "vector", "result": vector}


def _series(volume: SteppedVolume, bounds: Bounds, step_ns: int) -> dict[str, Any]:
    """Samples stand at the last millisecond of their step, the last one at the end of the range."""
    first, last = bounds.start_ns // step_ns, (bounds.end_ns - 1) // step_ns
    values = [
        [
            json_seconds(bounds.end_ns if first + step == last else (first + step + 1) * step_ns - 1),
            str(text_bytes),
        ]
        for step, text_bytes in volume.steps
    ]
    return {"metric": dict(volume.labels), "values": values}
