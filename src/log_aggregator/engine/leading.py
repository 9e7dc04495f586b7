"""Which parsers, label filters and line filters of a pipeline columns can stand for, from its front."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from log_aggregator.engine.decolorize_reader import UNCOLOURED
from log_aggregator.engine.entry_labels import EXTRACTED, OF_ERRORS, Demand, EntryLabels, is_made
from log_aggregator.engine.label_filter import compile_label_filter, names_read
from log_aggregator.engine.made_labels import MadeLabel, made_labels
from log_aggregator.engine.made_lines import MadeLine, parts_of
from log_aggregator.engine.parsers import ParserStage, labels_of
from log_aggregator.engine.readers import has_columns
from log_aggregator.engine.unpack_reader import UNPACKED
from log_aggregator.logql import ast
from log_aggregator.logql.ast import Stage
from log_aggregator.logql.paths import parse_logfmt_key
from log_aggregator.logql.template import Field

_UNPACKED_LINE: Final = MadeLine((Field(UNPACKED),), 1)
_UNCOLOURED_LINE: Final = MadeLine((Field(UNCOLOURED),), 1)


@dataclass(frozen=True, slots=True)
class Leading:
    """What sees nothing but what parsers, stream and metadata give, by the number of the stage.

    `parsers` are those that columns stand for, by the reading that each belongs to, and `read` the line that each
    reading is of (None: the stored one); one without parsers is of `decolorize`. Filters of labels come with how many
    readings are before them, those of lines with the line. `formats` are the stages that make a line, up to the last of
    the parsers. `last` is the line that all stages leave, if it is made so. `made` is what those behind the last of the
    parsers make that do nothing but labels, and `of_made` the filters that read such labels, by name.
    """

    parsers: Mapping[int, int]
    read: Sequence[MadeLine | None]
    labels: Mapping[int, int]
    lines: Mapping[int, MadeLine]
    formats: frozenset[int]
    last: MadeLine | None
    made: Mapping[int, Sequence[MadeLabel]]
    of_made: Mapping[int, Mapping[str, MadeLabel]]

    @property
    def numbers(self) -> frozenset[int]:
        """Those of all filters."""
        return frozenset((*self.labels, *self.lines))

    @property
    def of_given(self) -> frozenset[int]:
        """The filters that read nothing but labels as they are given, and lines of these."""
        return self.numbers - self.of_made.keys()

    def before(self, reading: int) -> frozenset[int]:
        """The filters before the first parser of a reading."""
        parser = min(number for number, own in self.parsers.items() if own == reading)
        return frozenset(number for number in self.numbers if number < parser)

    def without_addresses(self, stages: Sequence[Stage]) -> "Leading":
        """`stages` are those that it is of."""
        labels = {number: readings for number, readings in self.labels.items() if not has_address(stages[number])}
        return replace(self, labels=labels)


def leading_of(stages: Sequence[Stage]) -> Leading:
    """Of stages behind those line filters that are of stored lines."""
    walk = _Walk(stages)
    is_whole = all(map(walk.takes, range(len(stages))))
    formats = frozenset(number for number in walk.formats if number <= max(walk.parsers, default=-1))
    last = walk.line if is_whole else None
    return Leading(walk.parsers, walk.read, walk.labels, walk.lines, formats, last, walk.made, walk.of_made)


class _Walk:
    """From the front, until there is a stage of which columns tell nothing."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages
        extracting = (number for number, stage in enumerate(stages) if isinstance(stage, ParserStage))
        self._last_parser = max(extracting, default=-1)
        self.parsers: dict[int, int] = {}
        self.read: list[MadeLine | None] = []
        self.labels: dict[int, int] = {}
        self.lines: dict[int, MadeLine] = {}
        self.formats: list[int] = []
        self.made: dict[int, Sequence[MadeLabel]] = {}
        self.of_made: dict[int, Mapping[str, MadeLabel]] = {}
        self.line: MadeLine | None = None
        # Whether the line is the stored one, or `line`.
        self._is_line_known = True
        self._changed: set[str] = set()
        # Those of them that are as they were made.
        self._made: dict[str, MadeLabel] = {}
        self._kept: set[str] | None = None
        # Whether labels that have been changed are found once more: then others may be, too, under other names.
        self._is_mixed = False

    def takes(self, number: int) -> bool:
        """Goes on with the next stage; False if it is the end."""
        match self._stages[number]:
            case ast.LabelFilterStage() as stage:
                self._filter_labels(number, stage)
            case ast.LineFilterStage():
                if self.line is not None:
                    self.lines[number] = self.line
            case ast.LineFormatStage() as stage:
                return self._make_line(number, stage)
            case ast.DecolorizeStage():
                return self._decolorize(number)
            case ast.DropStage(dropped):
                self._change(names_of(dropped))
            case ast.KeepStage(chosen):
                own = {one for one in chosen if isinstance(one, str)}
                self._kept = own if self._kept is None else self._kept & own
                self._change(self._made.keys() - own)
            case ast.LabelFormatStage(assignments) as stage:
                made = self._made_by(number, stage)
                for one in assignments:
                    self._change((one.name, one.value) if one.is_rename else (one.name,))
                self._made |= {one.name: one for one in made}
            case parser if isinstance(parser, ParserStage):
                return self._parse(number, parser)
            case _:
                return False
        return True

    def _filter_labels(self, number: int, stage: ast.LabelFilterStage) -> None:
        names = names_read(stage.filter)
        made = {name: self._made[name] for name in names if name in self._made}
        if not self._are_as_given(names - made.keys()) or (self._changed and has_address(stage)):
            return
        if made:
            self.of_made[number] = made
        # One that lets pass what has no such label is tried again when a parser finds it.
        if number > self._last_parser or not _passes_without_labels(stage.filter):
            self.labels[number] = len(self.read)

    def _make_line(self, number: int, stage: ast.LineFormatStage) -> bool:
        parts = parts_of(stage)
        if parts is None:
            return False
        line = MadeLine(parts, len(self.read))
        self._is_line_known = self._are_as_given(line.names) and not any(map(is_made, line.names))
        self.line = line if self._is_line_known else None
        self.formats.append(number)
        return True

    def _decolorize(self, number: int) -> bool:
        """Stored lines alone, and for the parsers behind it."""
        if self.read or self.line is not None or not self._is_line_known:
            return False
        self.read.append(None)
        self.line = _UNCOLOURED_LINE
        self.formats.append(number)
        return True

    def _change(self, names: Iterable[str]) -> None:
        for name in names:
            self._changed.add(name)
            self._made.pop(name, None)

    def _made_by(self, number: int, stage: ast.LabelFormatStage) -> Sequence[MadeLabel]:
        """The labels of the stage, if columns make all of them. Of streams alone, outlines soon do."""
        if not 0 <= self._last_parser < number or self._kept is not None:
            return ()
        made = made_labels(stage, sum(map(len, self.made.values())), len(self.read)) or ()
        names = {name for one in made for name in one.names}
        if not made or not self._are_as_given(names) or any(map(is_made, names)):
            return ()
        self.made[number] = made
        return made

    def _parse(self, number: int, parser: ParserStage) -> bool:
        is_changed = bool(self._changed - OF_ERRORS) or self._kept is not None
        if not self._is_line_known:
            return False
        if self._joins(parser):
            # A filter between the two does not see what this reading gives.
            last = max(self.parsers)
            self.labels = {one: readings for one, readings in self.labels.items() if one < last}
        elif has_columns([parser]) and self._may_follow(parser, is_changed=is_changed):
            self.read.append(self.line)
        else:
            return False
        self.parsers[number] = len(self.read) - 1
        self._is_mixed |= is_changed
        if isinstance(parser, ast.UnpackStage):
            self.line = _UNPACKED_LINE
            self.formats.append(number)
        return True

    def _joins(self, parser: ParserStage) -> bool:
        """Whether it and those of the last reading have columns together."""
        if not self.read or self.read[-1] is not self.line:
            return False
        own = (self._stages[one] for one, reading in self.parsers.items() if reading == len(self.read) - 1)
        return has_columns([*(one for one in own if isinstance(one, ParserStage)), parser])

    def _may_follow(self, parser: ParserStage, *, is_changed: bool) -> bool:
        """Whether columns tell what becomes of its labels beside those of the readings before."""
        if not self.parsers:
            # What is extracted already may be all that is asked for, and then `unpack` leaves the line as it is.
            if isinstance(parser, ast.UnpackStage) and (is_changed or self.read):
                return False
            # The key of an extraction is passed over if it is a label already.
            return self.line in (None, _UNCOLOURED_LINE) and self._changed.isdisjoint(_keys_of(parser))
        return not labels_of(parser) and not isinstance(parser, ast.UnpackStage)

    def _are_as_given(self, names: Iterable[str]) -> bool:
        """Whether no stage has changed labels of these names."""
        found = with_sources(names)
        is_kept = self._kept is None or found <= self._kept
        return is_kept and not self._is_mixed and found.isdisjoint(self._changed)


def _keys_of(parser: ParserStage) -> Iterator[str]:
    """Those that a logfmt parser extracts under other names."""
    if isinstance(parser, ast.LogfmtStage):
        for one in parser.extractions:
            if (key := parse_logfmt_key(one.expression)) != one.label:
                yield key


def _passes_without_labels(node: ast.LabelFilter) -> bool:
    """Whether entries without labels pass."""
    return compile_label_filter(node)(EntryLabels(0, {}, {}, Demand()))


def leaves(node: ast.LabelFilter) -> Iterator[ast.LabelFilter]:
    """The filters of single labels that a filter consists of."""
    if isinstance(node, ast.AndFilter | ast.OrFilter):
        yield from leaves(node.left)
        yield from leaves(node.right)
    else:
        yield node


def has_address(stage: Stage) -> bool:
    """Whether it is a filter of addresses, or has one."""
    return isinstance(stage, ast.LabelFilterStage) and any(
        isinstance(leaf, ast.IpFilter) for leaf in leaves(stage.filter)
    )


def with_sources(names: Iterable[str]) -> frozenset[str]:
    """With the fields that give these labels where their own names are taken; without errors, which are no fields."""
    found = set(names)
    return frozenset(found | {name.removesuffix(EXTRACTED) for name in found}) - OF_ERRORS


def names_of(labels: Iterable[str | ast.Matcher]) -> Iterator[str]:
    """Of the labels that a stage drops or keeps."""
    return (one if isinstance(one, str) else one.name for one in labels)
