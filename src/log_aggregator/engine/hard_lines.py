"""What `json` and `logfmt` stages find in lines without a shape, where a closer look at many of them soon tells."""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from log_aggregator.engine.document_columns import extracted_members, fields_of_documents
from log_aggregator.engine.entry_labels import sanitise
from log_aggregator.engine.fields import OWN_RULES, Fields, extract_escaped, shapes_of, with_rows
from log_aggregator.engine.irregular_lines import OBJECT
from log_aggregator.engine.label_reader import JSON, LOGFMT, Parsed, kinds_of
from log_aggregator.engine.pairs_in_text import are_well_formed, extracted_pairs, pairs_in_text, pairs_with_empty
from log_aggregator.engine.structured_parsers import StructuredParsers
from log_aggregator.logql import ast
from log_aggregator.logql.paths import parse_json_path
from log_aggregator.model.columns import constant, with_texts

# To look for a name in lines takes a pass over them, and to begin one as long as to read so many one by one.
FEWEST_LINES_OF_TEXT = 75
_MOST_NAMES_IN_TEXT: Final = 6
_LONGEST_NAME_IN_TEXT: Final = 100


class HardLines:
    """Lines that are not easy by their shapes."""

    def __init__(self, parsers: StructuredParsers, *, are_followed: bool) -> None:
        """`are_followed`: others read a line that is made of their labels."""
        self._parsers = parsers
        self._are_followed = are_followed

    def read(
        self, lines: pl.Series, easy: pl.Series, kinds: pl.Series | None, values: Mapping[str, pl.Series]
    ) -> Parsed:
        """What `Parsed` has of easy rows, with what is known of the others by a closer look at their lines."""
        parsed = Parsed(easy, kinds, values, None)
        if any(column.dtype.is_numeric() for column in values.values()):  # some are read as numbers, with no text
            return parsed
        rows = (~easy).arg_true()
        names = list(values if self._parsers.json is not None else self._parsers.extracted or values)
        is_soon_told = len(names) <= _MOST_NAMES_IN_TEXT and all(len(name) <= _LONGEST_NAME_IN_TEXT for name in names)
        if not is_soon_told or len(rows) < FEWEST_LINES_OF_TEXT * len(names):
            return parsed
        found = self._fields(lines.gather(rows), names)
        if found is None or (at := rows.filter(known := found.shape > 0)).is_empty():
            return parsed
        if self._are_followed and any(2 * one.n_unique() > len(at) for one in found.values.values()):
            return parsed  # to run those on each value takes as long as to run all on each row
        if kinds is not None:
            codes = kinds.to_physical().cast(pl.UInt32) + 1
            kinds = kinds_of(codes.scatter(at, found.shape.filter(known).cast(pl.UInt32)))
        texts = {
            name: with_texts(values[name], at, column.filter(known))
            for name, column in found.values.items()
            if name in values
        }
        return Parsed(easy.clone().scatter(at, True), kinds, {**values, **texts}, None)

    def _fields(self, lines: pl.Series, names: Sequence[str]) -> Fields | None:
        """What the parsers find; None where nothing tells but to run them.

        Its `shape` has the codes of how lines are read (`label_reader`), 0 where that is not known.
        """
        json, logfmt = self._parsers.json, self._parsers.logfmt
        if logfmt is None:
            assert json is not None
            return _read_as(JSON, self._in_documents(json, lines, names))
        if json is None:
            return _read_as(LOGFMT, self._in_words(logfmt, lines, names))
        # In lines that are no objects only the logfmt parser finds something.
        rows = (~lines.str.contains(OBJECT)).arg_true()
        found = _read_as(LOGFMT, self._in_words(logfmt, lines.gather(rows), names))
        if found is None:
            return None
        nothing = dict.fromkeys(names, constant(None, len(lines), pl.String))
        return with_rows(Fields(constant(0, len(lines), pl.UInt16), nothing), rows, found)

    def _in_words(self, parser: ast.LogfmtStage, lines: pl.Series, names: Sequence[str]) -> Fields | None:
        """What the logfmt parser finds, if that can be told; lines that it does not know have 0 for a shape."""
        if parser.extractions:
            found = self._in_words_extracted(lines)
        else:
            found = extract_escaped(lines, "logfmt", shapes_of(lines, "logfmt"), names)
            rows = (found.shape == 0).arg_true()
            in_text = pairs_with_empty if self._parsers.keeps_empty else pairs_in_text
            found = with_rows(found, rows, in_text(lines.gather(rows), names)) if len(rows) else found
        if found is None or not parser.strict:
            return found
        known = (found.shape > 0) & are_well_formed(lines)
        return Fields(known.cast(pl.UInt16), found.values)

    def _in_words_extracted(self, lines: pl.Series) -> Fields | None:
        """The same of extractions, by label."""
        fields, demand = self._parsers.extracted, self._parsers.demand
        # The parser passes over keys that are not asked for, unless they have the name of a label.
        keys = [key for key in fields.values() if key in fields or demand.wants(key)]
        others = [label for label, key in fields.items() if label != key]  # whose own pairs are their values, too
        if not set(others).isdisjoint(keys) or any(sanitise(key) != key for key in keys):
            return None
        wanted = demand.names
        found = extracted_pairs(lines, keys, others, only_first=wanted is not None and wanted <= fields.keys())
        nothing = constant(None, len(lines), pl.String)
        return Fields(found.shape, {label: found.values.get(key, nothing) for label, key in fields.items()})

    def _in_documents(self, parser: ast.JsonStage, lines: pl.Series, names: Sequence[str]) -> Fields:
        """What the json parser finds; lines that it does not know have 0 for a shape."""
        fields = self._parsers.fields(names)
        shapes = list(filter(self._parsers.has_all_paths, shapes_of(lines, "json")))
        by_field = extract_escaped(lines, "json", shapes, set(fields.values()))
        known = by_field.shape > 0
        if parser.extractions:
            known &= ~lines.str.contains(OWN_RULES)
        found = Fields(known.cast(pl.UInt16), {name: by_field.values[own] for name, own in fields.items()})
        rows = (~known).arg_true()
        if not len(rows):
            return found
        rest = lines.gather(rows)
        if not parser.extractions:
            return with_rows(found, rows, fields_of_documents(rest, names))
        paths = {one.label: tuple(parse_json_path(one.expression)) for one in parser.extractions}
        return with_rows(found, rows, extracted_members(rest, {label: paths[label] for label in fields}))


def _read_as(code: int, found: Fields | None) -> Fields | None:
    """The same, with the code as the shape of lines that are known."""
    return None if found is None else Fields((found.shape > 0).cast(pl.UInt16) * code, found.values)
