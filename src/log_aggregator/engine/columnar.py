"""Line filters as one Polars expression over a column of lines, equal to `line_filter` on each of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import polars as pl

from log_aggregator.engine.address_columns import address_mask
from log_aggregator.engine.column_regex import column_regex
from log_aggregator.engine.line_filter import choosy_operands
from log_aggregator.engine.pattern_columns import pattern_mask
from log_aggregator.engine.pipeline import line_filters_first
from log_aggregator.logql.ast import DecolorizeStage, LineFilterStage, LineFormatStage, LineOperand, Stage, UnpackStage
from log_aggregator.logql.ip import parse_ip_pattern
from log_aggregator.logql.loose_regex import line_expression
from log_aggregator.logql.pattern import parse_line_pattern
from log_aggregator.logql.regex import compile_regex
from log_aggregator.model.segment import LINE

CHANGES_LINE = LineFormatStage | UnpackStage | DecolorizeStage
"""Stages behind which lines are not those that are stored."""
_LINE = pl.col(LINE)


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a scan applies to whole columns, and the stages that remain, in the order in which they run."""

    predicate: pl.Expr | None
    rest: tuple[Stage, ...]


def push_line_filters(stages: Sequence[Stage]) -> Pushed:
    """Takes the line filters that see lines as they are stored. Filters commute."""
    ordered = line_filters_first(stages)
    taken: list[pl.Expr] = []
    rest: list[Stage] = []
    for number, stage in enumerate(ordered):
        if isinstance(stage, CHANGES_LINE):
            rest += ordered[number:]
            break
        if isinstance(stage, LineFilterStage):
            taken.append(line_filter_expression(stage))
        else:
            rest.append(stage)
    predicate = reduce(lambda left, right: left & right, taken) if taken else None
    return Pushed(predicate, tuple(rest))


def line_filter_expression(stage: LineFilterStage) -> pl.Expr:
    """A mask of the lines that pass the stage; null for null."""
    masks = [_operand_mask(stage.op[1], operand) for operand in choosy_operands(stage)]
    mask = reduce(lambda left, right: left | right, masks)
    return ~mask if stage.op[0] == "!" else mask


def _operand_mask(kind: str, operand: LineOperand) -> pl.Expr:
    text = operand.text
    if operand.is_ip:
        return _mapped(partial(address_mask, parse_ip_pattern(text)))
    if kind == "=":
        return _LINE.str.contains(text, literal=True)
    if kind == ">":
        return _mapped(partial(pattern_mask, parse_line_pattern(text)))
    expression = line_expression(text)
    translated = column_regex(expression)
    if translated is None:
        return _mapped(partial(_regex_mask, expression))
    return _LINE.str.contains(translated)


def _mapped(hold: Callable[[pl.Series], pl.Series]) -> pl.Expr:
    """For what looks at some lines only, as others have been decided: an expression always looks at all."""
    mask = _LINE.map_batches(hold, return_dtype=pl.Boolean, is_elementwise=True)
    return pl.when(_LINE.is_not_null()).then(mask)


def _regex_mask(expression: str, lines: pl.Series) -> pl.Series:
    search = compile_regex(expression).search
    return pl.Series([line is not None and search(line) is not None for line in lines], dtype=pl.Boolean)
