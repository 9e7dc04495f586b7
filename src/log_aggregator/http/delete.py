"""Delete requests: made, listed and cancelled. Parameters, messages and states are Loki's."""

from dataclasses import dataclass
from typing import Any

from sanic.response import HTTPResponse, empty

from log_aggregator.clock import Clock
from log_aggregator.engine.conversions import NotConvertible, to_duration_ns
from log_aggregator.http.encode import json_seconds
from log_aggregator.http.params import InvalidParameter, Params, timestamp
from log_aggregator.http.respond import json_response
from log_aggregator.http.server import Call, Route
from log_aggregator.model.quantity import format_duration
from log_aggregator.services.blocked_queries import query_type
from log_aggregator.services.deletion import Deletions, KnownRequest, parse_deletion_query

_SECOND_NS = 1_000_000_000
_MILLISECOND_NS = 1_000_000
_SECONDS_CHARACTERS = 10


@dataclass(frozen=True, slots=True)
class DeleteRoutes:
    """`max_interval_ns` bounds the parameter `max_interval`, 0 for no bound; it has no further meaning here."""

    deletions: Deletions
    clock: Clock
    max_interval_ns: int

    def routes(self) -> tuple[Route, ...]:
        paths = ("/loki/api/v1/delete",)
        return (
            Route("loki_api_v1_delete", paths, ("PUT", "POST"), self._add),
            Route("loki_api_v1_delete", paths, ("GET",), self._list),
            Route("loki_api_v1_delete", paths, ("DELETE",), self._cancel),
        )

    async def _add(self, call: Call) -> HTTPResponse:
        query = call.params.get("query")
        if not query:
            raise InvalidParameter("query not set")
        expr = parse_deletion_query(query)
        start_ns, end_ns = self._span(call.params)
        if expr is not None and query_type(expr) == "filter":  # Loki divides no others
            self._check_interval(call.params.get("max_interval"), end_ns - start_ns)
        # The last moment belongs to what is deleted.
        request = await self.deletions.add(call.tenant, query, start_ns, end_ns + 1)
        return empty(204, {"X-Delete-Request-ID": request.request_id})

    async def _list(self, call: Call) -> HTTPResponse:
        start, end = call.params.get("start"), call.params.get("end")
        requests = await self.deletions.requests(call.tenant)
        if start and end:
            start_ns, end_ns = _time("start", start), _time("end", end)
            requests = [one for one in requests if one.request.start_ns <= end_ns and start_ns < one.request.end_ns]
        return json_response(call.request, [_described(call.tenant, known) for known in requests])

    async def _cancel(self, call: Call) -> HTTPResponse:
        force = call.params.get("force") == "true"
        await self.deletions.cancel(call.tenant, call.params.get("request_id"), force=force)
        return empty(204)

    def _span(self, given: Params) -> tuple[int, int]:
        """First and last moment."""
        now_ns = self.clock.now_ns()
        if not given.get("start"):
            raise InvalidParameter("start time not set")
        start_ns = _time("start", given.get("start"))
        end_ns = _time("end", given.get("end")) if given.get("end") else now_ns // _MILLISECOND_NS * _MILLISECOND_NS
        if end_ns > now_ns:
            raise InvalidParameter("deletes in the future are not allowed")
        if start_ns >= end_ns:
            raise InvalidParameter("start time can't be greater than or equal to end time")
        return start_ns, end_ns

    def _check_interval(self, text: str, length_ns: int) -> None:
        if not text:
            return
        try:
            interval_ns = to_duration_ns(text)
        except NotConvertible:
            interval_ns = 0
        if interval_ns < _SECOND_NS:
            raise InvalidParameter("invalid max_interval: valid time units are 's', 'm', 'h'")
        if 0 < self.max_interval_ns < interval_ns:
            raise InvalidParameter(f"max_interval can't be greater than {format_duration(self.max_interval_ns)}")
        if interval_ns > length_ns:
            raise InvalidParameter(
                f"max_interval can't be greater than the interval to be deleted ({format_duration(length_ns)})"
            )


def _time(name: str, text: str) -> int:
    """To the millisecond. Of seconds, Loki takes ten characters."""
    message = f"invalid {name} time: require unix seconds or RFC3339 format"
    if "T" not in text and len(text) != _SECONDS_CHARACTERS:
        raise InvalidParameter(message)
    try:
        return timestamp(text, 0) // _MILLISECOND_NS * _MILLISECOND_NS
    except InvalidParameter as error:
        raise InvalidParameter(message) from error


def _described(tenant: str, known: KnownRequest) -> dict[str, Any]:
    request, percent = known.request, known.progress.percent
    status = "processed" if known.is_processed else f"{percent}% Complete" if percent else "received"
    return {
        "request_id": request.request_id,
        "start_time": json_seconds(request.start_ns),
        "end_time": json_seconds(request.end_ns - 1),
        "query": request.query,
        "status": status,
        "created_at": json_seconds(request.created_ns),
        "user_id": tenant,
    }
