"""The lines of outlines: made-up ones, in which parsers find just the fields that they are to find."""

from collections.abc import Mapping, Sequence

import msgspec

from log_aggregator.engine.json_stages import PACKED_ENTRY
from log_aggregator.engine.label_reader import KIND
from log_aggregator.engine.parsers import ParserStage
from log_aggregator.logql import ast
from log_aggregator.logql.ast import Stage


def outline_line(parsers: Sequence[ParserStage], fields: Mapping[str, str]) -> str:
    """A line without breaks that is read as KIND says and in which the parsers find just the other fields.

    Not they themselves, but each as `outline_parser` has it.
    """
    kind = fields.get(KIND)
    values = {name: value for name, value in fields.items() if name != KIND}
    if kind == "nothing":
        return " "  # a word is a label without a value to logfmt, which may keep it
    match parsers:
        case [ast.UnpackStage()]:
            values[PACKED_ENTRY] = ""
        case [ast.LogfmtStage()]:
            kind = "logfmt"
    if kind == "logfmt":
        return " ".join(f'{name}="{_escaped(value)}"' for name, value in values.items())
    return msgspec.json.encode(values).decode()


def outline_parser(parser: ParserStage) -> Stage:
    """What stands for the parser where a line has the labels that it gives as fields."""
    match parser:
        case ast.JsonStage(extractions):
            return ast.JsonStage(_of_own_names(extractions))
        case ast.LogfmtStage(extractions, strict, keep_empty):
            return ast.LogfmtStage(_of_own_names(extractions), strict, keep_empty)
        case ast.UnpackStage():
            return parser
        case ast.PatternStage() | ast.RegexpStage():
            return ast.JsonStage()


def _of_own_names(extractions: Sequence[ast.Extraction]) -> tuple[ast.Extraction, ...]:
    """Of fields that have the names of the labels."""
    return tuple(ast.Extraction(one.label, one.label) for one in extractions)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
