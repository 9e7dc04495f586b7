"""Answers for rows by the distinct combinations of what the answer depends on, each worked out once.

The answer to a row (the number of its series, or whether it passes) follows from its stream, its metadata and some
fields of its line. A caller gives the function from those to an answer, and rows whose fields are surely known.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, repeat
from operator import itemgetter
from threading import Lock

import numpy as np
import numpy.typing as npt
import polars as pl

from log_aggregator.engine.batch import Integers, narrowest
from log_aggregator.engine.metadata_columns import mentions, values_of
from log_aggregator.engine.query_memory import SERIES_BYTES, QueryMemory
from log_aggregator.formats.metadata import parse_metadata
from log_aggregator.model.columns import places_in
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import METADATA, STREAM

FEW_COMBINATIONS = 2000
_MOST_REMEMBERED = 50_000
_REMEMBERED_BYTES = 160  # of an answer, beside the series that it names

Answer = Callable[[Labels, Mapping[str, str], Mapping[str, str]], int | None]
"""From stream labels, metadata and fields of the line to a number that is not negative, or none."""


@dataclass(frozen=True, slots=True)
class Codes:
    """A column as numbers of its distinct values; the numbers are not needed if there is one value."""

    numbers: Integers | None
    values: Sequence[object]


@dataclass(frozen=True, slots=True)
class Packed:
    """The combination of each row, a number below `size`: the codes of the parts, each weighed by the sizes before it.

    Parts are the stream, the metadata, either of which is None where nothing depends on it, and the `fields`.
    """

    numbers: Integers
    size: int
    parts: Sequence[Codes | None]
    fields: Sequence[str]
    leaves_out: bool = False
    """Whether the last number is that of rows which do not count."""

    def only(self, counted: npt.NDArray[np.bool_]) -> "Packed":
        """With one number more, for all rows that are not counted: they have no answer."""
        numbers = np.where(counted, self.numbers, self.numbers.dtype.type(self.size))
        return Packed(numbers, self.size + 1, self.parts, self.fields, leaves_out=True)

    def values(self, numbers: Integers) -> Iterator[tuple[object, ...]]:
        """What each of the numbers stands for, part by part."""
        columns: list[Iterable[object]] = []
        for part in self.parts:
            if part is None:
                columns.append(repeat(()))
            elif len(part.values) == 1:
                columns.append(repeat(part.values[0]))
            else:
                numbers, codes = np.divmod(numbers, len(part.values))
                columns.append(map(part.values.__getitem__, codes.tolist()))
        return islice(zip(*columns, strict=False), len(numbers))


class Combinations:
    """`names` are the labels that the answer depends on; None means all of the stream's and the metadata's.

    Safe to use from several threads.
    """

    def __init__(
        self, names: frozenset[str] | None, answer: Answer, memory: QueryMemory, *, is_cheap: bool = False
    ) -> None:
        """Answers are remembered, up to a number, in the memory; those that are `is_cheap` to give take less of it."""
        self.names = names
        self._answer = answer
        self._memory = memory
        self._remembered_bytes = _REMEMBERED_BYTES if is_cheap else SERIES_BYTES
        self._lock = Lock()
        self._known: dict[tuple[str, ...], dict[tuple[object, ...], int]] = {}
        """By the names of fields: what they and the streams are, and the answer, negative for none."""

    def packed(
        self, frame: pl.DataFrame, present: Mapping[int, Labels], fields: Mapping[str, pl.Series]
    ) -> Packed | None:
        """The combination of each row as a number, not answered yet; `present` are the streams of the rows.

        None: there are too many for a number, or a field is a column of floats, which does not tell its text.
        """
        codes = list(map(codes_of, fields.values()))
        if any(one is None for one in codes):
            return None
        names = self.names
        needs_streams = names is None or any(own in names for labels in present.values() for own, _ in labels)
        needs_metadata = METADATA in frame.columns and (
            names is None or not names <= common_names(list(present.values()))
        )
        parts = [
            self._stream_codes(frame, present) if needs_streams else None,
            self._metadata_codes(frame[METADATA]) if needs_metadata else None,
            *codes,
        ]
        return packed_of(parts, list(fields), frame.height)

    def answers(self, packed: Packed, numbers: Integers) -> Integers:
        """The answers for combinations by number; negative where the answer is none. Raises what the answer raises."""
        is_dense = packed.size <= max(FEW_COMBINATIONS, len(numbers))
        if is_dense:
            (distinct,) = np.bincount(numbers, minlength=packed.size).nonzero()
        else:
            distinct = pl.Series(numbers).unique().sort().to_numpy()
        has_rest = packed.leaves_out and len(distinct) > 0 and distinct[-1] == packed.size - 1
        counted = distinct[: len(distinct) - has_rest]
        answers = self._known_answers(list(packed.values(counted)), packed.fields)
        if has_rest:
            answers = np.append(answers, -1)
        if is_dense:
            table = np.zeros(packed.size, np.int64)
            table[distinct] = answers
            return table[numbers]
        return answers[np.searchsorted(distinct, numbers)]

    def by_stream(self, streams: Sequence[Labels], present: Collection[int]) -> Mapping[int, int] | None:
        """The answer for each stream, by its number in the table, negative for none.

        None where answers depend on more than the stream.
        """
        names = self.names
        if names is None or not names <= common_names([streams[number] for number in present]):
            return None
        own = [(tuple(pair for pair in streams[number] if pair[0] in names), ()) for number in present]
        return dict(zip(present, self._known_answers(own, ()).tolist(), strict=True))

    def _stream_codes(self, frame: pl.DataFrame, present: Mapping[int, Labels]) -> Codes:
        names = self.names
        kept: dict[Labels, int] = {}
        table = [0] * (max(present) + 1)
        for number, labels in present.items():
            own = labels if names is None else tuple(pair for pair in labels if pair[0] in names)
            table[number] = kept.setdefault(own, len(kept))
        return _looked_up(table, kept, lambda: frame[STREAM].to_numpy())

    def _metadata_codes(self, column: pl.Series) -> Codes:
        names = self.names
        # What is text even here differs in most rows, mostly by an id that nothing depends on.
        if names is not None and column.dtype == pl.String and len(column) > FEW_COMBINATIONS:
            members = _member_codes(column, sorted(names))
            if members is not None:
                return members
        found = _told_apart(column)
        assert found is not None, "metadata is text"
        column, texts = found
        kept: dict[Labels, int] = {}
        table = []
        for text in texts:
            pairs = parse_metadata(text).items() if text else ()
            own = tuple(pair for pair in pairs if names is None or pair[0] in names)
            table.append(kept.setdefault(own, len(kept)))
        return _looked_up(table, kept, lambda: _physical(column, texts))

    def _known_answers(self, combinations: Sequence[tuple[object, ...]], names: Sequence[str]) -> Integers:
        """Of a stream, metadata, and fields of these names each."""
        known = self._known.setdefault(tuple(names), {})
        # All at once: there may be as many as rows, and nearly all of them known from rows before.
        found = list(map(known.get, combinations))
        if None in found:
            # Threads that work out the same many answers would be in each other's way.
            with self._lock:
                for place, answer in enumerate(found):
                    if answer is None:
                        combination = combinations[place]
                        answer = known.get(combination)
                        found[place] = self._worked_out(known, combination, names) if answer is None else answer
        return np.array(found, np.int64)

    def _worked_out(
        self, known: dict[tuple[object, ...], int], combination: tuple[object, ...], names: Sequence[str]
    ) -> int:
        stream, metadata, *values = combination
        assert isinstance(stream, tuple)
        assert isinstance(metadata, tuple)
        fields = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        answer = self._answer(stream, dict(metadata), fields)  # type: ignore[arg-type]
        number = -1 if answer is None else answer
        if sum(map(len, self._known.values())) < _MOST_REMEMBERED:
            self._memory.hold("series", self._remembered_bytes)
            known[combination] = number
        return number


def common_names(streams: Sequence[Labels]) -> set[str]:
    """The labels that every stream has."""
    counts = Counter(map(itemgetter(0), chain.from_iterable(streams)))
    return {name for name, count in counts.items() if count == len(streams)}


def packed_of(parts: Sequence[Codes | None], fields: Sequence[str], rows: int) -> Packed | None:
    """The combinations of so many rows; None if there are too many for a number."""
    told = [(part.numbers, len(part.values)) for part in parts if part is not None and part.numbers is not None]
    size = math.prod(count for _, count in told)
    if size >= 1 << 62:
        return None
    width = narrowest(size)
    numbers: Integers = np.zeros(rows, width)
    weight = 1
    for own, count in told:
        numbers += np.multiply(own, weight, dtype=width)
        weight *= count
    return Packed(numbers, size, parts, fields)


def codes_of(column: pl.Series) -> Codes | None:
    """Null is a value of its own, the last. None of floats."""
    found = _told_apart(column)
    if found is None:
        return None
    column, values = found
    return Codes(_physical(column, values) if len(values) > 1 else None, values)


def _member_codes(metadata: pl.Series, names: Sequence[str]) -> Codes | None:
    """Of metadata with these labels alone, as pairs. None if they are not known, or too many to be put together."""
    size, numbers = 1, np.zeros(len(metadata), np.int64)
    values: list[Labels] = [()]
    for name in names:
        if not mentions(metadata, name):
            continue
        column = values_of(metadata, name)
        codes = None if column is None else codes_of(column)
        if codes is None or size * len(codes.values) > _MOST_REMEMBERED:
            return None
        if codes.numbers is not None:
            numbers += codes.numbers.astype(np.int64) * size
            size *= len(codes.values)
        pairs = [() if value is None else ((name, str(value)),) for value in codes.values]
        values = [(*before, *pair) for pair in pairs for before in values]
    return Codes(numbers if size > 1 else None, values)


def _looked_up(table: Sequence[int], kept: Collection[object], codes: Callable[[], Integers]) -> Codes:
    """Codes that stand in the table for other codes."""
    return Codes(np.array(table)[codes()] if len(kept) > 1 else None, list(kept))


def _told_apart(column: pl.Series) -> tuple[pl.Series, list[str | None]] | None:
    """The column as an Enum, and its values, null as the last. None of floats."""
    dtype = column.dtype  # made anew, and its categories, whenever they are asked for
    if dtype == pl.Float64:
        return None
    if not isinstance(dtype, pl.Enum):
        dtype = pl.Enum(column.unique().drop_nulls())
        column = column.cast(dtype)
    values: list[str | None] = dtype.categories.to_list()
    return column, [*values, None] if column.null_count() else values


def _physical(column: pl.Series, values: Sequence[str | None]) -> Integers:
    """Of an Enum with these values."""
    return places_in(column, len(values) - 1).to_numpy()
