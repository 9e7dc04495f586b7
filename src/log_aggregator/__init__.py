"""MOV.AI Log Aggregator: a Loki-compatible log store whose replicas hold nothing that cannot be lost."""

__version__ = "0.1.0"
