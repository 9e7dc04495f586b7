"""The readers of `pattern` and `regexp`: what they capture in lines or, if that can be told, among stored words."""

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from log_aggregator.engine.entry_labels import REPLACEMENT
from log_aggregator.engine.fields import coalesced
from log_aggregator.engine.label_reader import Parsed, Shapes, lines_of
from log_aggregator.engine.pattern_columns import pattern_columns
from log_aggregator.engine.regexp_columns import regexp_columns, regexp_labels
from log_aggregator.engine.shapes import Shape
from log_aggregator.engine.words import WHOLE_LINE, captured_words
from log_aggregator.formats.chunk import FIELD_PREFIX, SHAPE
from log_aggregator.logql.pattern import parse_pattern
from log_aggregator.model.columns import constant, where, with_texts
from log_aggregator.model.segment import LINE


class RegexpReader:
    """A `LabelReader`."""

    def __init__(self, pattern: str) -> None:
        """Of a pattern that `has_regexp_columns`."""
        self._pattern = pattern
        self._labels = frozenset(regexp_labels(pattern))

    def columns(self, available: Collection[str], shapes: Shapes, names: Collection[str]) -> set[str]:
        return {LINE}

    def stored_columns(self, names: Collection[str]) -> set[str]:
        return set()

    def all_names(self, available: Collection[str], shapes: Shapes, *, are_stored: bool) -> Collection[str] | None:
        return self._labels

    def read(
        self, frame: pl.DataFrame, shapes: Shapes, names: Collection[str], *, are_all_names: bool = False
    ) -> Parsed:
        lines = lines_of(frame)
        return Parsed(_unbroken(lines), None, regexp_columns(self._pattern, lines, sorted(names)), self._labels)


class PatternReader:
    """A `LabelReader`. What is stored of lines of text are words, by their numbers (`engine.words`)."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._labels = frozenset(parse_pattern(pattern).names)

    def columns(self, available: Collection[str], shapes: Shapes, names: Collection[str]) -> set[str]:
        wanted: set[str] = set()
        for shape in shapes or ():
            captured = self._captured(shape, available, names)
            if captured is not None:
                wanted |= {SHAPE, *(FIELD_PREFIX + str(word) for word in captured.values() if isinstance(word, int))}
        return wanted | ({FIELD_PREFIX + WHOLE_LINE} & set(available)) if wanted else {LINE}

    def stored_columns(self, names: Collection[str]) -> set[str]:
        return set()

    def all_names(self, available: Collection[str], shapes: Shapes, *, are_stored: bool) -> Collection[str] | None:
        return self._labels

    def read(
        self, frame: pl.DataFrame, shapes: Shapes, names: Collection[str], *, are_all_names: bool = False
    ) -> Parsed:
        if shapes is not None and (words := self._words(frame, shapes, names)) is not None:
            return Parsed(None, None, words, self._labels)
        lines = lines_of(frame)
        return Parsed(_unbroken(lines), None, pattern_columns(self._pattern, lines, sorted(names)), self._labels)

    def _words(
        self, frame: pl.DataFrame, shapes: Sequence[Shape], names: Collection[str]
    ) -> Mapping[str, pl.Series] | None:
        """What the pattern captures in lines of text, from the words that are stored. None if some are not known."""
        if SHAPE not in frame.columns:
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
        if FIELD_PREFIX + WHOLE_LINE not in frame.columns:
            return None
        lines = frame[FIELD_PREFIX + WHOLE_LINE].gather(rows).cast(pl.String)
        if lines.null_count() or lines.str.contains(REPLACEMENT, literal=True).any():
            return None
        captured = pattern_columns(self._pattern, lines, sorted(found))
        return {name: with_texts(column, rows, captured[name]) for name, column in found.items()}

    def _captured(
        self, shape: Shape, available: Collection[str], names: Collection[str]
    ) -> Mapping[str, int | str] | None:
        """The words that captures of these names are in lines of the shape; None if one is not stored."""
        if shape.parser != "text":
            return None
        captured = captured_words(self._pattern, shape)
        wanted = self._labels.intersection(names)
        words = {name: captured[name] for name in wanted if name in captured}
        if len(words) < len(wanted):
            return None
        are_stored = (isinstance(word, str) or FIELD_PREFIX + str(word) in available for word in words.values())
        return words if all(are_stored) else None


def _unbroken(lines: pl.Series) -> pl.Series | None:
    """Lines without U+FFFD, None: all. The parsers of outlines read it in a way of their own."""
    broken = lines.str.contains(REPLACEMENT, literal=True)
    return ~broken if broken.any() else None


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
