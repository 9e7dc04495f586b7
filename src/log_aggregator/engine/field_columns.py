"""Which keys of structured lines become columns of a chunk, and those columns.

Shapes are found in a sample, so a flush pays for one pass of one expression over the lines that have a shape. Keys are
taken from the cheapest to store upwards, until a small share of the text's size is spent: a status or a method costs
next to nothing, a trace id as much as it does in the text, and is left there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from log_aggregator.engine.fields import Fields, extract, sample
from log_aggregator.engine.irregular_lines import with_irregular_lines
from log_aggregator.engine.shapes import IRREGULAR_LOGFMT, Shape, compiled, discover
from log_aggregator.engine.words import WHOLE_LINE, discover_text, up_to
from log_aggregator.model.columns import where

# Of the bytes of the lines. Lines take about a fifth of their size when compressed, so this is a tenth of a chunk.
_BUDGET = 0.03
# Of the lines, those without a shape that are stored once more, so that patterns need no others.
_WHOLE_LINES = 0.02
# Words are asked for less often, and their lines are shorter.
_BUDGET_OF_TEXT = 0.01
# A shape rarer than this is not worth its pass over the lines.
_MIN_SHARE = 0.02
_DICTIONARY_SHARE = 0.5  # of distinct values in the sample, up to which a dictionary is expected to pay
_NUMBER_BYTES = 0.45  # of a digit, compressed
_TEXT_BYTES = 0.8


@dataclass(frozen=True, slots=True)
class FieldChoice:
    """What lines look like, and the keys that become columns."""

    shapes: tuple[Shape, ...]
    names: tuple[str, ...]


def choose_fields(lines: pl.Series) -> FieldChoice:
    """For a chunk with these lines."""
    lines_of_sample = sample(lines)
    structured = _frequent([*discover(lines_of_sample, "json"), *discover(lines_of_sample, "logfmt")], lines_of_sample)
    names = _affordable(lines_of_sample, structured, _BUDGET)
    # Words that are always the same are seldom asked for, and take time.
    text = _frequent(discover_text(lines_of_sample), lines_of_sample)
    own_lines = [line for line in lines_of_sample if any(compiled(shape).fullmatch(line) for shape in text)]
    words = _affordable(own_lines, text, _BUDGET_OF_TEXT, least_distinct=2)
    cut = dict.fromkeys(shape for one in text if (shape := up_to(one, words)) is not None)
    return FieldChoice((*structured, *cut), (*names, *words, *([WHOLE_LINE] if cut else [])))


def field_columns(lines: pl.Series, choice: FieldChoice) -> Fields | None:
    """The columns for a row group of the chunk; none when the chunk's lines have no shapes."""
    if not choice.shapes:
        return None
    found = with_irregular_lines(lines, extract(lines, choice.shapes, choice.names), choice.shapes)
    rows = found.shape >= IRREGULAR_LOGFMT
    if WHOLE_LINE in choice.names and 0 < rows.sum() <= max(1, _WHOLE_LINES * len(lines)):
        return Fields(found.shape, {**found.values, WHOLE_LINE: where(rows, lines)})
    return found


def _frequent(found: Sequence[tuple[int, Shape]], lines: Sequence[str]) -> list[Shape]:
    return [shape for count, shape in found if count >= _MIN_SHARE * len(lines)]


def _affordable(lines: Sequence[str], shapes: Sequence[Shape], budget: float, *, least_distinct: int = 1) -> list[str]:
    """The names whose columns fit the budget, a share of the bytes of the lines."""
    values: dict[str, list[str]] = {}
    for shape in shapes:
        matches = [match for line in lines if (match := compiled(shape).fullmatch(line))]
        for number, name in enumerate(shape.names, 1):
            values.setdefault(name, []).extend(match[number] for match in matches)
    left = budget * sum(len(line) for line in lines)
    chosen = []
    for cost, name in sorted((_cost(own), name) for name, own in values.items() if len(set(own)) >= least_distinct):
        left -= cost
        if left < 0:
            break
        chosen.append(name)
    return chosen


def _cost(values: Sequence[str]) -> float:
    """An estimate of the bytes that these values take in a compressed column."""
    distinct = len(set(values))
    if distinct <= _DICTIONARY_SHARE * len(values):
        return len(values) * math.log2(distinct) / 8
    digits = all(value[:1].isdigit() for value in values)
    return sum(map(len, values)) * (_NUMBER_BYTES if digits else _TEXT_BYTES)
