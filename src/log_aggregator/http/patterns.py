"""The route on patterns of log lines. Without `pattern_ingester.enabled` it does not exist, as in Loki."""

from dataclasses import dataclass
from typing import Any

from sanic.response import HTTPResponse

from log_aggregator.clock import Clock
from log_aggregator.http import params
from log_aggregator.http.respond import json_response, success
from log_aggregator.http.server import Call, Route
from log_aggregator.logql.parser import parse_selector
from log_aggregator.services.patterns import PatternQueries, PatternSeries


@dataclass(frozen=True, slots=True)
class PatternRoutes:
    patterns: PatternQueries
    clock: Clock

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("loki_api_v1_patterns", ("/loki/api/v1/patterns",), ("GET", "POST"), self._patterns, partial=True),
        )

    async def _patterns(self, call: Call) -> HTTPResponse:
        given = call.params
        bounds = params.bounds(given, self.clock.now_ns())
        step_ns = params.step(given, bounds)
        selector = parse_selector(given.get("query"))
        found = await self.patterns.run(call.tenant, bounds.start_ns, bounds.end_ns, step_ns, selector)
        return json_response(call.request, success([_series(one) for one in found]))


def _series(found: PatternSeries) -> dict[str, Any]:
    level = {"level": found.level} if found.level else {}
    samples = [(time_ns // params.SECOND_NS, count) for time_ns, count in found.samples]
    return {"pattern": found.pattern, **level, "samples": samples}
