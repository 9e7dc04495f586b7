"""Line filters as one Polars expression over a column of lines, where that means exactly the same."""

from dataclasses import dataclass
from functools import reduce

import polars as pl

from log_aggregator.engine.column_regex import column_regex
from log_aggregator.engine.line_filter import choosy_operands
from log_aggregator.logql.ast import LineFilterStage, LogExpr, Stage
from log_aggregator.logql.loose_regex import line_expression
from log_aggregator.model.segment import LINE


@dataclass(frozen=True, slots=True)
class Pushed:
    """The filters that a scan applies to whole columns, and the stages that remain."""

    predicate: pl.Expr | None
    rest: tuple[Stage, ...]


def push_line_filters(expr: LogExpr) -> Pushed:
    """Takes line filters from the front of the pipeline, up to the first stage that is something else.

    One that has no columnar form remains, and does not keep those behind it from being taken: filters commute.
    """
    taken: list[pl.Expr] = []
    rest: list[Stage] = []
    for number, stage in enumerate(expr.stages):
        if not isinstance(stage, LineFilterStage):
            rest += expr.stages[number:]
            break
        columnar = line_filter_expression(stage)
        if columnar is None:
            rest.append(stage)
        else:
            taken.append(columnar)
    predicate = reduce(lambda left, right: left & right, taken) if taken else None
    return Pushed(predicate, tuple(rest))


def line_filter_expression(stage: LineFilterStage) -> pl.Expr | None:
    """A mask of the lines that pass the stage; None where it has no exact columnar form."""
    masks = []
    for operand in choosy_operands(stage):
        if operand.is_ip:
            return None
        if stage.op in ("|=", "!="):
            masks.append(pl.col(LINE).str.contains(operand.text, literal=True))
        elif stage.op in ("|~", "!~") and (regex := column_regex(line_expression(operand.text))) is not None:
            masks.append(pl.col(LINE).str.contains(regex))
        else:
            return None
    mask = reduce(lambda left, right: left | right, masks)
    return ~mask if stage.op[0] == "!" else mask
