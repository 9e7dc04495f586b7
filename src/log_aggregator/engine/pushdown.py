"""A sum's grouping, pushed into the range aggregation below it.

More than an optimisation: parsers then extract only what is needed, and what is not parsed cannot fail. Loki does so,
and `sum(count_over_time({...} | json [5m]))` counts lines that are no JSON. The sum stays: samples with an error keep
all their labels, whatever the grouping.
"""

from dataclasses import replace
from typing import assert_never

from log_aggregator.logql import ast
from log_aggregator.logql.ast import Grouping, MetricExpr

# Those whose value for a union of series is the sum of their values.
ADDITIVE = frozenset(("bytes_over_time", "bytes_rate", "sum_over_time", "rate", "count_over_time"))


def push_down_sums(expr: MetricExpr) -> MetricExpr:
    """The expression with additive range aggregations grouped as the sum directly around them is."""
    match expr:
        case ast.VectorAggregation("sum", ast.RangeAggregation(operation, grouping=None) as inner) if (
            operation in ADDITIVE
        ):
            return replace(expr, expr=replace(inner, grouping=expr.grouping or Grouping(())))
        case ast.VectorAggregation() | ast.LabelReplace():
            return replace(expr, expr=push_down_sums(expr.expr))
        case ast.BinaryOperation():
            return replace(expr, left=push_down_sums(expr.left), right=push_down_sums(expr.right))
        case ast.RangeAggregation() | ast.NumberLiteral() | ast.VectorLiteral():
            return expr
        case _:
            assert_never(expr)
