"""`query`: lines of a log query, page by page, or the samples of a metric query."""

import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

import msgspec

from log_aggregator.client.entries import CATEGORIZED, Entry, StreamAnswer, format_labels, printer
from log_aggregator.client.errors import ClientError
from log_aggregator.client.moments import range_of
from log_aggregator.client.server import Server
from log_aggregator.model.quantity import format_rfc3339

Shape = TypeVar("Shape")


class Data(msgspec.Struct, frozen=True):
    kind: str = msgspec.field(name="resultType")
    result: msgspec.Raw


class QueryAnswer(msgspec.Struct, frozen=True):
    data: Data


class Series(msgspec.Struct, frozen=True):
    metric: dict[str, str]
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] = msgspec.field(default_factory=list)


def query(options: Namespace) -> int:
    server = Server.of_options(options)
    start_ns, end_ns = range_of(options, time.time_ns())
    options.batch = min(options.batch, options.limit or options.batch)
    if options.instant:
        parameters: list[tuple[str, str | int]] = [("query", options.query), ("time", end_ns)]
        answer = server.ask("/loki/api/v1/query", parameters, QueryAnswer, CATEGORIZED)
    else:
        answer = _page(server, options, start_ns, end_ns, options.batch)
    if answer.data.kind != "streams":
        _print_samples(answer.data)
        return 0
    show = printer(options.output, options.color, sys.stdout)
    for entry in islice(_entries(server, options, answer, start_ns, end_ns), options.limit or None):
        show(entry)
    return 0


def _page(server: Server, options: Namespace, start_ns: int, end_ns: int, limit: int) -> QueryAnswer:
    parameters = [
        ("query", options.query),
        ("start", start_ns),
        ("end", end_ns),
        ("limit", limit),
        ("direction", "forward" if options.forward else "backward"),
        ("step", options.step),
    ]
    return server.ask("/loki/api/v1/query_range", parameters, QueryAnswer, CATEGORIZED)


def _entries(server: Server, options: Namespace, answer: QueryAnswer, start_ns: int, end_ns: int) -> Iterator[Entry]:
    """All pages. The next one begins with the last timestamp of the one before: more entries may have it."""
    limit, seen, edge_ns = options.batch, set[tuple[str, ...]](), -1
    while True:
        page = _ordered(answer, options.forward)
        fresh = [entry for entry in page if entry.timestamp_ns != edge_ns or _identity(entry) not in seen]
        yield from fresh
        if len(page) < limit or options.instant:
            return
        if not fresh:
            raise ClientError(f"more than {limit} entries at {format_rfc3339(edge_ns)}: raise --batch")
        if page[-1].timestamp_ns != edge_ns:
            edge_ns, seen = page[-1].timestamp_ns, set()
        seen |= {_identity(entry) for entry in page if entry.timestamp_ns == edge_ns}
        if options.forward:
            start_ns = edge_ns
        else:
            end_ns = edge_ns + 1  # the end is not part of the range
        answer = _page(server, options, start_ns, end_ns, limit)


def _ordered(answer: QueryAnswer, forward: bool) -> list[Entry]:
    """Entries come by stream; each stream is in order."""
    streams = _decoded(answer.data.result, list[StreamAnswer])
    entries = [entry for stream in streams for entry in stream.entries()]
    return sorted(entries, key=lambda entry: entry.timestamp_ns, reverse=not forward)


def _identity(entry: Entry) -> tuple[str, ...]:
    """Entries that differ in their metadata only are two."""
    return *(format_labels(each) for each in (entry.labels, entry.metadata, entry.parsed)), entry.line


def _print_samples(data: Data) -> None:
    """`time value {labels}`."""
    if data.kind == "scalar":
        milliseconds, number = _decoded(data.result, tuple[float, str])  # unlike in all other answers
        series = [Series({}, (milliseconds / 1000, number))]
    else:
        series = _decoded(data.result, list[Series])
    for one in series:
        for moment, number in [one.value] if one.value else one.values:
            print(format_rfc3339(round(moment * 1000) * 1_000_000), number, format_labels(one.metric))


def _decoded(raw: msgspec.Raw, shape: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.MsgspecError as error:
        raise ClientError(f"the server does not answer as Loki does: {error}") from error
