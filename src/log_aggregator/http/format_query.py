"""The route that lays out a query."""

from dataclasses import dataclass

from sanic.response import HTTPResponse

from log_aggregator.http.respond import json_response, success
from log_aggregator.http.server import Call, Route
from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.parser import parse_text
from log_aggregator.logql.printer import format_expr


@dataclass(frozen=True, slots=True)
class FormatQueryRoutes:
    """Stages that cannot be built are laid out all the same, as in Loki: only the syntax is looked at."""

    def routes(self) -> tuple[Route, ...]:
        path = "/loki/api/v1/format_query"
        return (Route("loki_api_v1_format_query", (path,), ("GET", "POST"), self._format, tenant=False),)

    async def _format(self, call: Call) -> HTTPResponse:
        try:
            expr = parse_text(call.params.get("query"))
        except ParseError as error:
            return json_response(call.request, {"status": "invalid-query", "error": str(error)}, status=400)
        return json_response(call.request, success(format_expr(expr)))
