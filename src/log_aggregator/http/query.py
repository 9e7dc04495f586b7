"""The query routes."""

import time
from dataclasses import dataclass

from sanic.response import HTTPResponse

from log_aggregator.clock import Clock
from log_aggregator.http import params
from log_aggregator.http.encode import answer_data, encoding_flags
from log_aggregator.http.respond import json_response, success
from log_aggregator.http.server import Call, Route
from log_aggregator.services.queries import Answer, InstantQuery, Queries, RangeQuery


@dataclass(frozen=True, slots=True)
class QueryRoutes:
    queries: Queries
    clock: Clock

    def routes(self) -> tuple[Route, ...]:
        methods = ("GET", "POST")
        return (
            Route("loki_api_v1_query", ("/loki/api/v1/query",), methods, self._instant, is_query=True),
            Route("loki_api_v1_query_range", ("/loki/api/v1/query_range",), methods, self._range, is_query=True),
        )

    async def _range(self, call: Call) -> HTTPResponse:
        begun = time.perf_counter()
        given = call.params
        bounds = params.ordered_bounds(given, self.clock.now_ns())
        query = RangeQuery(
            given.get("query"),
            bounds.start_ns,
            bounds.end_ns,
            params.step(given, bounds),
            params.limit(given),
            params.direction(given),
            params.interval(given),
        )
        return self._answer(call, await self.queries.range(call.tenant, query), begun)

    async def _instant(self, call: Call) -> HTTPResponse:
        begun = time.perf_counter()
        given = call.params
        query = InstantQuery(
            given.get("query"), params.instant(given, self.clock.now_ns()), params.limit(given), params.direction(given)
        )
        return self._answer(call, await self.queries.instant(call.tenant, query), begun)

    def _answer(self, call: Call, answer: Answer, begun: float) -> HTTPResponse:
        flags = encoding_flags(call.request.headers)
        return json_response(call.request, success(answer_data(answer, flags, time.perf_counter() - begun)))
