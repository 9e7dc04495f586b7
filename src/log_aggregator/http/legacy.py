"""The query route of Loki before its first release, which some old clients still ask."""

import time
from dataclasses import dataclass

from sanic.response import HTTPResponse

from log_aggregator.clock import Clock
from log_aggregator.http import params
from log_aggregator.http.encode import legacy_streams, statistics_data
from log_aggregator.http.params import InvalidParameter
from log_aggregator.http.query_headers import CallLimits
from log_aggregator.http.respond import json_response
from log_aggregator.http.server import Call, Route
from log_aggregator.logql.ast import LogExpr
from log_aggregator.model.labels import quote
from log_aggregator.services.parsing import parsed
from log_aggregator.services.queries import Queries, RangeQuery, Streams


@dataclass(frozen=True, slots=True)
class LegacyQueryRoutes:
    queries: Queries
    clock: Clock
    limits: CallLimits

    def routes(self) -> tuple[Route, ...]:
        route = Route(
            "api_prom_query",
            ("/api/prom/query",),
            ("GET", "POST"),
            self._query,
            several_tenants=True,
            is_query=True,
            partial=True,
        )
        return (route,)

    async def _query(self, call: Call) -> HTTPResponse:
        begun = time.perf_counter()
        given, context = call.params, self.limits.context(call)
        asked = params.ranged(given, self.clock.now_ns())
        text = given.get("query")
        if not isinstance(await parsed(text), LogExpr):
            raise InvalidParameter("legacy endpoints only support streams result type")
        if regexp := given.get("regexp"):
            text += f"\n|~ {quote(regexp)}"  # on a line of its own: the query may end in a comment
        query = RangeQuery(
            text,
            asked.bounds.start_ns,
            asked.bounds.end_ns,
            asked.step_ns,
            asked.limit,
            asked.direction,
            interval_ns=0,
        )
        answer = await self.queries.range(call.tenant, query, context)
        assert isinstance(answer, Streams)
        stats = statistics_data(answer.statistics, time.perf_counter() - begun, len(answer.rows))
        return json_response(call.request, {"streams": legacy_streams(answer.rows), "stats": stats})
