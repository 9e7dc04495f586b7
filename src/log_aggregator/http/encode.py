"""Results of log queries as Loki's JSON.

Without the `categorize-labels` flag, structured metadata and parsed labels are merged into `stream`, so that one stream
fans out into as many as there are label sets; with it, each value has a third element that keeps them apart.
"""

from collections.abc import Iterable
from typing import Any

from log_aggregator.engine.pipeline import Row
from log_aggregator.services.scan import ScanStatistics

CATEGORIZE_LABELS = "categorize-labels"
_FLAGS_HEADER = "x-loki-response-encoding-flags"


def encoding_flags(headers: Any) -> frozenset[str]:
    """The flags of a request, those that nobody knows included: Loki gives them back."""
    text = headers.get(_FLAGS_HEADER, "")
    return frozenset(flag.strip() for flag in text.split(",") if flag.strip())


def streams_data(rows: Iterable[Row], flags: frozenset[str], statistics: dict[str, Any]) -> dict[str, Any]:
    """The `data` of an answer of log entries."""
    result = _categorized(rows) if CATEGORIZE_LABELS in flags else _merged(rows)
    data: dict[str, Any] = {"resultType": "streams", "result": result, "stats": statistics}
    if flags:
        data["encodingFlags"] = sorted(flags)
    return data


def _merged(rows: Iterable[Row]) -> list[dict[str, Any]]:
    streams: dict[tuple[tuple[str, str], ...], list[list[str]]] = {}
    for row in rows:
        streams.setdefault(row.labels(), []).append([str(row.timestamp_ns), row.line])
    return [{"stream": dict(labels), "values": values} for labels, values in streams.items()]


def _categorized(rows: Iterable[Row]) -> list[dict[str, Any]]:
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
