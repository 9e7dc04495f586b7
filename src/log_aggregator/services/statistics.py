"""What a query has read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields


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
    _downloaded: set[tuple[str, int]] = field(default_factory=set, init=False, repr=False, compare=False)

    def count_download(self, chunk: str, row_group: int) -> None:
        """Something was read of it: each counts once, however many requests its columns took."""
        if (chunk, row_group) not in self._downloaded:
            self._downloaded.add((chunk, row_group))
            self.chunks_downloaded += 1

    def figures(self) -> dict[str, int]:
        """For `add`, by the names of the fields."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.init}

    def add(self, figures: Mapping[str, int]) -> None:
        """What another replica has read for this query."""
        for name, figure in figures.items():
            setattr(self, name, getattr(self, name) + figure)
