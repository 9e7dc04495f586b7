"""Lines that a line_format makes of labels, as a column: equal to the stage on each row."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import polars as pl

from log_aggregator.logql.ast import LineFormatStage
from log_aggregator.logql.template import Field, compile_template
from log_aggregator.model.columns import constant
from log_aggregator.model.segment import LINE


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
        """The lines, of labels that are null where they are missing; None if the column of one is not known."""
        columns: list[pl.Series] = []
        for part in self.parts:
            column = constant(part, 1, pl.String) if isinstance(part, str) else column_of(self.readings, part.name)
            if column is None:
                return None
            columns.append(column.cast(pl.String).fill_null("").alias(str(len(columns))))
        if all(isinstance(part, str) for part in self.parts):
            return constant("".join(map(str, self.parts)), rows, pl.String).alias(LINE)
        return pl.select(pl.concat_str(columns)).to_series().alias(LINE)


def parts_of(stage: LineFormatStage) -> tuple[str | Field, ...] | None:
    """What the stage puts together; None if it does anything else, or columns cannot hold a text of it."""
    parts = compile_template(stage.template).simple
    return parts if parts is not None and are_texts(parts) else None


def are_texts(parts: Iterable[str | Field]) -> bool:
    """Whether no text among the parts has bytes that are no characters."""
    texts = "".join(part for part in parts if isinstance(part, str))
    return texts.isascii() or not any("\ud800" <= char <= "\udfff" for char in texts)
