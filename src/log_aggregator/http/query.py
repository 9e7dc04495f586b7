"""The query routes."""

import time
from dataclasses import dataclass

from sanic.response import HTTPResponse

from log_aggregator.clock import Clock
from log_aggregator.http import params
from log_aggregator.http.encode import answer_data, encoding_flags
from log_aggregator.http.query_headers import query_context
from log_aggregator.http.query_log import QueryLog, Watched
from log_aggregator.http.respond import json_response, success
from log_aggregator.http.server import Call, Handler, Route
from log_aggregator.services.queries import Answer, InstantQuery, Queries, RangeQuery


@dataclass(frozen=True, slots=True)
class QueryRoutes:
    """With `own_limits`, a request may set itself limits."""

    queries: Queries
    log: QueryLog
    clock: Clock
    own_limits: bool

    def routes(self) -> tuple[Route, ...]:
        return (
            self._route("loki_api_v1_query", "/loki/api/v1/query", self._instant),
            self._route("loki_api_v1_query_range", "/loki/api/v1/query_range", self._range),
        )

    def _route(self, name: str, path: str, handler: Handler) -> Route:
        return Route(name, (path,), ("GET", "POST"), handler, several_tenants=True, is_query=True)

    async def _range(self, call: Call) -> HTTPResponse:
        begun = time.perf_counter()
        given = call.params
        context = query_context(call.request.headers, own_limits=self.own_limits)
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
        watched = Watched(
            call.tenant, query.text, "range", context, query.start_ns, query.end_ns, query.step_ns, query.limit
        )
        with self.log.watching(watched):
            watched.answer = await self.queries.range(call.tenant, query, context)
        return self._answer(call, watched.answer, begun)

    async def _instant(self, call: Call) -> HTTPResponse:
        begun = time.perf_counter()
        given = call.params
        context = query_context(call.request.headers, own_limits=self.own_limits)
        query = InstantQuery(
            given.get("query"), params.instant(given, self.clock.now_ns()), params.limit(given), params.direction(given)
        )
        watched = Watched(call.tenant, query.text, "instant", context, query.time_ns, query.time_ns, 0, query.limit)
        with self.log.watching(watched):
            watched.answer = await self.queries.instant(call.tenant, query, context)
        return self._answer(call, watched.answer, begun)

    def _answer(self, call: Call, answer: Answer, begun: float) -> HTTPResponse:
        flags = encoding_flags(call.request.headers)
        return json_response(call.request, success(answer_data(answer, flags, time.perf_counter() - begun)))
