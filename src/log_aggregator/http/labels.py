"""Routes on labels, their values, and series."""

import asyncio
from dataclasses import dataclass
from typing import Any

from sanic.response import HTTPResponse

from log_aggregator.clock import Clock
from log_aggregator.http import params
from log_aggregator.http.params import Bounds
from log_aggregator.http.query_headers import CallLimits
from log_aggregator.http.respond import json_response, success
from log_aggregator.http.server import Call, Route
from log_aggregator.logql.ast import Matcher
from log_aggregator.logql.parser import parse_selector
from log_aggregator.services.query_limits import MILLISECOND_NS
from log_aggregator.services.tenants_series import TenantsSeries


@dataclass(frozen=True, slots=True)
class LabelRoutes:
    series: TenantsSeries
    limits: CallLimits
    clock: Clock

    def routes(self) -> tuple[Route, ...]:
        values = ("/loki/api/v1/label/<name>/values", "/loki/api/v1/labels/<name>/values")
        return (
            Route.reading("loki_api_v1_labels", self._names, "/loki/api/v1/labels", "/loki/api/v1/label"),
            Route.reading("loki_api_v1_label_name_values", self._values, *values),
            Route.reading("loki_api_v1_series", self._series, "/loki/api/v1/series"),
            Route.reading("api_prom_label", self._names, "/api/prom/label"),
            Route.reading("api_prom_label_name_values", self._values, "/api/prom/label/<name>/values"),
            Route.reading("api_prom_series", self._series, "/api/prom/series"),
        )

    async def _names(self, call: Call) -> HTTPResponse:
        bounds, selector = self._allowed(call, self._bounds(call)), params.optional_selector(call.params)
        if bounds is None:
            return _strings(call, [])
        # For labels, Loki's ranges include their end.
        start_ns, end_ns = bounds.start_ns, bounds.end_ns + 1
        return _strings(call, await self.series.label_names(call.tenant, start_ns, end_ns, selector))

    async def _values(self, call: Call) -> HTTPResponse:
        bounds, selector = self._allowed(call, self._bounds(call)), params.optional_selector(call.params)
        if bounds is None:
            return _strings(call, [])
        name, start_ns, end_ns = call.path["name"], bounds.start_ns, bounds.end_ns + 1
        return _strings(call, await self.series.label_values(call.tenant, name, start_ns, end_ns, selector))

    async def _series(self, call: Call) -> HTTPResponse:
        asked = self._bounds(call)
        texts = sorted({*call.params.all("match"), *call.params.all("match[]")})
        for text in texts:
            parse_selector(text, allow_empty=True)  # Loki looks at the range before it minds what is too broad
        bounds = self._allowed(call, asked)
        if bounds is None:
            return json_response(call.request, success([]))
        # For series, they begin and end at the milliseconds in which their bounds lie.
        start_ns, end_ns = (bound - bound % MILLISECOND_NS for bound in (bounds.start_ns, bounds.end_ns))
        streams = await self.series.series(call.tenant, start_ns, end_ns, _selectors(texts))
        # Of a hundred thousand streams, more than the event loop should wait for.
        return await asyncio.to_thread(lambda: json_response(call.request, success([dict(s) for s in streams])))

    def _bounds(self, call: Call) -> Bounds:
        return params.bounds(call.params, self.clock.now_ns())

    def _allowed(self, call: Call, asked: Bounds) -> Bounds | None:
        return params.allowed(asked, self.limits(call), self.clock.now_ns())


def _selectors(texts: list[str]) -> list[tuple[Matcher, ...]]:
    """`{}` stands for every stream only when it is alone."""
    return [params.selector(texts[0])] if len(texts) == 1 else [parse_selector(text) for text in texts]


def _strings(call: Call, found: list[str]) -> HTTPResponse:
    """Without `data` when nothing was found, as Loki answers."""
    body: dict[str, Any] = success(found) if found else {"status": "success"}
    return json_response(call.request, body)
