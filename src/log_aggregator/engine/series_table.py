"""The series that an aggregation of entries has found, numbered from 0."""

from collections.abc import Mapping, Sequence
from itertools import count
from threading import Lock

import numpy as np
import polars as pl

from log_aggregator.engine.batch import Integers
from log_aggregator.engine.entry_labels import ERROR, shows_error
from log_aggregator.engine.label_texts import labels_of_text, text_of
from log_aggregator.engine.leaf_plan import OutlinedLeaf
from log_aggregator.engine.query_memory import HeldSeries, QueryMemory
from log_aggregator.model.labels import Labels


class SeriesTable:
    """Series by the texts of their labels. Safe to use from several threads."""

    def __init__(self, memory: QueryMemory) -> None:
        self._held = HeldSeries(memory)
        self._lock = Lock()
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def texts(self) -> pl.Series:
        """In the order of their numbers."""
        return pl.Series(list(self._numbers), dtype=pl.String)

    @property
    def labels(self) -> list[Labels]:
        """In the order of their numbers."""
        return list(map(labels_of_text, self._numbers))

    def of(
        self, outlined: OutlinedLeaf, stream: Labels, metadata: Mapping[str, str], fields: Mapping[str, str]
    ) -> int | None:
        """The number of an entry's series, if it counts. Raises TooManySeries, QueryTooLarge, PipelineFailed."""
        labels = outlined.series(stream, metadata, fields)
        return None if labels is None else self.number(labels)

    def number(self, labels: Labels) -> int:
        """Raises TooManySeries, QueryTooLarge."""
        text = text_of(labels)
        number = self._numbers.get(text)
        return int(self.numbers([text])[0]) if number is None else number

    def numbers(self, texts: Sequence[str]) -> Integers:
        """Raises TooManySeries, QueryTooLarge."""
        # All at once: there may be as many as rows.
        found = list(map(self._numbers.get, texts))
        if None in found:  # else threads would wait for each other
            with self._lock:
                new = [text for text in dict.fromkeys(texts) if text not in self._numbers]
                self._held.add(len(new), with_error=sum(map(_shows_error, new)))
                self._numbers.update(zip(new, count(len(self._numbers)), strict=False))
            found = list(map(self._numbers.get, texts))
        return np.array(found, np.int64)


def _shows_error(text: str) -> bool:
    return ERROR in text and shows_error(labels_of_text(text))
