"""Which parsers columns can stand for, and what reads their labels then."""

from collections.abc import Collection, Sequence

import polars as pl

from log_aggregator.engine.capture_readers import PatternReader, RegexpReader
from log_aggregator.engine.entry_labels import EXTRACTED, OF_ERRORS, Demand, is_made
from log_aggregator.engine.label_reader import LabelReader, Parsed, Shapes
from log_aggregator.engine.parsers import ParserStage, labels_of
from log_aggregator.engine.regexp_columns import has_regexp_columns, regexp_labels
from log_aggregator.engine.structured_parsers import StructuredParsers
from log_aggregator.engine.structured_reader import StructuredReader
from log_aggregator.engine.unpack_reader import UnpackReader
from log_aggregator.logql import ast
from log_aggregator.logql.paths import parse_json_path, parse_logfmt_key
from log_aggregator.logql.pattern import parse_pattern


def has_columns(parsers: Sequence[ParserStage]) -> bool:
    """Whether `reader_of` knows the labels that these give one after the other."""
    if len(parsers) > 1:
        kinds = {type(parser) for parser in parsers}
        return len(parsers) == 2 and kinds == {ast.JsonStage, ast.LogfmtStage} and not any(map(labels_of, parsers))
    return all(map(_is_plain, parsers))


def reader_of(
    parsers: Sequence[ParserStage], demand: Demand | None = None, *, are_followed: bool = False
) -> LabelReader:
    """Of parsers that `has_columns`, all of one line. `demand` is what they are asked for: all, if it is not given.

    `are_followed`: others read a line that is made of their labels.
    """
    demand = Demand() if demand is None else demand
    match parsers:
        case []:
            return _NoParsers()
        case [ast.PatternStage(pattern)]:
            return PatternReader(pattern)
        case [ast.RegexpStage(pattern)]:
            return RegexpReader(pattern)
        case [ast.UnpackStage()]:
            return UnpackReader(demand)
        case _:
            structured = [parser for parser in parsers if isinstance(parser, ast.JsonStage | ast.LogfmtStage)]
            assert len(structured) == len(parsers)
            return StructuredReader(StructuredParsers(structured, demand), are_followed=are_followed)


def _is_plain(parser: ParserStage) -> bool:
    """Whether the labels it gives are fields of those names, in whatever order they are found."""
    match parser:
        case ast.UnpackStage():
            return True
        case ast.PatternStage(pattern):
            return _are_plain_captures(parse_pattern(pattern).names)
        case ast.RegexpStage(pattern):
            return has_regexp_columns(pattern) and _are_plain_captures(regexp_labels(pattern))
        case ast.JsonStage(extractions):
            paths = [parse_json_path(one.expression) for one in extractions]
            keys_alone = all(isinstance(key, str) for path in paths for key in path[:1] + path[1:-1])
            return keys_alone and _are_plain_extractions(parser)
        case ast.LogfmtStage(extractions):
            keys = [parse_logfmt_key(one.expression) for one in extractions]
            return len(set(keys)) == len(keys) and _are_plain_extractions(parser)


def _are_plain_captures(names: Collection[str]) -> bool:
    return not any(is_made(name) and (name in OF_ERRORS or name.removesuffix(EXTRACTED) in names) for name in names)


def _are_plain_extractions(parser: ParserStage) -> bool:
    labels = labels_of(parser)
    return not any(map(is_made, labels)) and len(set(labels)) == len(labels)


class _NoParsers:
    """A `LabelReader` of a line that nothing parses."""

    def columns(self, available: Collection[str], shapes: Shapes, names: Collection[str]) -> set[str]:
        return set()

    def stored_columns(self, names: Collection[str]) -> set[str]:
        return set()

    def all_names(self, available: Collection[str], shapes: Shapes, *, are_stored: bool) -> Collection[str] | None:
        return ()

    def read(
        self, frame: pl.DataFrame, shapes: Shapes, names: Collection[str], *, are_all_names: bool = False
    ) -> Parsed:
        return Parsed(None, None, {})
