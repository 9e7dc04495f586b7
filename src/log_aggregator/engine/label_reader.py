"""What columns tell of the labels that parsers find in lines.

A line is read by what it looks like: by its shape, or as one in which a parser finds nothing at all. Lines that are
neither are left to the row-wise stages.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from log_aggregator.engine.shapes import Shape
from log_aggregator.model.segment import LINE

Shapes = Sequence[Shape] | None
"""Those that the column SHAPE of a batch has the numbers of, from 1 on; None if it has no such column."""
KINDS: Final = pl.Enum(["json", "logfmt", "nothing"])
"""How a line is read; `nothing`: as one that the parsers find nothing in."""
KIND: Final = ""
"""Stands among the fields of an outline for how its line is read: no label has this name."""
# Codes: 1 + the number of a kind; 0 where rows are not easy.
UNKNOWN, JSON, LOGFMT, NOTHING = range(4)


class LinesNeeded(Exception):
    """The batch has rows that only their text can tell about. Load it again with all columns."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """Of some rows: which are `easy` (None: all), and of these how they are read, and their labels, null if missing.

    Without `kinds` all are lines of the only parser. Values are texts, or have another `batch.Form`.
    """

    easy: pl.Series | None = field(repr=False)
    kinds: pl.Series | None = field(repr=False)
    values: Mapping[str, pl.Series] = field(repr=False)
    names: frozenset[str] | None = frozenset()
    """Of all labels that easy rows may have from parsers, None if that is not known."""

    def only(self, rows: pl.Series) -> "Parsed":
        """Of those rows alone that are in the mask."""
        easy = None if self.easy is None else self.easy.filter(rows)
        kinds = None if self.kinds is None else self.kinds.filter(rows)
        return Parsed(easy, kinds, {name: column.filter(rows) for name, column in self.values.items()}, self.names)


class LabelReader(Protocol):
    """Parsers that read one line, as columns stand for them. Safe to use from several threads."""

    def columns(self, available: Collection[str], shapes: Shapes, names: Collection[str]) -> set[str]:
        """What `read` wants of a batch with these columns and shapes to tell labels of these names."""
        ...

    def stored_columns(self, names: Collection[str]) -> set[str]:
        """The columns that the fields of these labels may be stored in, each under its own name."""
        ...

    def all_names(self, available: Collection[str], shapes: Shapes, *, are_stored: bool) -> Collection[str] | None:
        """All labels that parsers may give in a batch with these columns and shapes.

        None if that is not known, or, if all of them are to be stored, some fields are not.
        """
        ...

    def read(
        self, frame: pl.DataFrame, shapes: Shapes, names: Collection[str], *, are_all_names: bool = False
    ) -> Parsed:
        """The labels of these names, of which it may matter that there are no others. Raises LinesNeeded.

        `frame` has rows.
        """
        ...


class TextReader:
    """The part of a `LabelReader` that one has which reads the text of lines, whatever is stored beside it."""

    def columns(self, available: Collection[str], shapes: Shapes, names: Collection[str]) -> set[str]:
        return {LINE}

    def stored_columns(self, names: Collection[str]) -> set[str]:
        return set()

    def all_names(self, available: Collection[str], shapes: Shapes, *, are_stored: bool) -> Collection[str] | None:
        return None


def kinds_of(codes: npt.NDArray[np.integer[Any]] | pl.Series) -> pl.Series:
    """How rows of these codes are read, none of which is unknown."""
    return pl.Series(KINDS.categories, dtype=KINDS).gather(codes - 1)


def lines_of(frame: pl.DataFrame) -> pl.Series:
    """The lines of a batch. Raises LinesNeeded."""
    if LINE not in frame.columns:
        raise LinesNeeded
    return frame[LINE]
