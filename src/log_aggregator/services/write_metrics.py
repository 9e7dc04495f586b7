"""Metrics of the write path: Loki's names where the meaning carries over, and the seed's. See docs/metrics.md."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100)
_CHUNK_BYTES = tuple(float(1 << shift) for shift in range(14, 28, 2))
_CHUNK_ENTRIES = (10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0)


class WriteMetrics:
    """Of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.memory_chunks = Gauge(
            "loki_ingester_memory_chunks", "Segments in memory that are not flushed yet", registry=registry
        )
        self.memory_streams = Gauge(
            "loki_ingester_memory_streams", "Streams with entries not flushed yet", ["tenant"], registry=registry
        )
        self.buffer_bytes = Gauge(
            "log_aggregator_buffer_bytes", "Bytes of lines and metadata not flushed yet", registry=registry
        )
        self.chunks_created = Counter("loki_ingester_chunks_created_total", "Chunk objects written", registry=registry)
        self.chunks_flushed = Counter(
            "loki_ingester_chunks_flushed_total", "Chunk objects written by reason", ["reason"], registry=registry
        )
        self.flush_failures = Counter(
            "loki_ingester_chunks_flush_failures_total",
            "Flushes that failed and will be tried again",
            registry=registry,
        )
        self.chunk_size_bytes = Histogram(
            "loki_ingester_chunk_size_bytes", "Size of chunk objects", buckets=_CHUNK_BYTES, registry=registry
        )
        self.chunk_entries = Histogram(
            "loki_ingester_chunk_entries", "Entries in a chunk object", buckets=_CHUNK_ENTRIES, registry=registry
        )
        self.flush_seconds = Histogram(
            "log_aggregator_flush_duration_seconds", "Time of a flush", buckets=_SECONDS, registry=registry
        )
        self.wal_records = Counter(
            "loki_ingester_wal_records_logged_total", "Records appended to the write-ahead log", registry=registry
        )
        self.wal_bytes = Counter(
            "loki_ingester_wal_logged_bytes_total", "Bytes appended to the write-ahead log", registry=registry
        )
        self.wal_append_seconds = Histogram(
            "log_aggregator_wal_append_duration_seconds", "Time of an append", buckets=_SECONDS, registry=registry
        )
        self.wal_truncate_seconds = Histogram(
            "loki_ingester_wal_truncate_duration_seconds",
            "Time of a commit, which trims the write-ahead log",
            buckets=_SECONDS,
            registry=registry,
        )
        self.wal_recovered_entries = Counter(
            "loki_ingester_wal_recovered_entries_total", "Entries flushed from another owner's log", registry=registry
        )
        self.fenced = Counter(
            "log_aggregator_lease_lost_total", "Times that this process lost the lease of its log", registry=registry
        )
