"""Labels that a label_format makes of others by templates, as columns: equal to the stage on each row.

What a template gives follows from the labels that it reads. So it is worked out once for each distinct combination of
their values, of which there may be as many as rows; what is made of them, such as the route of a path, often has few.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from log_aggregator.engine.batch import Integers
from log_aggregator.engine.combinations import codes_of, packed_of
from log_aggregator.engine.entry_labels import REPLACEMENT
from log_aggregator.engine.template_columns import template_column
from log_aggregator.logql.ast import LabelAssignment, LabelFormatStage
from log_aggregator.logql.template import Template, TemplateRuntimeError, compile_template
from log_aggregator.model.columns import where

_KEY: Final = "|label_format"
# What answers do not show as it is: bytes that are no characters, and what may stand for them.
_NO_TEXT: Final = re.compile(f"[\ud800-\udfff{REPLACEMENT}]")
# Rendering so many takes less than to begin with columns of them.
_FEW_VALUES: Final = 64
_MOST_CODES: Final = 1000


@dataclass(frozen=True, slots=True)
class MadeLabel:
    """A label of the `name` by a template over labels behind so many `readings` of parsers.

    Until the stage gives it its name, it stands under a `key` among labels, which none of them has for a name.
    """

    name: str
    key: str
    template: str
    readings: int

    @property
    def names(self) -> frozenset[str]:
        """The labels that it is made of."""
        return compile_template(self.template, "label").needs or frozenset()

    def column(
        self, column_of: Callable[[int, str], pl.Series | None], counted: pl.Series | None, most_bytes: int
    ) -> pl.Series | None:
        """The values, null where the row-wise stages tell.

        None if the column of a label that is read is not known, or the distinct values would have more bytes than
        `most_bytes`. Rows that are not `counted` (None: all are) may have any.
        """
        template = compile_template(self.template, "label")
        columns = []
        for name in sorted(self.names):
            column = column_of(self.readings, name)
            if column is None:
                return None
            columns.append(column if counted is None else where(counted, column))
        return _rendered(template, sorted(self.names), columns, most_bytes)


def made_labels(stage: LabelFormatStage, first: int, readings: int) -> Sequence[MadeLabel] | None:
    """What the stage makes, with keys from the number `first` on; None if its templates read more than labels."""
    made = []
    for number, one in enumerate(stage.assignments, first):
        if one.is_rename:
            return None
        template = compile_template(one.value, "label")
        if not template.needs or template.uses_line or template.uses_timestamp:
            return None
        made.append(MadeLabel(one.name, f"{_KEY}{number}", one.value, readings))
    return made


def is_key(name: str) -> bool:
    """Whether a made label stands under the name."""
    return name.startswith(_KEY)


def named(made: Sequence[MadeLabel]) -> LabelFormatStage:
    """The stage that gives the labels their names."""
    return LabelFormatStage(tuple(LabelAssignment(one.name, one.key, is_rename=True) for one in made))


def _rendered(
    template: Template, names: Sequence[str], columns: Sequence[pl.Series], most_bytes: int
) -> pl.Series | None:
    """None if the combinations have no numbers, or what is made of them is more than so many bytes."""
    codes = list(map(codes_of, columns))
    packed = None if None in codes else packed_of(codes, names, len(columns[0]))
    if packed is None:
        return None
    distinct, places = _numbered(packed.numbers, packed.size)
    texts = [tuple("" if value is None else str(value) for value in row) for row in packed.values(distinct)]
    if len(texts) > _FEW_VALUES:
        labels = {
            name: pl.Series(own, dtype=pl.String) for name, own in zip(names, zip(*texts, strict=True), strict=True)
        }
        made = template_column(template, labels, most_bytes)
        if made is not None:
            return _coded_if_few(_without_replacement(made)).gather(places)
    given: list[str | None] = []
    for row in texts:
        text = _text(template, dict(zip(names, row, strict=True)))
        most_bytes -= len(text or "")
        if most_bytes < 0:
            return None
        given.append(text)
    return _coded_if_few(pl.Series(given, dtype=pl.String)).gather(places)


def _coded_if_few(texts: pl.Series) -> pl.Series:
    kinds = texts.drop_nulls().unique()
    return texts.cast(pl.Enum(kinds)) if len(kinds) <= _MOST_CODES else texts


def _without_replacement(texts: pl.Series) -> pl.Series:
    """Null where U+FFFD is in them, which answers do not show as it is."""
    return where(~texts.str.contains(REPLACEMENT, literal=True), texts)


def _numbered(combination: Integers, size: int) -> tuple[Integers, Integers]:
    """The distinct ones of numbers below the size, and the place of each row's among these."""
    if size > len(combination):
        distinct, places = np.unique(combination, return_inverse=True)
        return distinct, places
    (distinct,) = np.bincount(combination, minlength=size).nonzero()
    table = np.zeros(size, np.int64)
    table[distinct] = np.arange(len(distinct))
    return distinct, table[combination]


def _text(template: Template, labels: dict[str, str]) -> str | None:
    try:
        text = template.render(labels, "", 0)
    except TemplateRuntimeError:
        return None
    return text if text.isascii() or not _NO_TEXT.search(text) else None
