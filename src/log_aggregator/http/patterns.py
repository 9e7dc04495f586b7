"""The route on patterns of log lines. Without `pattern_ingester.enabled` it does not exist, as in Loki."""

from dataclasses import dataclass
from typing import Any

from sanic.response import HTTPResponse

from log_aggregator.clock import Clock
from log_aggregator.http import params
from log_aggregator.http.query_headers import CallLimits
from log_aggregator.http.respond import json_response, success
from log_aggregator.http.server import Call, Route
from log_aggregator.logql.parser import parse_selector
from log_aggregator.services.patterns import PatternQueries, PatternSeries
from log_aggregator.services.query_limits import check_matchers


@dataclass(frozen=True, slots=True)
class PatternRoutes:
    patterns: PatternQueries
    limits: CallLimits
    clock: Clock

    def routes(self) -> tuple[Route, ...]:
        return (Route.reading("loki_api_v1_patterns", self._patterns, "/loki/api/v1/patterns"),)

    async def _patterns(self, call: Call) -> HTTPResponse:
        given = call.params
        limits, now_ns = self.limits(call), self.clock.now_ns()
        asked = params.bounds(given, now_ns)
        step_ns = params.step(given, asked)
        selector = parse_selector(given.get("query"))
        check_matchers(selector, limits)
        # Here, unlike elsewhere, a range that ends before it starts is an empty one.
        bounds = params.allowed(asked, limits, now_ns) if asked.start_ns < asked.end_ns else None
        if bounds is None:
            return json_response(call.request, success([]))
        found = await self.patterns.run(call.tenant, bounds.start_ns, bounds.end_ns, step_ns, selector, limits)
        return json_response(call.request, success([_series(one) for one in found]))


def _series(found: PatternSeries) -> dict[str, Any]:
    level = {"level": found.level} if found.level else {}
    samples = [(time_ns // params.SECOND_NS, count) for time_ns, count in found.samples]
    return {"pattern": found.pattern, **level, "samples": samples}
