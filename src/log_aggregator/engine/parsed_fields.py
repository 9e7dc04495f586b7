"""What the parsers of a pipeline find in a column of lines, where that is surely known.

A line is read by what it looks like: by its shape, or as one in which a parser finds nothing at all. Lines that are
neither are left to the row-wise stages.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from log_aggregator.engine.document_columns import extracted_members, fields_of_documents
from log_aggregator.engine.entry_labels import (
    ERROR,
    ERROR_DETAILS,
    EXTRACTED,
    PRESERVE_ERROR,
    REPLACEMENT,
    Demand,
    EntryLabels,
    join_names,
    sanitise,
)
from log_aggregator.engine.fields import (
    OWN_RULES,
    Fields,
    coalesced,
    extract,
    extract_escaped,
    shapes_of,
    stored_fields,
    with_rows,
)
from log_aggregator.engine.irregular_lines import OBJECT
from log_aggregator.engine.json_stages import PACKED_ENTRY
from log_aggregator.engine.logfmt import compile_logfmt
from log_aggregator.engine.pairs_in_text import are_well_formed, extracted_pairs, pairs_in_text, pairs_with_empty
from log_aggregator.engine.pattern_columns import pattern_columns
from log_aggregator.engine.regexp_columns import has_regexp_columns, regexp_columns, regexp_labels
from log_aggregator.engine.shapes import (
    IRREGULAR_JSON,
    NUMBERS,
    TEXT,
    Shape,
    json_sample,
)
from log_aggregator.engine.unpacked_lines import unpacked
from log_aggregator.engine.words import WHOLE_LINE, captured_words
from log_aggregator.formats.chunk import FIELD_PREFIX, SHAPE
from log_aggregator.logql import ast
from log_aggregator.logql.ast import Stage
from log_aggregator.logql.paths import parse_json_path, parse_logfmt_key
from log_aggregator.logql.pattern import parse_pattern
from log_aggregator.model.columns import coded, constant, where
from log_aggregator.model.segment import LINE

ParserStage = ast.JsonStage | ast.LogfmtStage | ast.PatternStage | ast.RegexpStage | ast.UnpackStage
"""Stages that extract labels from the line."""
_CAPTURING = ast.PatternStage | ast.RegexpStage
OF_ERRORS: Final = frozenset((ERROR, ERROR_DETAILS, PRESERVE_ERROR))

Kind = Literal["json", "logfmt", "nothing"]
"""How a line is read; `nothing`: as one that the parsers find nothing in."""
KINDS: Final = pl.Enum(["json", "logfmt", "nothing"])
KIND: Final = ""
"""Stands among the fields of an outline for how its line is read: no label has this name."""
UNPACKED: Final = "|unpack"
"""Stands among labels for the line that `unpack` leaves: no label has this name."""
# To look for a name in lines takes a pass over them, and to begin one as long as to read so many one by one.
FEWEST_LINES_OF_TEXT = 75
_MOST_NAMES_IN_TEXT: Final = 6
_LONGEST_NAME_IN_TEXT: Final = 100
# Of names that an expression is made of; of more, Polars refuses it at some point.
_MOST_NAMES_CHARACTERS: Final = 1000
# Codes: 1 + the number of a kind; 0 where rows are not easy.
_UNKNOWN, _JSON, _LOGFMT, _NOTHING = range(4)


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


def has_columns(parsers: Sequence[ParserStage]) -> bool:
    """Whether `ParsedFields` knows the labels that these give one after the other."""
    if len(parsers) > 1:
        kinds = {type(parser) for parser in parsers}
        return len(parsers) == 2 and kinds == {ast.JsonStage, ast.LogfmtStage} and not any(map(labels_of, parsers))
    return all(map(_is_plain, parsers))


def labels_of(parser: ParserStage) -> list[str]:
    """The labels of its extractions."""
    return [] if isinstance(parser, _CAPTURING | ast.UnpackStage) else [one.label for one in parser.extractions]


def may_fail(parser: ParserStage) -> bool:
    """Whether there are lines that it fails to read."""
    return isinstance(parser, ast.JsonStage | ast.UnpackStage) or (
        isinstance(parser, ast.LogfmtStage) and parser.strict
    )


def _is_plain(parser: ParserStage) -> bool:
    """Whether the labels it gives are fields of those names, in whatever order they are found."""
    if isinstance(parser, _CAPTURING):
        if isinstance(parser, ast.RegexpStage) and not has_regexp_columns(parser.pattern):
            return False
        names = _captured_names(parser)
        return not any(is_made(name) and (name in OF_ERRORS or name.removesuffix(EXTRACTED) in names) for name in names)
    if isinstance(parser, ast.UnpackStage):
        return True
    labels = labels_of(parser)
    if any(map(is_made, labels)) or len(set(labels)) != len(labels):
        return False
    if isinstance(parser, ast.JsonStage):
        paths = [parse_json_path(one.expression) for one in parser.extractions]
        return all(isinstance(key, str) for path in paths for key in path[:1] + path[1:-1])
    keys = [parse_logfmt_key(one.expression) for one in parser.extractions]
    return len(set(keys)) == len(keys)


def _captured_names(parser: ast.PatternStage | ast.RegexpStage) -> Sequence[str]:
    """The labels that it gives."""
    if isinstance(parser, ast.PatternStage):
        return parse_pattern(parser.pattern).names
    return tuple(regexp_labels(parser.pattern))


def is_made(name: str) -> bool:
    """Whether a label of this name may come from elsewhere than from a field of the name."""
    return name.endswith(EXTRACTED) or name in OF_ERRORS


@dataclass(frozen=True, slots=True)
class _Tables:
    """What follows from shapes: codes, and whether the logfmt parser finds something in lines with a `=`, by number.

    `codes_without_store` are the codes where a field that matters is not stored. `found` are the labels that the parser
    gives a value, shape by shape, if it follows an order (`ParsedFields.follows_order`).
    """

    shapes: Sequence[Shape]
    codes: npt.NDArray[np.uint8]
    codes_without_store: npt.NDArray[np.uint8]
    has_pairs: npt.NDArray[np.bool_]
    found: Sequence[frozenset[str]]


class ParsedFields:
    """What the parsers at the front of a pipeline find, if they have columns. Safe to use from several threads."""

    def __init__(
        self, parsers: Sequence[ParserStage], demand: Demand | None = None, *, are_followed: bool = False
    ) -> None:
        """`demand` is what the parsers are asked for: all, if it is not given.

        `are_followed`: others read a line that is made of their labels.
        """
        self.parsers = tuple(parsers)
        self._are_followed = are_followed
        self._demand = demand or Demand()
        # Of the last shapes: the row groups of a chunk come together. Read and replaced whole by threads.
        self._known: _Tables | None = None
        self._json = next((parser for parser in parsers if isinstance(parser, ast.JsonStage)), None)
        self._logfmt = next((parser for parser in parsers if isinstance(parser, ast.LogfmtStage)), None)

    def columns(self, available: Collection[str], shapes: Sequence[Shape] | None, names: Collection[str]) -> set[str]:
        """What `read` wants of a batch with these columns and shapes to tell labels of these names."""
        if not self.parsers:
            return set()
        if isinstance(self.parsers[0], _CAPTURING):
            return self._columns_of_words(available, shapes, names) or {LINE}
        if shapes is None or self._is_unpacking:
            return {LINE}
        wanted = {SHAPE}
        fields = set(self._fields(names).values())
        stored = {name for name in fields if FIELD_PREFIX + name in available}
        wanted.update(FIELD_PREFIX + name for name in stored)
        if self._are_in_lines(shapes, fields - stored):
            wanted.add(LINE)
        if len(self.parsers) > 1 and any(shape.parser == "json" for shape in shapes):
            wanted.add(LINE)  # for the `=` in it
        return wanted

    def field_of(self, name: str) -> str | None:
        """The field that the label holds."""
        return self._fields((name,)).get(name)

    def all_names(
        self, available: Collection[str], shapes: Sequence[Shape] | None, *, are_stored: bool
    ) -> Collection[str] | None:
        """All labels that parsers may give in a batch with these columns and shapes.

        None if that is not known, or, if all of them are to be stored, some fields are not.
        """
        if not self.parsers:
            return ()
        if isinstance(self.parsers[0], _CAPTURING):
            return _captured_names(self.parsers[0])
        if self._is_unpacking:
            return None
        if self._extracted:
            return self._extracted
        names = None if shapes is None else self._names_in(shapes)
        if names is None or (are_stored and not all(FIELD_PREFIX + name in available for name in names)):
            return None
        return names

    def read(
        self,
        frame: pl.DataFrame,
        shapes: Sequence[Shape] | None,
        names: Collection[str],
        *,
        are_all_names: bool = False,
    ) -> Parsed:
        """The labels of these names, of which it may matter that there are no others. Raises LinesNeeded."""
        if not self.parsers:
            return Parsed(None, None, {})
        first = self.parsers[0]
        if isinstance(first, _CAPTURING):
            if (words := self._words(frame, shapes, names)) is not None:
                return Parsed(None, None, words, frozenset(_captured_names(first)))
            lines = _lines(frame)
            # The parser of outlines reads U+FFFD in a way of its own.
            broken = lines.str.contains(REPLACEMENT, literal=True)
            capture = pattern_columns if isinstance(first, ast.PatternStage) else regexp_columns
            easy = ~broken if broken.any() else None
            return Parsed(easy, None, capture(first.pattern, lines, sorted(names)), frozenset(_captured_names(first)))
        if self._is_unpacking:
            return self._unpacked(_lines(frame), names)
        fields = self._fields(names)
        wanted = sorted(set(fields.values()))
        if shapes is None:
            shapes = [shape for kind in self._kinds for shape in shapes_of(_lines(frame), kind)]
            found = extract(_lines(frame), shapes, wanted)
            numbers, values = found.shape, dict(found.values)
        else:
            numbers, values = frame[SHAPE], self._stored(frame, shapes, wanted)
        are_stored = not are_all_names and all(FIELD_PREFIX + name in frame.columns for name in wanted)
        tables, needed = self._tables(shapes), None if are_all_names else names
        easy, kinds = self._easy_and_kinds(frame, numbers, tables, needed, are_stored=are_stored)
        are_regular = not (numbers >= IRREGULAR_JSON).any()
        if are_regular and not are_all_names and tables.has_pairs[1:IRREGULAR_JSON].any():
            are_regular = not tables.has_pairs[numbers.to_numpy()].any()  # of names not asked for
        if kinds is not None and not (has_fields := kinds != "nothing").all():
            # Another parser's fields may be stored beside them.
            values = {name: where(has_fields, column) for name, column in values.items()}
        nothing = constant(None, frame.height, pl.String)
        values = {name: values.get(fields.get(name, ""), nothing) for name in names}
        if self.follows_order:
            values = self._without_passed_over(values, numbers, shapes)
        if easy is not None and not are_all_names and LINE in frame:
            easy, kinds, values = self._with_hard_lines(frame[LINE], easy, kinds, values)
            are_regular = False
        known = frozenset(self._extracted or self._names_in(shapes)) if are_regular else None
        return Parsed(easy, kinds, values, known)

    @cached_property
    def follows_order(self) -> frozenset[str]:
        """The labels of a logfmt parser that passes over pairs, by the order of a line's keys and by what is asked for.

        `read` does not know which pairs in entries whose stream or metadata has one of these labels, nor keys without a
        value there: they leave the label, and give another of the name empty.
        """
        return frozenset(one.label for one in self._logfmt.extractions) if self._logfmt is not None else frozenset()

    def default(self, name: str) -> str | None:
        """What the label is where its field is missing: those of extractions are empty then."""
        return "" if name in self._extracted else None

    def outline_line(self, fields: Mapping[str, str]) -> str:
        """A line without breaks that is read as KIND says and in which `outline_parser` finds just the other fields."""
        kind = fields.get(KIND)
        values = {name: value for name, value in fields.items() if name != KIND}
        if kind == "nothing":
            return " "  # a word is a label without a value to logfmt, which may keep it
        if self._is_unpacking:
            values[PACKED_ENTRY] = ""
        if kind == "logfmt" or (kind is None and self._json is None and self._logfmt is not None):
            return " ".join(f'{name}="{_escaped(value)}"' for name, value in values.items())
        return msgspec.json.encode(values).decode()

    def outline_parser(self, parser: ParserStage) -> Stage:
        """What stands for the parser where a line has the labels that it gives as fields."""
        match parser:
            case ast.JsonStage(extractions):
                return ast.JsonStage(tuple(ast.Extraction(one.label, one.label) for one in extractions))
            case ast.LogfmtStage(extractions, strict, keep_empty):
                same = tuple(ast.Extraction(one.label, one.label) for one in extractions)
                return ast.LogfmtStage(same, strict, keep_empty)
            case ast.UnpackStage():
                return parser
            case _:
                return ast.JsonStage()

    @property
    def _is_unpacking(self) -> bool:
        return any(isinstance(parser, ast.UnpackStage) for parser in self.parsers)

    @property
    def _kinds(self) -> list[Literal["json", "logfmt"]]:
        return ["json" if isinstance(parser, ast.JsonStage) else "logfmt" for parser in self.parsers]

    @cached_property
    def _extracted(self) -> dict[str, str]:
        """The fields that extractions are of, by label."""
        found = {}
        for parser in self.parsers:
            if isinstance(parser, ast.JsonStage):
                for one in parser.extractions:
                    name = ""
                    for key in parse_json_path(one.expression):
                        name = join_names(name, str(key))
                    found[one.label] = name
            elif isinstance(parser, ast.LogfmtStage):
                found |= {one.label: parse_logfmt_key(one.expression) for one in parser.extractions}
        return found

    def _unpacked(self, lines: pl.Series, names: Collection[str]) -> Parsed:
        """What `unpack` finds, and the line that it leaves."""
        if self._demand.names == frozenset():  # the stage does nothing then
            return Parsed(None, None, {**dict.fromkeys(names, constant(None, len(lines), pl.String)), UNPACKED: lines})
        found = unpacked(lines, sorted(set(names) - {UNPACKED}))
        fails = ~lines.str.starts_with("{") & (lines != "")
        kinds = pl.Series(KINDS.categories, dtype=KINDS).gather(np.where(fails, _NOTHING, _JSON) - 1)
        values = dict(found.values)
        entry = values.pop(PACKED_ENTRY)
        if PACKED_ENTRY in names:
            values[PACKED_ENTRY] = constant(None, len(lines), pl.String)  # the entry becomes the line, and no label
        values[UNPACKED] = entry.zip_with(entry.is_not_null(), lines)
        return Parsed((found.shape > 0) | fails, kinds, values, None)

    def _columns_of_words(
        self, available: Collection[str], shapes: Sequence[Shape] | None, names: Collection[str]
    ) -> set[str]:
        """What `_words` wants; nothing where there is no shape whose lines it can read."""
        wanted: set[str] = set()
        for shape in shapes or ():
            captured = self._captured(shape, available, names)
            if captured is not None:
                wanted |= {SHAPE, *(FIELD_PREFIX + str(word) for word in captured.values() if isinstance(word, int))}
        return wanted | ({FIELD_PREFIX + WHOLE_LINE} & set(available)) if wanted else wanted

    def _words(
        self, frame: pl.DataFrame, shapes: Sequence[Shape] | None, names: Collection[str]
    ) -> Mapping[str, pl.Series] | None:
        """What a pattern captures in lines of text, from the words that are stored. None if some are not known."""
        if shapes is None or SHAPE not in frame.columns:
            return None
        numbers = frame[SHAPE]
        captured: dict[int, Mapping[str, int | str]] = {}
        for number in [numbers[0]] if numbers.min() == numbers.max() else numbers.unique():
            if 0 < number <= len(shapes):
                own = self._captured(shapes[number - 1], frame.columns, names)
                if own is None:
                    return None
                captured[number] = own
        found = {name: _column_of(name, captured, frame) for name in names}
        rows = (~numbers.is_in(list(captured))).arg_true()
        return found if not len(rows) else self._with_whole_lines(found, rows, frame)

    def _with_whole_lines(
        self, found: Mapping[str, pl.Series], rows: pl.Series, frame: pl.DataFrame
    ) -> Mapping[str, pl.Series] | None:
        """With what the pattern captures in these rows, if they are stored apart."""
        (parser,) = self.parsers
        if FIELD_PREFIX + WHOLE_LINE not in frame.columns or not isinstance(parser, ast.PatternStage):
            return None
        lines = frame[FIELD_PREFIX + WHOLE_LINE].gather(rows).cast(pl.String)
        if lines.null_count() or lines.str.contains(REPLACEMENT, literal=True).any():
            return None
        captured = pattern_columns(parser.pattern, lines, sorted(found))
        return {name: _with_texts(column, rows, captured[name]) for name, column in found.items()}

    def _captured(
        self, shape: Shape, available: Collection[str], names: Collection[str]
    ) -> Mapping[str, int | str] | None:
        """The words that captures of these names are in lines of the shape; None if one is not stored."""
        (parser,) = self.parsers
        if shape.parser != "text" or not isinstance(parser, ast.PatternStage):
            return None
        captured = captured_words(parser.pattern, shape)
        wanted = [name for name in _captured_names(parser) if name in names]
        words = {name: captured[name] for name in wanted if name in captured}
        if len(words) < len(wanted):
            return None
        are_stored = (isinstance(word, str) or FIELD_PREFIX + str(word) in available for word in words.values())
        return words if all(are_stored) else None

    def _fields(self, names: Collection[str]) -> dict[str, str]:
        """The fields that labels of these names hold, by label."""
        if not self._extracted:
            return {name: name for name in names}
        return {name: self._extracted[name] for name in names if name in self._extracted}

    def _code(self, shape: Shape) -> int:
        """How the parsers read lines of the shape."""
        if shape.parser == "text":
            return self._codes_of_others()[TEXT - IRREGULAR_JSON]  # in which there may be pairs
        if shape.parser == "json":
            if self._logfmt is not None and not self._is_lenient:
                return _UNKNOWN
            if self._json is None:
                return _NOTHING
            return _JSON if self._has_all_paths(shape) else _UNKNOWN
        if self._logfmt is None:
            return _UNKNOWN if self._extracted else _NOTHING
        taken = [label for label, key in self._extracted.items() if label != key and label in shape.names]
        return _UNKNOWN if taken else _LOGFMT

    def _codes_of_others(self) -> tuple[int, int, int, int]:
        """How the parsers read irregular JSON, irregular logfmt, text, and text with pairs."""
        json, logfmt, is_unnamed = self._json is not None, self._logfmt is not None, not self._extracted
        if json and not is_unnamed:
            return _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN
        if not logfmt:
            return _JSON, _NOTHING, _NOTHING, _NOTHING
        if not self._is_lenient:
            return _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN
        return _JSON if json else _NOTHING, _LOGFMT if is_unnamed else _UNKNOWN, _NOTHING, _UNKNOWN

    @property
    def _is_lenient(self) -> bool:
        """Whether the logfmt parser has nothing to say about text without `=`."""
        parser = self._logfmt
        return parser is not None and not parser.strict and not self._keeps_empty

    @property
    def _keeps_empty(self) -> bool:
        """Whether a key without a value is a label. Extractions are labels anyway."""
        parser = self._logfmt
        return parser is not None and parser.keep_empty and not parser.extractions

    def _with_hard_lines(
        self,
        lines: pl.Series,
        easy: pl.Series,
        kinds: pl.Series | None,
        values: dict[str, pl.Series],
    ) -> tuple[pl.Series, pl.Series | None, dict[str, pl.Series]]:
        """With what is known of rows that are not easy by a closer look at their lines."""
        if any(column.dtype.is_numeric() for column in values.values()):  # some are read as numbers, with no text
            return easy, kinds, values
        rows = (~easy).arg_true()
        names = list(values if self._json is not None else self._extracted or values)
        is_soon_told = len(names) <= _MOST_NAMES_IN_TEXT and all(len(name) <= _LONGEST_NAME_IN_TEXT for name in names)
        if not is_soon_told or len(rows) < FEWEST_LINES_OF_TEXT * len(names):
            return easy, kinds, values
        found = self._in_text(lines.gather(rows), names)
        if found is None or (at := rows.filter(known := found.shape > 0)).is_empty():
            return easy, kinds, values
        if self._are_followed and any(2 * one.n_unique() > len(at) for one in found.values.values()):
            return easy, kinds, values  # to run those on each value takes as long as to run all on each row
        if kinds is not None:
            numbers = kinds.to_physical().cast(pl.UInt32).scatter(at, found.shape.filter(known).cast(pl.UInt32) - 1)
            kinds = pl.Series(KINDS.categories, dtype=KINDS).gather(numbers)
        texts = {
            name: _with_texts(values[name], at, column.filter(known))
            for name, column in found.values.items()
            if name in values
        }
        return easy.clone().scatter(at, True), kinds, values | texts

    def _in_text(self, lines: pl.Series, names: Sequence[str]) -> Fields | None:
        """What the parsers find in lines without a shape; None where nothing tells but to run them.

        Its `shape` has the codes of how lines are read, 0 where that is not known.
        """
        if self._json is None:
            return _read_as(_LOGFMT, self._in_words(lines, names))
        if self._logfmt is None:
            return _read_as(_JSON, self._in_documents(self._json, lines, names))
        # In lines that are no objects only the logfmt parser finds something.
        rows = (~lines.str.contains(OBJECT)).arg_true()
        found = _read_as(_LOGFMT, self._in_words(lines.gather(rows), names))
        if found is None:
            return None
        nothing = dict.fromkeys(names, constant(None, len(lines), pl.String))
        return with_rows(Fields(constant(0, len(lines), pl.UInt16), nothing), rows, found)

    def _in_words(self, lines: pl.Series, names: Sequence[str]) -> Fields | None:
        """What the logfmt parser finds, if that can be told; lines that it does not know have 0 for a shape."""
        assert self._logfmt is not None
        if self._extracted:
            found = self._in_words_extracted(lines)
        else:
            found = extract_escaped(lines, "logfmt", shapes_of(lines, "logfmt"), names)
            rows = (found.shape == 0).arg_true()
            in_text = pairs_with_empty if self._keeps_empty else pairs_in_text
            found = with_rows(found, rows, in_text(lines.gather(rows), names)) if len(rows) else found
        if found is None or not self._logfmt.strict:
            return found
        known = (found.shape > 0) & are_well_formed(lines)
        return Fields(known.cast(pl.UInt16), found.values)

    def _in_words_extracted(self, lines: pl.Series) -> Fields | None:
        """The same of extractions, by label."""
        fields = self._extracted
        # The parser passes over keys that are not asked for, unless they have the name of a label.
        keys = [key for key in fields.values() if key in fields or self._demand.wants(key)]
        others = [label for label, key in fields.items() if label != key]  # whose own pairs are their values, too
        if not set(others).isdisjoint(keys) or any(sanitise(key) != key for key in keys):
            return None
        wanted = self._demand.names
        found = extracted_pairs(lines, keys, others, only_first=wanted is not None and wanted <= fields.keys())
        nothing = constant(None, len(lines), pl.String)
        return Fields(found.shape, {label: found.values.get(key, nothing) for label, key in fields.items()})

    def _in_documents(self, parser: ast.JsonStage, lines: pl.Series, names: Sequence[str]) -> Fields:
        """What the json parser finds."""
        fields = self._fields(names)
        own = list(filter(self._has_all_paths, shapes_of(lines, "json")))
        by_field = extract_escaped(lines, "json", own, set(fields.values()))
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

    def _has_all_paths(self, shape: Shape) -> bool:
        """Whether each path of the extractions leads to the field of its name, or there is nothing of either."""
        if self._json is None or not self._json.extractions:
            return True
        document = json_sample(shape)
        if document is None:
            return False
        for extraction in self._json.extractions:
            found: object = document
            for key in parse_json_path(extraction.expression):
                if isinstance(found, list):
                    return False
                found = found.get(key) if isinstance(found, dict) else None
                if found is None:
                    break
            is_named = self._extracted[extraction.label] in shape.names
            if is_named is not isinstance(found, str) or (found is not None and not is_named):
                return False
        return True

    def _stored(self, frame: pl.DataFrame, shapes: Sequence[Shape], names: Sequence[str]) -> dict[str, pl.Series]:
        """The fields of these names that rows of the shapes may have."""
        values = {name: frame[FIELD_PREFIX + name] for name in names if FIELD_PREFIX + name in frame.columns}
        rest = [name for name in names if name not in values]
        if self._are_in_lines(shapes, rest):
            values |= stored_fields(_lines(frame), frame[SHAPE], shapes, rest)
        return values

    def _without_passed_over(
        self, values: Mapping[str, pl.Series], numbers: pl.Series, shapes: Sequence[Shape]
    ) -> dict[str, pl.Series]:
        """The values of labels, without those of pairs that the logfmt parser passes over in lines of their shapes."""
        found = self._tables(shapes).found
        kept = dict(values)
        for name in values:
            lacking = [number for number, labels in enumerate(found, 1) if name not in labels]
            if lacking:
                kept[name] = where(~numbers.is_in(lacking), values[name])
        return kept

    def _labels_found(self, shape: Shape) -> frozenset[str]:
        """The labels that the logfmt parser gives a value, whatever the values are."""
        assert self._logfmt is not None
        labels = EntryLabels(0, {}, {}, self._demand)
        compile_logfmt(self._logfmt)(" ".join(f"{name}=x" for name in shape.names), labels)
        return frozenset(name for name in self._extracted if labels.get(name))

    def _are_in_lines(self, shapes: Sequence[Shape], names: Collection[str]) -> bool:
        """Whether the parsers may find fields of these names in lines of the shapes."""
        return not self._names_in(shapes).isdisjoint(names)

    def _names_in(self, shapes: Sequence[Shape]) -> set[str]:
        """The fields that the parsers may find in lines of the shapes."""
        codes = self._tables(shapes).codes
        found = (shape.names for number, shape in enumerate(shapes, 1) if codes[number] in (_JSON, _LOGFMT))
        return {name for names in found for name in names}

    def _tables(self, shapes: Sequence[Shape]) -> "_Tables":
        known = self._known
        if known is None or known.shapes is not shapes:
            codes, has_pairs = np.full(NUMBERS, _UNKNOWN, np.uint8), np.zeros(NUMBERS, np.bool_)
            numbers = slice(1, len(shapes) + 1)
            codes[numbers] = list(map(self._code, shapes))
            codes[IRREGULAR_JSON:] = self._codes_of_others()
            codes_without_store = codes.copy()
            irregular = codes_without_store[IRREGULAR_JSON:TEXT]
            irregular[irregular != _NOTHING] = _UNKNOWN
            if self._logfmt is not None:
                has_pairs[numbers] = [shape.parser != "logfmt" for shape in shapes]
                has_pairs[IRREGULAR_JSON] = True
            found = tuple(map(self._labels_found, shapes)) if self.follows_order else ()
            known = self._known = _Tables(shapes, codes, codes_without_store, has_pairs, found)
        return known

    def _easy_and_kinds(
        self,
        frame: pl.DataFrame,
        numbers: pl.Series,
        tables: _Tables,
        names: Collection[str] | None,
        *,
        are_stored: bool,
    ) -> tuple[pl.Series | None, pl.Series | None]:
        """As `Parsed` has them, of rows of these numbers. Labels of other names do not matter, of None all do.

        `are_stored`: all fields that matter.
        """
        table, has_pairs = tables.codes if are_stored else tables.codes_without_store, tables.has_pairs
        low, high = numbers.min(), numbers.max()
        assert isinstance(low, int)
        own = _JSON if self._json is not None else _LOGFMT
        if low == high:
            if table[low] == own and not has_pairs[low]:
                return None, None
            codes, with_pairs = np.full(frame.height, table[low]), np.full(frame.height, has_pairs[low])
        else:
            at = numbers.to_numpy()
            codes, with_pairs = table[at], has_pairs[at]
            if (codes == own).all() and not with_pairs.any():
                return None, None
        if LINE in frame.columns:
            codes = self._codes_by_text(frame[LINE], codes, with_pairs, names)
        else:
            codes = np.where(with_pairs, np.uint8(_UNKNOWN), codes)
        easy = codes != _UNKNOWN
        kinds = None
        if len(self.parsers) > 1 or (codes == _NOTHING).any():
            kinds = pl.Series(KINDS.categories, dtype=KINDS).gather(np.where(easy, codes, _NOTHING) - 1)
        return None if easy.all() else pl.Series(easy), kinds

    def _codes_by_text(
        self,
        lines: pl.Series,
        codes: npt.NDArray[np.uint8],
        with_pairs: npt.NDArray[np.bool_],
        names: Collection[str] | None,
    ) -> npt.NDArray[np.uint8]:
        """The codes, with those of unknown lines in which parsers surely find nothing.

        Lines of which the logfmt parser may make pairs of these names become unknown, where shapes say so (`_tables`).
        """
        unknown = codes == _UNKNOWN
        is_pair = np.zeros(len(lines), np.bool_)
        if self._logfmt is not None and (with_pairs.any() or unknown.any()):
            is_pair = self._may_have_pairs(lines, names).to_numpy()
        codes = np.where(with_pairs & is_pair, _UNKNOWN, codes)
        if not unknown.any() or (self._json is not None and self._extracted):
            return codes
        nothing = unknown
        if self._json is not None:
            nothing = nothing & ~lines.str.contains(OBJECT).to_numpy()
        if self._logfmt is not None:
            nothing = nothing & ~is_pair
            if self._logfmt.strict:
                rows = pl.Series(nothing).arg_true()
                nothing[rows.to_numpy()] = are_well_formed(lines.gather(rows)).to_numpy()
        return np.where(nothing, _NOTHING, codes)

    def _may_have_pairs(self, lines: pl.Series, names: Collection[str] | None) -> pl.Series:
        """Lines in which the logfmt parser may find labels of these names, or of any if they are None."""
        has_pairs = lines.str.contains("=", literal=True) if not self._keeps_empty else lines != ""
        if self._extracted:
            names = {*self._extracted, *self._extracted.values()}
        elif names is not None and self._demand.names is None:
            names = {*names, *OF_ERRORS}  # which fail, if nobody reads them
        if names is None or sum(map(len, names)) > _MOST_NAMES_CHARACTERS:
            return has_pairs
        if not names:
            return constant(False, len(lines), pl.Boolean)
        rows = has_pairs.arg_true()
        begins = "|".join(_key_of(name) + ("" if self._keeps_empty else "=") for name in sorted(names))
        return has_pairs.scatter(rows, lines.gather(rows).str.contains(begins)) if len(rows) else has_pairs


def _read_as(code: int, found: Fields | None) -> Fields | None:
    """The same, with the code as the shape of lines that are known."""
    return None if found is None else Fields((found.shape > 0).cast(pl.UInt16) * code, found.values)


def _key_of(name: str) -> str:
    """An expression that finds each key of logfmt, wherever it is, that may become a label of the name; and others.

    What names do not allow in a key becomes an underscore, as does nothing before a digit; space at its ends is lost.
    """
    return re.sub("^_", "_?", name).replace("_", "[^A-Za-z0-9]") + r"[^\x00-\x7f]*"


def _column_of(name: str, captured: Mapping[int, Mapping[str, int | str]], frame: pl.DataFrame) -> pl.Series:
    """What is captured under the name in rows of shapes, by their numbers: a word or a text."""

    def column(word: int | str | None) -> pl.Series:
        return frame[FIELD_PREFIX + str(word)] if isinstance(word, int) else constant(word, frame.height, pl.String)

    words = {number: own.get(name) for number, own in captured.items()}
    if len(set(words.values())) == 1:
        return column(next(iter(words.values())))
    numbers = frame[SHAPE]
    texts = [where(numbers == number, column(word).cast(pl.String)) for number, word in words.items()]
    return coalesced(texts, frame.height)


def _with_texts(column: pl.Series, rows: pl.Series, texts: pl.Series) -> pl.Series:
    """The column, with these texts in a few of its rows."""
    if not isinstance(column.dtype, pl.Enum):
        return column.clone().scatter(rows, texts)
    values = pl.concat([column.dtype.categories, texts.drop_nulls()]).unique(maintain_order=True)
    places = texts.cast(pl.Enum(values)).to_physical().cast(pl.UInt32)
    return coded(values, column.to_physical().cast(pl.UInt32).scatter(rows, places))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _lines(frame: pl.DataFrame) -> pl.Series:
    if LINE not in frame.columns:
        raise LinesNeeded
    return frame[LINE]
