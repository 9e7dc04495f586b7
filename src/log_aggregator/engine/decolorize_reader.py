"""The reader of a line that `decolorize` leaves, for parsers behind it."""

from collections.abc import Collection
from typing import Final

import polars as pl

from log_aggregator.engine.format_stages import ESCAPE_SEQUENCE
from log_aggregator.engine.label_reader import Parsed, Shapes, TextReader, lines_of
from log_aggregator.model.columns import constant

UNCOLOURED: Final = "|decolorize"
"""Stands among labels for the stored line without colours: no label has this name."""


class DecolorizeReader(TextReader):
    """A `LabelReader`, which reads UNCOLOURED whether it is among the names or not, and nothing else."""

    def read(
        self, frame: pl.DataFrame, shapes: Shapes, names: Collection[str], *, are_all_names: bool = False
    ) -> Parsed:
        lines = lines_of(frame)
        nothing = constant(None, len(lines), pl.String)
        return Parsed(None, None, {**dict.fromkeys(names, nothing), UNCOLOURED: uncoloured(lines)})


def uncoloured(lines: pl.Series) -> pl.Series:
    """What `decolorize` makes of the lines."""
    return lines.str.replace_all(ESCAPE_SEQUENCE, "")
