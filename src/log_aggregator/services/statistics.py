"""What a query has read."""

from dataclasses import dataclass


@dataclass(slots=True)
class ScanStatistics:
    """True figures for the answer's `stats`. `lines` were looked at, `kept_lines` of them passed the filters."""

    chunk_refs: int = 0
    chunks_downloaded: int = 0
    store_bytes: int = 0
    tail_records: int = 0
    lines: int = 0
    text_bytes: int = 0
    kept_lines: int = 0
