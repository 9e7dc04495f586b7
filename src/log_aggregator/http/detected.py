"""Routes on what was found out about a tenant's logs: labels, fields and their values."""

from dataclasses import dataclass
from typing import Any

from sanic.response import HTTPResponse

from log_aggregator.clock import Clock
from log_aggregator.engine.field_detection import DetectedField
from log_aggregator.http import params
from log_aggregator.http.query_headers import CallLimits
from log_aggregator.http.respond import json_response
from log_aggregator.http.server import Call, Route
from log_aggregator.services.detection import Detection, FieldQuery

_DEFAULT_LINES = 100
_DEFAULT_FIELDS = 1000


@dataclass(frozen=True, slots=True)
class DetectedRoutes:
    detection: Detection
    limits: CallLimits
    clock: Clock

    def routes(self) -> tuple[Route, ...]:
        values = "/loki/api/v1/detected_field/<name>/values"
        return (
            Route.reading("loki_api_v1_detected_labels", self._labels, "/loki/api/v1/detected_labels"),
            Route.reading("loki_api_v1_detected_fields", self._fields, "/loki/api/v1/detected_fields"),
            Route.reading("loki_api_v1_detected_field_name_values", self._values, values),
        )

    async def _labels(self, call: Call) -> HTTPResponse:
        now_ns = self.clock.now_ns()
        bounds = params.allowed(params.ordered_bounds(call.params, now_ns), self.limits(call), now_ns)
        selector = params.optional_selector(call.params)
        if bounds is None:
            return json_response(call.request, {})
        found = await self.detection.labels(call.tenant, bounds.start_ns, bounds.end_ns + 1, selector)
        labels = [{"label": name, "cardinality": count} for name, count in sorted(found.items())]
        return json_response(call.request, {"detectedLabels": labels} if labels else {})

    async def _fields(self, call: Call) -> HTTPResponse:
        query = self._query(call)
        found = await self.detection.fields(call.tenant, query, self.limits.context(call))
        fields = [_field(name, one) for name, one in sorted(found.items())]
        return json_response(call.request, {"fields": fields, "limit": query.limit} if fields else {})

    async def _values(self, call: Call) -> HTTPResponse:
        query = self._query(call)
        values = await self.detection.values(call.tenant, call.path["name"], query, self.limits.context(call))
        return json_response(call.request, {"values": values, "limit": query.limit} if values else {})

    def _query(self, call: Call) -> FieldQuery:
        given = call.params
        bounds = params.ordered_bounds(given, self.clock.now_ns())
        lines = params.positive(given.get("line_limit"), "line_limit", _DEFAULT_LINES)
        # Both names are Loki's: the second is the older one.
        limit = params.positive(given.get("limit") or given.get("field_limit"), "limit", _DEFAULT_FIELDS)
        params.step(given, bounds)  # means nothing, but a wrong one is refused
        return FieldQuery(given.get("query"), bounds.start_ns, bounds.end_ns, lines, limit)


def _field(name: str, found: DetectedField) -> dict[str, Any]:
    body: dict[str, Any] = {
        "label": name,
        "type": found.kind,
        "cardinality": len(found.values),
        "parsers": found.parsers or None,
    }
    if found.json_path:
        body["jsonPath"] = found.json_path
    return body
