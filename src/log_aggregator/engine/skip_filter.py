"""What a row group must hold for a query to find anything in it, told by a few hashes.

A *run* is a longest stretch of at least 16 characters of which ids are made: hexadecimal digits and dashes, as in trace
ids, UUIDs and request ids. Of any nine grams of eight characters that follow on each other in a run, the one with the
smallest hash is kept (a *minimizer*). So whatever 16 characters of a run someone looks for, what is kept of them alone
has been kept of the run too: a text that was cut out at unknown places can be missed only if it is not there. Of 32 hex
digits, about four hashes are kept.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from log_aggregator.engine.pipeline import line_filters_first
from log_aggregator.logql.ast import (
    AndFilter,
    LabelFilter,
    LabelFilterStage,
    LineFilterStage,
    LineOperand,
    Stage,
    StringFilter,
)
from log_aggregator.logql.pattern import parse_line_pattern
from log_aggregator.model.columns import constant
from log_aggregator.model.tenants import TENANT_LABEL

_SHORTEST_RUN = 16
# Odd numbers whose bits look random.
_SPREAD = ((1, 0x9E3779B1), (2, 0x85EBCA77), (4, 0xC2B2AE3D))
_ORDER = 0x27D4EB2F
# Such a regular expression is a text that stands for itself.
_PLAIN = re.compile(r'[0-9A-Za-z_\-=:", ]*')


@dataclass(frozen=True, slots=True)
class Needle:
    """Every row that a query finds has one of these texts in its line, or in its metadata.

    With a `label`, that does not hold for streams which have this label.
    """

    texts: tuple[str, ...]
    label: str | None = None


def minimizers(texts: pl.Series) -> pl.Series:
    """Hashes (UInt32) of what the runs in the texts are made of, those of neighbours once.

    Shifts and comparisons of whole columns of bytes: an extraction of the runs alone would cost as much again.
    """
    characters = texts.str.join("\n").cast(pl.Binary).cast(pl.List(pl.UInt8)).explode()
    if len(characters) < _SHORTEST_RUN:
        return pl.Series(dtype=pl.UInt32)
    begins = _begins(characters)
    if not begins.any():
        return pl.Series(dtype=pl.UInt32)
    characters = characters.filter(_in_runs(begins))
    smallest = _smallest_of_9(_grams(characters)).filter(_begins(characters))
    return smallest.filter(smallest.ne_missing(smallest.shift(1)))


@lru_cache(64)  # a query asks twice, and again when it is refreshed
def hashes_of(text: str) -> tuple[int, ...]:
    """The minimizers of one text, each once; none where it has no run."""
    if len(text) < _SHORTEST_RUN:
        return ()
    return tuple(minimizers(pl.Series([text])).unique(maintain_order=True))


def needles_of(stages: Sequence[Stage]) -> tuple[Needle, ...]:
    """All of them must be met by a row that passes the stages."""
    return tuple(needle for needle in _needles(stages) if all(map(hashes_of, needle.texts)))


def _needles(stages: Sequence[Stage]) -> Iterator[Needle]:
    for stage in line_filters_first(stages):
        match stage:
            case LineFilterStage("|=", operands) if not any(one.is_ip for one in operands):
                yield Needle(tuple(one.text for one in operands))
            case LineFilterStage("|~", operands) if all(_PLAIN.fullmatch(one.text) for one in operands):
                yield Needle(tuple(one.text for one in operands))
            case LineFilterStage("|>", operands):
                yield Needle(tuple(map(_most_telling, operands)))
            case LineFilterStage():
                pass
            case LabelFilterStage(node):
                yield from _of_labels(node)
            case _:
                return


def _most_telling(operand: LineOperand) -> str:
    """The literal of a line pattern that has the most hashes: all must be in the line."""
    literals = (part for part in parse_line_pattern(operand.text).parts if isinstance(part, str))
    return max(literals, key=lambda text: len(hashes_of(text)), default="")


def _of_labels(node: LabelFilter) -> Iterator[Needle]:
    """Before any parser, what a label holds stands in the metadata, or is the stream's."""
    match node:
        case StringFilter(matcher) if matcher.op == "=" and not matcher.name.endswith(TENANT_LABEL):
            yield Needle((matcher.value,), matcher.name)
        case AndFilter(left, right):
            yield from _of_labels(left)
            yield from _of_labels(right)
        case _:
            pass


# Columns are compared with themselves some places further on, by slices, which copy nothing.


def _begins(characters: pl.Series) -> pl.Series:
    """Where this character and the next 15 are of ids; 15 shorter than `characters`."""
    lower = characters | 0x20
    # Some control characters pass too, which does no harm, but never a line feed.
    mask = ((lower - ord("0")) <= 9) | ((lower - ord("a")) <= 5) | (lower == ord("-"))
    for distance in (1, 2, 4, 8):
        mask = mask.head(-distance) & mask.slice(distance)
    return mask


def _in_runs(begins: pl.Series) -> pl.Series:
    """Which characters are in a run or just behind one, which keeps it apart from the next."""
    around = constant(False, _SHORTEST_RUN, pl.Boolean)
    mask = pl.concat([around, begins, around])
    for distance in (1, 2, 4, 8, 1):
        mask = mask.head(-distance) | mask.slice(distance)
    return mask.head(len(begins) + _SHORTEST_RUN - 1)


def _grams(characters: pl.Series) -> pl.Series:
    """The hash of each character and the seven behind it."""
    hashes = characters.cast(pl.UInt32) + 1
    for distance, factor in _SPREAD:
        hashes = hashes.head(-distance) * factor + hashes.slice(distance)
    return hashes * _ORDER


def _smallest_of_9(hashes: pl.Series) -> pl.Series:
    """Of each and the eight behind it."""
    for distance in (1, 2, 4, 1):
        earlier, later = hashes.head(-distance), hashes.slice(distance)
        hashes = earlier.zip_with(earlier < later, later)
    return hashes
