"""What an expression reads logs with."""

from collections.abc import Iterator
from typing import overload

from log_aggregator.logql import ast
from log_aggregator.logql.ast import Expr, LogExpr, MetricExpr, RangeAggregation


@overload
def leaves_of(expr: MetricExpr) -> Iterator[RangeAggregation]: ...
@overload
def leaves_of(expr: Expr) -> Iterator[LogExpr | RangeAggregation]: ...
def leaves_of(expr: Expr) -> Iterator[LogExpr | RangeAggregation]:
    """A log query itself, or every range aggregation in the expression, from left to right."""
    match expr:
        case LogExpr() | RangeAggregation():
            yield expr
        case ast.VectorAggregation() | ast.LabelReplace():
            yield from leaves_of(expr.expr)
        case ast.BinaryOperation():
            yield from leaves_of(expr.left)
            yield from leaves_of(expr.right)
