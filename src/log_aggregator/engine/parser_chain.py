"""The parsers of a pipeline that columns stand for: each reads the stored line, or one that is made before it.

What a parser finds in its line does not depend on the others, so columns tell it (`engine.label_reader`). What becomes
of it does: of labels with one name the first that is found counts, and a parser stops when all that is asked for has
been found. That is for outlines to tell (`engine.label_plan`), in which each parser reads a line of its own.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import polars as pl

from log_aggregator.engine.entry_labels import EntryLabels
from log_aggregator.engine.label_columns import LabelColumns, both
from log_aggregator.engine.label_reader import KIND, LabelReader, Parsed, Shapes
from log_aggregator.engine.made_lines import MadeLine
from log_aggregator.engine.metadata_columns import mentions
from log_aggregator.engine.outlines import outline_line, outline_parser
from log_aggregator.engine.parsers import ParserStage, labels_of, may_fail
from log_aggregator.engine.pipeline import compile_stage
from log_aggregator.engine.readers import reader_of
from log_aggregator.engine.stage import Process
from log_aggregator.logql.ast import Stage
from log_aggregator.model.columns import constant
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import ARRIVAL, LINE, METADATA

# Lines of outlines have it escaped.
_BETWEEN_LINES: Final = "\n"
# What the row-wise stages take.
_OF_ROWS: Final = frozenset((LINE, METADATA, ARRIVAL))

LabelOf = Callable[[int, str], pl.Series | None]
"""Behind so many readings, the column of a label, null where it is missing; None if that is not known."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Parsers that read one line, the stored one, or one that is made (None: the stored one), and their reader."""

    line: MadeLine | None
    parsers: Sequence[ParserStage]
    reader: LabelReader


@dataclass(frozen=True, slots=True)
class Findings:
    """What `readings`, as many as there are `parts`, found in some rows.

    `easy` are the rows of which all of them know that (None: all).
    """

    readings: Sequence[Reading]
    parts: Sequence[Parsed] = field(repr=False)
    easy: pl.Series | None = field(repr=False)

    @property
    def names(self) -> frozenset[str] | None:
        """Of all labels that easy rows may have from parsers, None if that is not known."""
        found: set[str] = set()
        for part in self.parts:
            if part.names is None:
                return None
            found |= part.names
        return frozenset(found)

    @property
    def may_fail(self) -> bool:
        """Whether there are lines in which a parser may fail."""
        pairs = zip(self.readings, self.parts, strict=True)
        return any(part.kinds is not None and any(map(may_fail, one.parsers)) for one, part in pairs)

    def only(self, rows: pl.Series) -> "Findings":
        """Of those rows alone that are in the mask."""
        easy = None if self.easy is None else self.easy.filter(rows)
        return Findings(self.readings, [part.only(rows) for part in self.parts], easy)

    def fields(self, chosen: Callable[[str, pl.Series], pl.Series | None]) -> dict[str, pl.Series]:
        """What is chosen of each label, and how lines are read, by `field_key`."""
        found = {}
        for number, part in enumerate(self.parts):
            for name, column in part.values.items():
                if (own := chosen(name, column)) is not None:
                    found[field_key(number, name)] = own
            if part.kinds is not None:
                found[field_key(number, KIND)] = part.kinds
        return found

    def labels(self, readings: int) -> Mapping[str, pl.Series]:
        """What so many readings give under the names of fields: of each, the first that is found."""
        if readings == 0:
            return {}
        labels = dict(self.parts[0].values)
        for number, part in enumerate(self.parts[1:readings], 1):
            before = _extracted(self.readings[:number])
            for name, column in part.values.items():
                # What an extraction does not find is empty, and stays so.
                if name not in before:
                    labels[name] = _first_of(labels[name], column)
        return labels


class ParserChain:
    """Safe to use from several threads."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        """Only the first that has parsers may have extractions."""
        self.readings = tuple(readings) or (Reading(None, (), reader_of(())),)

    @property
    def parsers(self) -> Sequence[ParserStage]:
        """Those of all readings."""
        return [parser for reading in self.readings for parser in reading.parsers]

    @property
    def is_single(self) -> bool:
        """Whether only the stored line is read, and once."""
        return len(self.readings) == 1

    @property
    def line_names(self) -> frozenset[str]:
        """The labels that lines are made of."""
        return frozenset(name for one in self.readings if one.line is not None for name in one.line.names)

    @property
    def extracted(self) -> frozenset[str]:
        """The labels of extractions, which are there, if only empty, whatever the line has."""
        return _extracted(self.readings)

    def columns(self, available: Collection[str], shapes: Shapes, names: Collection[str]) -> set[str]:
        """What the readings want of a batch with these columns and shapes to tell labels of these names."""
        stored = [one.reader.columns(available, shapes, names) for one in self.readings if one.line is None]
        # Some of the lines that are made or read again are none that columns tell of.
        return {column for columns in stored for column in columns} | (set() if self.is_single else _OF_ROWS)

    def stored_columns(self, names: Collection[str]) -> set[str]:
        """The columns that the fields of these labels may be stored in."""
        stored = [one.reader.stored_columns(names) for one in self.readings if one.line is None]
        return {column for columns in stored for column in columns}

    def all_names(self, available: Collection[str], shapes: Shapes, *, are_stored: bool) -> Collection[str] | None:
        """As `LabelReader` has it."""
        return self.readings[0].reader.all_names(available, shapes, are_stored=are_stored) if self.is_single else None

    def read_first(
        self, frame: pl.DataFrame, shapes: Shapes, names: Collection[str], *, are_all_names: bool
    ) -> Findings:
        """The labels of these names, of which it may matter that there are no others. Raises LinesNeeded."""
        first = self.readings[0].reader.read(frame, shapes, names, are_all_names=are_all_names)
        return Findings(self.readings[:1], [first], first.easy)

    def read_next(
        self,
        frame: pl.DataFrame,
        shapes: Shapes,
        streams: Mapping[int, Labels],
        names: Collection[str],
        found: Findings,
    ) -> Findings:
        """With what the next reading finds. `streams` are those of the rows, by number. Raises LinesNeeded."""
        readings = self.readings[: len(found.parts) + 1]
        reading = readings[-1]
        wanted = [name for name in names if not _is_surely_found(name, found) or mentions(frame[METADATA], name)]
        if reading.line is None:
            part = reading.reader.read(frame, shapes, wanted)
        else:
            made = reading.line.column(self.labels(frame, streams, found), frame.height)
            if made is None:
                part = _nothing_known(frame.height, wanted)
            else:
                part = reading.reader.read(made.to_frame(), None, wanted)
        easy = found.easy if part.easy is None else both(found.easy, part.easy)
        return Findings(readings, [*found.parts, part], easy)

    def labels(self, frame: pl.DataFrame, streams: Mapping[int, Labels], found: Findings) -> LabelOf:
        """Of these rows, as no stage has changed them."""
        columns: dict[int, LabelColumns] = {}

        def label(readings: int, name: str) -> pl.Series | None:
            if readings not in columns:
                columns[readings] = LabelColumns(frame, streams, found.labels(readings))
            column = columns[readings].of(name, parsed=readings > 0)
            if column is None or name not in _extracted(self.readings[:readings]) or not column.null_count():
                return column
            return column.cast(pl.String).fill_null("")

        return label

    def outline(self, fields: Mapping[str, str]) -> str:
        """The lines that the parsers of `outline_process` read, in which they find these fields, by `field_key`."""
        own: list[dict[str, str]] = [{} for _ in self.readings]
        for key, value in fields.items():
            number, name = _of_key(key)
            own[number][name] = value
        lines = [outline_line(one.parsers, found) for one, found in zip(self.readings, own, strict=True)]
        return lines[0] if self.is_single else _BETWEEN_LINES.join(lines)

    def outline_process(self, stage: Stage) -> Process:
        """What stands for a stage in outlines, whose lines `outline` makes."""
        for number, reading in enumerate(self.readings):
            for parser in reading.parsers:
                if parser is stage:
                    process = compile_stage(outline_parser(parser))
                    return process if self.is_single else partial(_of_own_line, process, number)
        return compile_stage(stage)


def field_key(reading: int, name: str) -> str:
    """Tells apart fields of one name that several readings find."""
    return f"{reading} {name}" if reading else name


def name_of(key: str) -> str:
    """The label of a `field_key`, or KIND."""
    return _of_key(key)[1]


def _of_key(key: str) -> tuple[int, str]:
    number, _, name = key.rpartition(" ")  # which no label has in its name
    return int(number or 0), name


def _extracted(readings: Sequence[Reading]) -> frozenset[str]:
    """The labels of extractions, which are there, if only empty, whatever the line has."""
    return frozenset(name for reading in readings for parser in reading.parsers for name in labels_of(parser))


def _of_own_line(process: Process, reading: int, outline: str, labels: EntryLabels) -> str | None:
    return None if process(outline.split(_BETWEEN_LINES)[reading], labels) is None else outline


def _first_of(left: pl.Series, right: pl.Series) -> pl.Series:
    """The texts of the one, and where it has none those of the other."""
    if not left.null_count() or right.null_count() == len(right):
        return left
    left, right = left.cast(pl.String), right.cast(pl.String)
    return left.zip_with(left.is_not_null(), right)


def _is_surely_found(name: str, found: Findings) -> bool:
    """Whether each of the rows has the label already, so that it does not matter what the line has of it.

    It does where metadata hid the field, and has been dropped since.
    """
    columns = (part.values[name] for part in found.parts if name in part.values)
    return any(not (one if found.easy is None else one.filter(found.easy)).null_count() for one in columns)


def _nothing_known(rows: int, names: Collection[str]) -> Parsed:
    nothing = constant(None, rows, pl.String)
    return Parsed(constant(False, rows, pl.Boolean), None, dict.fromkeys(names, nothing))
