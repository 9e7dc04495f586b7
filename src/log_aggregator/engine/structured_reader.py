"""The reader of `json`, `logfmt` or both: fields that are stored, or that lines have where their shape says.

Which lines are easy follows from the numbers of their shapes (`engine.shape_table`), and of others from a look at their
text, if it is there.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from log_aggregator.engine.entry_labels import OF_ERRORS
from log_aggregator.engine.fields import extract, shapes_of, stored_fields
from log_aggregator.engine.hard_lines import HardLines
from log_aggregator.engine.irregular_lines import OBJECT
from log_aggregator.engine.label_reader import JSON, LOGFMT, NOTHING, UNKNOWN, Parsed, Shapes, kinds_of, lines_of
from log_aggregator.engine.pairs_in_text import are_well_formed
from log_aggregator.engine.shape_table import ShapeTable, shape_table
from log_aggregator.engine.shapes import IRREGULAR_JSON, Shape
from log_aggregator.engine.structured_parsers import StructuredParsers
from log_aggregator.formats.chunk import FIELD_PREFIX, SHAPE
from log_aggregator.model.columns import constant, where
from log_aggregator.model.segment import LINE

# Of names that an expression is made of; of more, Polars refuses it at some point.
_MOST_NAMES_CHARACTERS: Final = 1000


class StructuredReader:
    """A `LabelReader`."""

    def __init__(self, parsers: StructuredParsers, *, are_followed: bool) -> None:
        """`are_followed`: others read a line that is made of their labels."""
        self._parsers = parsers
        self._hard_lines = HardLines(parsers, are_followed=are_followed)
        # Of the last shapes: the row groups of a chunk come together. Read and replaced whole by threads.
        self._known: ShapeTable | None = None

    def columns(self, available: Collection[str], shapes: Shapes, names: Collection[str]) -> set[str]:
        if shapes is None:
            return {LINE}
        wanted = {SHAPE}
        fields = set(self._parsers.fields(names).values())
        stored = {name for name in fields if FIELD_PREFIX + name in available}
        wanted.update(FIELD_PREFIX + name for name in stored)
        if not self._table(shapes).names.isdisjoint(fields - stored):
            wanted.add(LINE)
        if len(self._parsers.kinds) > 1 and any(shape.parser == "json" for shape in shapes):
            wanted.add(LINE)  # for the `=` in it
        return wanted

    def stored_columns(self, names: Collection[str]) -> set[str]:
        return {FIELD_PREFIX + name for name in self._parsers.fields(names).values()}

    def all_names(self, available: Collection[str], shapes: Shapes, *, are_stored: bool) -> Collection[str] | None:
        if self._parsers.extracted:
            return self._parsers.extracted
        names = None if shapes is None else self._table(shapes).names
        if names is None or (are_stored and not all(FIELD_PREFIX + name in available for name in names)):
            return None
        return names

    def read(
        self, frame: pl.DataFrame, shapes: Shapes, names: Collection[str], *, are_all_names: bool = False
    ) -> Parsed:
        fields = self._parsers.fields(names)
        wanted = sorted(set(fields.values()))
        if shapes is None:
            lines = lines_of(frame)
            shapes = [shape for kind in self._parsers.kinds for shape in shapes_of(lines, kind)]
            found = extract(lines, shapes, wanted)
            table, numbers, values = self._table(shapes), found.shape, found.values
        else:
            table, numbers = self._table(shapes), frame[SHAPE]
            values = _stored(frame, table, wanted)
        are_stored = not are_all_names and all(FIELD_PREFIX + name in frame.columns for name in wanted)
        codes = self._codes(frame, numbers, table, None if are_all_names else names, are_stored=are_stored)
        easy, kinds = (None, None) if codes is None else self._easy_and_kinds(codes)
        if kinds is not None and not (has_fields := kinds != "nothing").all():
            # Another parser's fields may be stored beside them.
            values = {name: where(has_fields, column) for name, column in values.items()}
        nothing = constant(None, frame.height, pl.String)
        values = {name: values.get(fields.get(name, ""), nothing) for name in names}
        if table.labels_found:
            values = _without_passed_over(values, numbers, table)
        if easy is not None and not are_all_names and LINE in frame:
            return self._hard_lines.read(frame[LINE], easy, kinds, values)
        known = None
        if _are_regular(numbers, table, are_all_names=are_all_names):
            known = frozenset(self._parsers.extracted) or table.names
        return Parsed(easy, kinds, values, known)

    def _table(self, shapes: Sequence[Shape]) -> ShapeTable:
        known = self._known
        if known is None or known.shapes is not shapes:
            known = self._known = shape_table(self._parsers, shapes)
        return known

    def _easy_and_kinds(self, codes: npt.NDArray[np.uint8]) -> tuple[pl.Series | None, pl.Series | None]:
        """As `Parsed` has them."""
        easy = codes != UNKNOWN
        kinds = None
        if len(self._parsers.kinds) > 1 or (codes == NOTHING).any():
            kinds = kinds_of(np.where(easy, codes, NOTHING))
        return None if easy.all() else pl.Series(easy), kinds

    def _codes(
        self,
        frame: pl.DataFrame,
        numbers: pl.Series,
        table: ShapeTable,
        names: Collection[str] | None,
        *,
        are_stored: bool,
    ) -> npt.NDArray[np.uint8] | None:
        """How rows of these numbers are read. Labels of other names do not matter, of None all do.

        `are_stored`: all fields that matter. None: all are lines of the only parser.
        """
        codes, has_pairs = table.codes if are_stored else table.codes_without_store, table.has_pairs
        low, high = numbers.min(), numbers.max()
        assert isinstance(low, int)
        own = JSON if self._parsers.json is not None else LOGFMT
        if low == high:
            if codes[low] == own and not has_pairs[low]:
                return None
            codes, with_pairs = np.full(frame.height, codes[low]), np.full(frame.height, has_pairs[low])
        else:
            at = numbers.to_numpy()
            codes, with_pairs = codes[at], has_pairs[at]
            if (codes == own).all() and not with_pairs.any():
                return None
        if LINE in frame.columns:
            return self._codes_by_text(frame[LINE], codes, with_pairs, names)
        return np.where(with_pairs, np.uint8(UNKNOWN), codes)

    def _codes_by_text(
        self,
        lines: pl.Series,
        codes: npt.NDArray[np.uint8],
        with_pairs: npt.NDArray[np.bool_],
        names: Collection[str] | None,
    ) -> npt.NDArray[np.uint8]:
        """The codes, with those of unknown lines in which parsers surely find nothing.

        Lines of which the logfmt parser may make pairs of these names become unknown, where shapes say so.
        """
        json, logfmt = self._parsers.json, self._parsers.logfmt
        unknown = codes == UNKNOWN
        is_pair = np.zeros(len(lines), np.bool_)
        if logfmt is not None and (with_pairs.any() or unknown.any()):
            is_pair = self._may_have_pairs(lines, names).to_numpy()
        codes = np.where(with_pairs & is_pair, UNKNOWN, codes)
        if not unknown.any() or (json is not None and self._parsers.extracted):
            return codes
        nothing = unknown
        if json is not None:
            nothing = nothing & ~lines.str.contains(OBJECT).to_numpy()
        if logfmt is not None:
            nothing = nothing & ~is_pair
            if logfmt.strict:
                rows = pl.Series(nothing).arg_true()
                nothing[rows.to_numpy()] = are_well_formed(lines.gather(rows)).to_numpy()
        return np.where(nothing, NOTHING, codes)

    def _may_have_pairs(self, lines: pl.Series, names: Collection[str] | None) -> pl.Series:
        """Lines in which the logfmt parser may find labels of these names, or of any if they are None."""
        keeps_empty, extracted = self._parsers.keeps_empty, self._parsers.extracted
        has_pairs = lines.str.contains("=", literal=True) if not keeps_empty else lines != ""
        if extracted:
            names = {*extracted, *extracted.values()}
        elif names is not None and self._parsers.demand.names is None:
            names = {*names, *OF_ERRORS}  # which fail, if nobody reads them
        if names is None or sum(map(len, names)) > _MOST_NAMES_CHARACTERS:
            return has_pairs
        if not names:
            return constant(False, len(lines), pl.Boolean)
        rows = has_pairs.arg_true()
        begins = "|".join(_key_of(name) + ("" if keeps_empty else "=") for name in sorted(names))
        return has_pairs.scatter(rows, lines.gather(rows).str.contains(begins)) if len(rows) else has_pairs


def _stored(frame: pl.DataFrame, table: ShapeTable, names: Sequence[str]) -> Mapping[str, pl.Series]:
    """The fields of these names that rows of the shapes may have. Raises LinesNeeded."""
    values = {name: frame[FIELD_PREFIX + name] for name in names if FIELD_PREFIX + name in frame.columns}
    rest = [name for name in names if name not in values]
    if not table.names.isdisjoint(rest):
        values |= stored_fields(lines_of(frame), frame[SHAPE], table.shapes, rest)
    return values


def _without_passed_over(
    values: Mapping[str, pl.Series], numbers: pl.Series, table: ShapeTable
) -> Mapping[str, pl.Series]:
    """The values of labels, without those of pairs that the logfmt parser passes over in lines of their shapes."""
    kept = dict(values)
    for name in values:
        lacking = [number for number, labels in enumerate(table.labels_found, 1) if name not in labels]
        if lacking:
            kept[name] = where(~numbers.is_in(lacking), values[name])
    return kept


def _are_regular(numbers: pl.Series, table: ShapeTable, *, are_all_names: bool) -> bool:
    """Whether easy rows of these numbers have no labels but those of the table, even of names not asked for."""
    if (numbers >= IRREGULAR_JSON).any():
        return False
    if are_all_names or not table.has_pairs[1:IRREGULAR_JSON].any():
        return True
    return not table.has_pairs[numbers.to_numpy()].any()


def _key_of(name: str) -> str:
    """An expression that finds each key of logfmt, wherever it is, that may become a label of the name; and others.

    What names do not allow in a key becomes an underscore, as does nothing before a digit; space at its ends is lost.
    """
    return re.sub("^_", "_?", name).replace("_", "[^A-Za-z0-9]") + r"[^\x00-\x7f]*"
