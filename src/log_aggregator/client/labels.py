"""`labels`, `series`, `stats`: what there is."""

import time
from argparse import Namespace
from urllib.parse import quote

import msgspec

from log_aggregator.client.entries import format_labels
from log_aggregator.client.moments import range_of
from log_aggregator.client.server import Server


class Names(msgspec.Struct, frozen=True):
    """`data` is absent where there is nothing."""

    data: list[str] = msgspec.field(default_factory=list)


class SeriesAnswer(msgspec.Struct, frozen=True):
    data: list[dict[str, str]] = msgspec.field(default_factory=list)


class Stats(msgspec.Struct, frozen=True):
    streams: int
    chunks: int
    entries: int
    size_bytes: int = msgspec.field(name="bytes")


def labels(options: Namespace) -> int:
    """Names, or the values of one."""
    path = f"/loki/api/v1/label/{quote(options.name, safe='')}/values" if options.name else "/loki/api/v1/labels"
    start, end = range_of(options, time.time_ns())
    parameters = [("start", start), ("end", end), ("query", options.query)]
    for name in Server.of_options(options).get(path, parameters, Names).data:
        print(name)
    return 0


def series(options: Namespace) -> int:
    start, end = range_of(options, time.time_ns())
    parameters = [("match[]", options.selector), ("start", start), ("end", end)]
    found = Server.of_options(options).get("/loki/api/v1/series", parameters, SeriesAnswer).data
    if options.count:
        values: dict[str, set[str]] = {}
        for one in found:
            for name, value in one.items():
                values.setdefault(name, set()).add(value)
        print(f"{len(found)} streams")
        for name, distinct in sorted(values.items(), key=lambda pair: (-len(pair[1]), pair[0])):
            print(f"{name}: {len(distinct)} values")
        return 0
    for text in sorted(map(format_labels, found)):
        print(text)
    return 0


def stats(options: Namespace) -> int:
    start, end = range_of(options, time.time_ns())
    parameters = [("query", options.selector), ("start", start), ("end", end)]
    found = Server.of_options(options).get("/loki/api/v1/index/stats", parameters, Stats)
    print(f"streams: {found.streams:,}\nchunks: {found.chunks:,}\nentries: {found.entries:,}")
    print(f"bytes: {found.size_bytes:,}")
    return 0
