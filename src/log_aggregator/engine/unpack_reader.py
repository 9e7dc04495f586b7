"""The reader of `unpack`, which leaves another line beside the labels."""

from collections.abc import Collection
from typing import Final

import numpy as np
import polars as pl

from log_aggregator.engine.entry_labels import Demand
from log_aggregator.engine.json_stages import PACKED_ENTRY
from log_aggregator.engine.label_reader import JSON, NOTHING, Parsed, Shapes, TextReader, kinds_of, lines_of
from log_aggregator.engine.unpacked_lines import unpacked
from log_aggregator.model.columns import constant

UNPACKED: Final = "|unpack"
"""Stands among labels for the line that `unpack` leaves: no label has this name."""


class UnpackReader(TextReader):
    """A `LabelReader`, which reads UNPACKED whether it is among the names or not."""

    def __init__(self, demand: Demand) -> None:
        self._does_nothing = demand.names == frozenset()

    def read(
        self, frame: pl.DataFrame, shapes: Shapes, names: Collection[str], *, are_all_names: bool = False
    ) -> Parsed:
        lines = lines_of(frame)
        nothing = constant(None, len(lines), pl.String)
        if self._does_nothing:
            return Parsed(None, None, {**dict.fromkeys(names, nothing), UNPACKED: lines})
        found = unpacked(lines, sorted(set(names) - {UNPACKED}))
        values = dict(found.values)
        entry = values.pop(PACKED_ENTRY)
        values[UNPACKED] = entry.zip_with(entry.is_not_null(), lines)
        if PACKED_ENTRY in names:
            values[PACKED_ENTRY] = nothing  # the entry becomes the line, and no label
        fails = ~lines.str.starts_with("{") & (lines != "")
        return Parsed((found.shape > 0) | fails, kinds_of(np.where(fails, NOTHING, JSON)), values, None)
