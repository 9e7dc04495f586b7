"""Line filters as one Polars expression over a column of lines, where that means exactly the same.

Polars' regular expressions are Rust's, LogQL's are RE2's. They agree on plain ASCII constructs; everything else stays
row-wise (`engine.line_filter`): classes and case folding that know Unicode, flags, anchors other than ^ and $, counted
repetition, and escapes whose meaning differs.
"""

import re
from dataclasses import dataclass
from functools import reduce

import polars as pl

from log_aggregator.logql.ast import LineFilterStage, LogExpr, Stage
from log_aggregator.model.segment import LINE

# Literals, the dot, classes of literals, alternation, groups and simple repetition. In a class, Rust gives [ & - ~ a
# meaning of their own when doubled or nested.
_ATOM = r"(?:[A-Za-z0-9 _\-=/:;,!@#%&'\"<>~`]|\\[.\\+*?()|\[\]{}^$/\-\"']|\.)"
_CLASS = r"(?:\[\^?(?:[A-Za-z0-9 _=/:;,.@#%'\"<>!+*?(){}|$]|[0-9]-[0-9]|[a-z]-[a-z]|[A-Z]-[A-Z])+\])"
_SAME_IN_BOTH = re.compile(rf"\^?(?:(?:{_ATOM}|{_CLASS}|\(\?:|\(|\)|\|)(?:[*+?]\??)?)*\$?", re.ASCII)
_EMPTY_REPEAT = re.compile(r"[(|][*+?]|^[*+?]")


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
    for operand in stage.operands:
        if operand.is_ip:
            return None
        if stage.op in ("|=", "!="):
            masks.append(pl.col(LINE).str.contains(operand.text, literal=True))
        elif stage.op in ("|~", "!~") and means_the_same(operand.text):
            masks.append(pl.col(LINE).str.contains(operand.text))
        else:
            return None
    mask = reduce(lambda left, right: left | right, masks)
    return ~mask if stage.op[0] == "!" else mask


def means_the_same(pattern: str) -> bool:
    """Whether RE2 and Rust's regex surely agree on the pattern. Errs on the side of no."""
    return _SAME_IN_BOTH.fullmatch(pattern) is not None and _EMPTY_REPEAT.search(pattern) is None
