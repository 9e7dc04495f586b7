"""Routes that tell a tenant its limits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml
from sanic.response import HTTPResponse, raw

from log_aggregator import __version__
from log_aggregator.http.respond import json_response
from log_aggregator.http.server import Call, Route
from log_aggregator.logql.units import format_prometheus_duration
from log_aggregator.model.limits import Limits
from log_aggregator.services.level import level_fields

# What Loki publishes unless it is told otherwise: limits that shape what a user interface offers.
_PUBLISHED = {
    "discover_log_levels",
    "discover_service_name",
    "log_level_fields",
    "max_entries_limit_per_query",
    "max_line_size_truncate",
    "max_query_bytes_read",
    "max_query_length",
    "max_query_lookback",
    "max_query_range",
    "max_query_series",
    "query_timeout",
    "retention_period",
    "retention_stream",
    "volume_enabled",
    "volume_max_series",
}
# Written as Prometheus writes durations, which is what Loki answers and Grafana reads.
_DURATIONS = ("max_query_length", "max_query_lookback", "max_query_range", "query_timeout", "retention_period")


@dataclass(frozen=True, slots=True)
class LimitsRoutes:
    """`patterns_enabled` is whether the pattern routes answer."""

    limits_of: Callable[[str], Limits]
    patterns_enabled: bool

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("loki_api_v1_drilldown_limits", ("/loki/api/v1/drilldown-limits",), ("GET",), self._drilldown),
            Route("config_tenant_v1_limits", ("/config/tenant/v1/limits",), ("GET",), self._limits),
        )

    async def _drilldown(self, call: Call) -> HTTPResponse:
        body = {
            "limits": self._published(call.tenant),
            "pattern_ingester_enabled": self.patterns_enabled,
            "version": __version__,
        }
        return json_response(call.request, body)

    async def _limits(self, call: Call) -> HTTPResponse:
        text = yaml.safe_dump(self._published(call.tenant), sort_keys=True)
        return raw(text.encode(), content_type="text/plain; charset=utf-8")

    def _published(self, tenant: str) -> dict[str, Any]:
        limits = self.limits_of(tenant)
        durations = {name: format_prometheus_duration(getattr(limits, name)) for name in _DURATIONS}
        levels = {"log_level_fields": list(level_fields(limits))}
        return limits.model_dump(mode="json", include=_PUBLISHED) | durations | levels
