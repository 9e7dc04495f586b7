"""The routes of a ruler that has no rules, which is how Grafana learns that there are none."""

from sanic.response import HTTPResponse

from log_aggregator.http.errors import error_line
from log_aggregator.http.respond import json_response
from log_aggregator.http.server import Call, Route


class RulesRoutes:
    def routes(self) -> tuple[Route, ...]:
        get = ("GET",)
        every = (
            "/loki/api/v1/rules",
            "/loki/api/v1/rules/<namespace>",
            "/api/prom/rules",
            "/api/prom/rules/<namespace>",
        )
        one = ("/loki/api/v1/rules/<namespace>/<group>", "/api/prom/rules/<namespace>/<group>")
        return (
            Route("loki_api_v1_rules", every, get, self._configured),
            Route("loki_api_v1_rules_group", one, get, self._group),
            Route("prometheus_api_v1_rules", ("/prometheus/api/v1/rules",), get, self._evaluated),
            Route("prometheus_api_v1_alerts", ("/prometheus/api/v1/alerts",), get, self._alerts),
        )

    async def _configured(self, call: Call) -> HTTPResponse:
        return error_line("no rule groups found", 404)

    async def _group(self, call: Call) -> HTTPResponse:
        return error_line("group does not exist", 404)

    async def _evaluated(self, call: Call) -> HTTPResponse:
        return _nothing(call, "groups")

    async def _alerts(self, call: Call) -> HTTPResponse:
        return _nothing(call, "alerts")


def _nothing(call: Call, kind: str) -> HTTPResponse:
    return json_response(call.request, {"status": "success", "data": {kind: []}, "errorType": "", "error": ""})
