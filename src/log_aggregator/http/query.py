"""The query routes."""

import asyncio
import time
from contextlib import nullcontext
from dataclasses import dataclass

from sanic.response import HTTPResponse, raw

from log_aggregator.clock import Clock
from log_aggregator.http import params
from log_aggregator.http.answer_columns import PARQUET_TYPE, entry_columns, parquet, sample_columns
from log_aggregator.http.encode import answer_data, encoding_flags
from log_aggregator.http.params import Bounds, InvalidParameter, Params
from log_aggregator.http.query_headers import CallLimits
from log_aggregator.http.query_log import QueryLog, Watched
from log_aggregator.http.respond import json_response, media_types, success
from log_aggregator.http.server import Call, Handler, Route
from log_aggregator.services.cursor import decode_cursor, encode_cursor
from log_aggregator.services.damage import damage_left_out
from log_aggregator.services.queries import Answer, InstantQuery, Matrix, Queries, RangeQuery, Streams

CURSOR_HEADER = "X-Next-Cursor"


@dataclass(frozen=True, slots=True)
class QueryRoutes:
    """With `parquet`, a request may ask for Parquet."""

    queries: Queries
    log: QueryLog
    clock: Clock
    limits: CallLimits
    parquet: bool

    def routes(self) -> tuple[Route, ...]:
        return (
            self._route("loki_api_v1_query", "/loki/api/v1/query", self._instant),
            self._route("loki_api_v1_query_range", "/loki/api/v1/query_range", self._range),
        )

    def _route(self, name: str, path: str, handler: Handler) -> Route:
        return Route(name, (path,), ("GET", "POST"), handler, several_tenants=True, is_query=True, partial=True)

    async def _range(self, call: Call) -> HTTPResponse:
        begun = time.perf_counter()
        given = call.params
        context = self.limits.context(call)
        wants_parquet = self._wants_parquet(call)
        query = self._range_query(given)
        watched = Watched(
            call.tenant, query.text, "range", context, query.start_ns, query.end_ns, query.step_ns, query.limit
        )
        # Parquet has no room to say what is missing.
        with self.log.watching(watched), damage_left_out(allowed=False) if wants_parquet else nullcontext():
            answer = watched.answer = await self.queries.range(call.tenant, query, context)
        response = await _in_parquet(answer) if wants_parquet else await _in_json(call, answer, begun)
        if isinstance(answer, Streams) and answer.following:
            response.headers[CURSOR_HEADER] = encode_cursor(answer.following)
        return response

    def _range_query(self, given: Params) -> RangeQuery:
        """A cursor stands for the range and the direction of the query that it was given with."""
        cursor = decode_cursor(text) if (text := given.get("cursor")) else None
        if cursor is None:
            asked = params.ranged(given, self.clock.now_ns())
        else:
            bounds = Bounds(cursor.start_ns, cursor.end_ns)
            asked = params.Ranged(
                bounds, params.limit(given), cursor.direction, params.step(given, bounds), params.interval(given)
            )
        return RangeQuery(
            given.get("query"),
            asked.bounds.start_ns,
            asked.bounds.end_ns,
            asked.step_ns,
            asked.limit,
            asked.direction,
            asked.interval_ns,
            cursor,
        )

    def _wants_parquet(self, call: Call) -> bool:
        wanted = next(iter(media_types(call.request.headers.get("accept", "")))) == PARQUET_TYPE
        if wanted and not self.parquet:
            raise InvalidParameter(
                "support for Parquet encoded responses is disabled. Enable with -frontend.support-parquet-encoding=true"
            )
        return wanted

    async def _instant(self, call: Call) -> HTTPResponse:
        begun = time.perf_counter()
        given = call.params
        context = self.limits.context(call)
        limit = params.limit(given)  # before the time, as Loki reads them
        time_ns, direction = params.instant(given, self.clock.now_ns()), params.direction(given)
        query = InstantQuery(given.get("query"), time_ns, limit, direction)
        watched = Watched(call.tenant, query.text, "instant", context, query.time_ns, query.time_ns, 0, query.limit)
        with self.log.watching(watched):
            watched.answer = await self.queries.instant(call.tenant, query, context)
        return await _in_json(call, watched.answer, begun)


async def _in_json(call: Call, answer: Answer, begun: float) -> HTTPResponse:
    flags = encoding_flags(call.request.headers)

    def encode() -> HTTPResponse:
        return json_response(call.request, success(answer_data(answer, flags, time.perf_counter() - begun)))

    # Of a hundred thousand entries, more than the event loop should wait for.
    return await asyncio.to_thread(encode)


async def _in_parquet(answer: Streams | Matrix) -> HTTPResponse:
    def encode() -> bytes:
        return parquet(entry_columns(answer.rows) if isinstance(answer, Streams) else sample_columns(answer))

    return raw(await asyncio.to_thread(encode), content_type=PARQUET_TYPE)
