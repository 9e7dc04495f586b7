"""Results of queries as Loki's JSON.

Without the `categorize-labels` flag, structured metadata and parsed labels are merged into `stream`, so that one stream
fans out into as many as there are label sets; with it, each value has a third element that keeps them apart.
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, assert_never

import msgspec

from log_aggregator.engine.pipeline import Row
from log_aggregator.model.labels import Labels, format_labels
from log_aggregator.model.quantity import format_rfc3339
from log_aggregator.services.queries import Answer, InstantVector, Matrix, Scalar, Streams
from log_aggregator.services.statistics import ScanStatistics

CATEGORIZE_LABELS = "categorize-labels"
_FLAGS_HEADER = "x-loki-response-encoding-flags"
_sorted = msgspec.json.Encoder(order="sorted")


def encoding_flags(headers: Any) -> frozenset[str]:
    """The flags of a request, those that nobody knows included: Loki gives them back."""
    text = headers.get(_FLAGS_HEADER, "")
    return frozenset(text.split(",")) if text else frozenset()


def answer_data(answer: Answer, flags: frozenset[str], seconds: float) -> dict[str, Any]:
    """The `data` of a query's answer; `seconds` is how long it took."""
    match answer:
        case Streams(rows, statistics):
            return streams_data(rows, flags, statistics_data(statistics, seconds, len(rows)))
        case Matrix():
            return {
                "resultType": "matrix",
                "result": _matrix(answer),
                "stats": statistics_data(answer.statistics, seconds, 0),
            }
        case InstantVector(vector, time_ns, statistics):
            moment = json_seconds(time_ns)
            result = [{"metric": dict(labels), "value": [moment, format_float(value)]} for labels, value in vector]
            return {"resultType": "vector", "result": result, "stats": statistics_data(statistics, seconds, 0)}
        case Scalar(value, time_ns):
            # Milliseconds here, seconds everywhere else: so it is in Loki.
            stats = statistics_data(ScanStatistics(), seconds, 0)
            return {"resultType": "scalar", "result": [time_ns // 1_000_000, format_float(value)], "stats": stats}
        case _:
            assert_never(answer)


def _matrix(answer: Matrix) -> list[dict[str, Any]]:
    series: dict[tuple[tuple[str, str], ...], list[list[Any]]] = {}
    for time_ns, vector in zip(answer.steps.times_ns, answer.vectors, strict=True):
        moment = json_seconds(time_ns)
        for labels, value in vector:
            series.setdefault(labels, []).append([moment, format_float(value)])
    return [{"metric": dict(labels), "values": values} for labels, values in sorted(series.items())]


def json_seconds(time_ns: int) -> int | float:
    """Of a time, to the millisecond, as Prometheus' JSON has it."""
    milliseconds = time_ns // 1_000_000
    return milliseconds / 1000 if milliseconds % 1000 else milliseconds // 1000


def format_float(value: float) -> str:
    """The shortest decimal that reads back the same, without an exponent, as Go's FormatFloat(v, 'f', -1, 64)."""
    if math.isfinite(value):
        text = repr(value)
        if "e" in text:
            text = format(Decimal(text), "f")
        return text.removesuffix(".0")
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def streams_data(rows: Sequence[Row], flags: frozenset[str], statistics: dict[str, Any]) -> dict[str, Any]:
    """The `data` of an answer of log entries."""
    data: dict[str, Any] = {"resultType": "streams", "result": streams(rows, flags), "stats": statistics}
    if flags:
        data["encodingFlags"] = sorted(flags)
    return data


def streams(rows: Sequence[Row], flags: frozenset[str]) -> list[dict[str, Any]]:
    """The entries by stream, in the order of the rows."""
    return _categorized(rows) if CATEGORIZE_LABELS in flags else _merged(rows)


def legacy_streams(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The entries by stream as the routes below /api/prom have them."""
    found: dict[Labels, list[dict[str, str]]] = {}
    for row in rows:
        found.setdefault(row.labels(), []).append({"ts": format_rfc3339(row.timestamp_ns), "line": row.line})
    return [{"labels": format_labels(labels), "entries": entries} for labels, entries in found.items()]


def _merged(rows: Sequence[Row]) -> list[dict[str, Any]]:
    streams: dict[bytes, list[tuple[str, str]]] = {}
    seen: dict[tuple[int, int, int], list[tuple[str, str]]] = {}
    for timestamp_ns, line, stream, metadata, parsed in rows:
        # Rows that a filter alone has made share their labels; the rows keep them, so that no other has their identity.
        labels = id(stream), id(metadata), id(parsed)
        if (values := seen.get(labels)) is None:
            # Equal labels have equal text, which need not be written once more.
            values = seen[labels] = streams.setdefault(_sorted.encode({**dict(stream), **metadata, **parsed}), [])
        values.append((str(timestamp_ns), line))
    return [{"stream": msgspec.Raw(labels), "values": values} for labels, values in streams.items()]


def _categorized(rows: Sequence[Row]) -> list[dict[str, Any]]:
    streams: dict[tuple[tuple[str, str], ...], list[list[Any]]] = {}
    for row in rows:
        apart = {}
        if row.metadata:
            apart["structuredMetadata"] = dict(row.metadata)
        if row.parsed:
            apart["parsed"] = dict(row.parsed)
        streams.setdefault(row.stream, []).append([str(row.timestamp_ns), row.line, apart])
    return [{"stream": dict(labels), "values": values} for labels, values in streams.items()]


def statistics_data(statistics: ScanStatistics, seconds: float, entries: int) -> dict[str, Any]:
    """Loki's `stats`, with what was really read."""
    per_second = max(seconds, 1e-9)
    store = {
        "totalChunksRef": statistics.chunk_refs,
        "totalChunksDownloaded": statistics.chunks_downloaded,
        "chunksDownloadTime": 0,
        "queryReferencedStructuredMetadata": False,
        "chunk": {
            "headChunkBytes": 0,
            "headChunkLines": 0,
            "decompressedBytes": statistics.text_bytes,
            "decompressedLines": statistics.lines,
            "compressedBytes": statistics.store_bytes,
            "totalDuplicates": 0,
            "postFilterLines": statistics.kept_lines,
        },
    }
    return {
        "summary": {
            "bytesProcessedPerSecond": int(statistics.text_bytes / per_second),
            "linesProcessedPerSecond": int(statistics.lines / per_second),
            "totalBytesProcessed": statistics.text_bytes,
            "totalLinesProcessed": statistics.lines,
            "execTime": seconds,
            "queueTime": 0,
            "subqueries": 0,
            "totalEntriesReturned": entries,
            "splits": 0,
            "shards": 0,
            "totalPostFilterLines": statistics.kept_lines,
            "totalStructuredMetadataBytesProcessed": 0,
        },
        "querier": {"store": store},
        "ingester": {
            "totalReached": 0,
            "totalChunksMatched": statistics.tail_records,
            "totalBatches": 0,
            "totalLinesSent": 0,
            "store": {},
        },
        "cache": {},
        "index": {"totalChunks": 0, "postFilterChunks": 0, "shardsDuration": 0},
    }
