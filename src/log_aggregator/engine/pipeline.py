"""A log query's pipeline, entry by entry: the readable meaning of every stage."""

from collections.abc import Mapping
from dataclasses import dataclass

from log_aggregator.model.labels import Labels


@dataclass(frozen=True, slots=True)
class Row:
    """An entry that has passed a pipeline. Labels are kept apart by where they come from."""

    timestamp_ns: int
    line: str
    stream: Labels
    metadata: Mapping[str, str]
    parsed: Mapping[str, str]

    def labels(self) -> Labels:
        """All of them together, as an answer without the categorize-labels flag has them."""
        return tuple(sorted({**dict(self.stream), **self.metadata, **self.parsed}.items()))
