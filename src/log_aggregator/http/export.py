"""The export: all entries of a log query, streamed while they are read."""

import asyncio
import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
from sanic.response import HTTPResponse

from log_aggregator.clock import Clock
from log_aggregator.engine.pipeline import Row
from log_aggregator.formats.parquet_stream import ParquetStream
from log_aggregator.http import params
from log_aggregator.http.answer_columns import ENTRY_SCHEMA, PARQUET_TYPE, entry_columns
from log_aggregator.http.params import InvalidParameter, Params
from log_aggregator.http.query_headers import CallLimits
from log_aggregator.http.respond import media_types
from log_aggregator.http.server import Call, Route
from log_aggregator.model.labels import format_labels
from log_aggregator.model.quantity import format_rfc3339
from log_aggregator.services.export import ExportQuery, Exports

_encoder = msgspec.json.Encoder()


class Encoding(Protocol):
    """Rows to bytes, piece by piece. An encoding may keep a state, so each export has its own."""

    def add(self, rows: Sequence[Row]) -> bytes: ...

    def end(self) -> bytes: ...


class Ndjson:
    """An object a line; timestamps are strings of nanoseconds, as in Loki's JSON."""

    def add(self, rows: Sequence[Row]) -> bytes:
        return b"".join(_encoder.encode(_entry(row)) + b"\n" for row in rows)

    def end(self) -> bytes:
        return b""


class Csv:
    """RFC 4180 with a header line. Labels of all kinds together, as text."""

    def __init__(self) -> None:
        self._begun = False

    def add(self, rows: Sequence[Row]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text)
        if not self._begun:
            writer.writerow(("timestamp_ns", "timestamp", "labels", "line"))
            self._begun = True
        writer.writerows(
            (row.timestamp_ns, format_rfc3339(row.timestamp_ns), format_labels(row.labels()), row.line) for row in rows
        )
        return text.getvalue().encode()

    def end(self) -> bytes:
        return b"" if self._begun else self.add(())


class Parquet:
    def __init__(self) -> None:
        self._stream = ParquetStream(ENTRY_SCHEMA)

    def add(self, rows: Sequence[Row]) -> bytes:
        return self._stream.add(entry_columns(rows)) if rows else b""

    def end(self) -> bytes:
        return self._stream.end()


_FORMATS: Final[dict[str, tuple[str, Callable[[], Encoding]]]] = {
    "ndjson": ("application/x-ndjson", Ndjson),
    "csv": ("text/csv; charset=utf-8", Csv),
    "parquet": (PARQUET_TYPE, Parquet),
}
_BY_TYPE: Final = {
    "application/x-ndjson": "ndjson",
    "application/json": "ndjson",
    "text/csv": "csv",
    PARQUET_TYPE: "parquet",
}


@dataclass(frozen=True, slots=True)
class ExportRoutes:
    exports: Exports
    clock: Clock
    limits: CallLimits

    def routes(self) -> tuple[Route, ...]:
        path = "/loki/api/v1/export"
        return (
            Route("loki_api_v1_export", (path,), ("GET", "POST"), self._export, several_tenants=True, is_query=True),
        )

    async def _export(self, call: Call) -> HTTPResponse:
        given = call.params
        bounds = params.ordered_bounds(given, self.clock.now_ns())
        direction = params.direction(given) if given.get("direction") else "forward"
        limit = params.limit(given) if given.get("limit") else 0
        content_type, encoding = _FORMATS[_format(given, call.request.headers.get("accept", ""))]
        query = ExportQuery(given.get("query"), bounds.start_ns, bounds.end_ns, direction, limit)
        context = self.limits.context(call)
        async with aclosing(_encoded(self.exports.parts(call.tenant, query, context), encoding())) as pieces:
            # What fails before there is anything to send is answered as everywhere else.
            first = await anext(pieces)
            return await call.stream(first, pieces, content_type)


async def _encoded(parts: AsyncIterator[Sequence[Row]], encoding: Encoding) -> AsyncGenerator[bytes, None]:
    """At least one piece. Pieces may be empty."""
    async for rows in parts:
        yield await asyncio.to_thread(encoding.add, rows)
    yield await asyncio.to_thread(encoding.end)


def _format(given: Params, accept: str) -> str:
    """`format`, else the first known type that the client accepts, else NDJSON."""
    name = given.get("format").lower()
    if not name:
        return next((_BY_TYPE[kind] for kind in media_types(accept) if kind in _BY_TYPE), "ndjson")
    if name not in _FORMATS:
        raise InvalidParameter(f"invalid format '{name}': use one of {', '.join(_FORMATS)}")
    return name


def _entry(row: Row) -> dict[str, object]:
    entry: dict[str, object] = {
        "timestamp": str(row.timestamp_ns),
        "stream": dict(row.stream),
        "line": row.line,
    }
    if row.metadata:
        entry["structuredMetadata"] = dict(row.metadata)
    if row.parsed:
        entry["parsed"] = dict(row.parsed)
    return entry
