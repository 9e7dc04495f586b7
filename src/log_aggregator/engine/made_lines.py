"""Lines that a line_format makes of labels, as a column: equal to the stage on each row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl

from log_aggregator.logql.ast import LineFormatStage
from log_aggregator.logql.template import Field, compile_template
from log_aggregator.model.columns import constant
from log_aggregator.model.segment import LINE

MOST_BYTES: Final = 256 << 20
"""Of texts that are made of the rows of a batch: a template may make much of little, and columns hold it at once."""


@dataclass(frozen=True, slots=True)
class MadeLine:
    """Texts and labels that are put together. The labels are those behind so many `readings` of parsers."""

    parts: tuple[str | Field, ...]
    readings: int

    @property
    def names(self) -> frozenset[str]:
        """The labels that it holds."""
        return frozenset(part.name for part in self.parts if isinstance(part, Field))

    def column(self, column_of: Callable[[int, str], pl.Series | None], rows: int) -> pl.Series | None:
        """The lines, of labels that are null where they are missing.

        None if the column of one is not known, or they would have more than MOST_BYTES.
        """
        columns: list[pl.Series] = []
        texts: dict[str, pl.Series] = {}
        for part in self.parts:
            if isinstance(part, str):
                column = constant(part, 1, pl.String)
            elif part.name in texts:
                column = texts[part.name]
            else:
                label = column_of(self.readings, part.name)
                if label is None:
                    return None
                column = texts[part.name] = label.cast(pl.String).fill_null("")
            columns.append(column.alias(str(len(columns))))
        if all(isinstance(part, str) for part in self.parts):
            return constant("".join(map(str, self.parts)), rows, pl.String).alias(LINE)
        if sum(int(one.str.len_bytes().sum()) * (rows // len(one)) for one in columns) > MOST_BYTES:
            return None
        return pl.select(pl.concat_str(columns)).to_series().alias(LINE)


def parts_of(stage: LineFormatStage) -> tuple[str | Field, ...] | None:
    """What the stage puts together; None if it does anything else, or columns cannot hold a text of it."""
    parts = compile_template(stage.template).simple
    if parts is None or not all(_is_text(part) for part in parts if isinstance(part, str)):
        return None
    return parts


def _is_text(part: str) -> bool:
    """Whether it has no bytes that are no characters."""
    return part.isascii() or not any("\ud800" <= char <= "\udfff" for char in part)
