"""What a query has read."""

from collections.abc import Mapping
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

    def add(self, figures: Mapping[str, int]) -> None:
        """What another replica has read for this query, by the names of the fields."""
        for name, figure in figures.items():
            setattr(self, name, getattr(self, name) + figure)
