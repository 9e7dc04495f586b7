"""Stages that extract labels from the line, and what follows from how they are written."""

from collections.abc import Iterable

from log_aggregator.logql import ast

ParserStage = ast.JsonStage | ast.LogfmtStage | ast.PatternStage | ast.RegexpStage | ast.UnpackStage
"""Stages that extract labels from the line."""


def labels_of(parser: ParserStage) -> list[str]:
    """The labels of its extractions, which are there, if only empty, whatever the line has."""
    if isinstance(parser, ast.JsonStage | ast.LogfmtStage):
        return [one.label for one in parser.extractions]
    return []


def may_fail(parser: ParserStage) -> bool:
    """Whether there are lines that it fails to read."""
    return isinstance(parser, ast.JsonStage | ast.UnpackStage) or (
        isinstance(parser, ast.LogfmtStage) and parser.strict
    )


def labels_by_order(parsers: Iterable[ParserStage]) -> frozenset[str]:
    """The labels of a logfmt parser that passes over pairs, by the order of a line's keys and by what is asked for.

    Columns do not tell which pairs in entries whose stream or metadata has one of these labels, nor keys without a
    value there: they leave the label, and give another of the name empty.
    """
    own = (parser for parser in parsers if isinstance(parser, ast.LogfmtStage))
    return frozenset(label for parser in own for label in labels_of(parser))
