"""The grouping of a sum, a maximum or a minimum, pushed into the range aggregation below it.

More than an optimisation: parsers then extract only what is needed, and what is not parsed cannot fail. Loki does so,
and `sum(count_over_time({...} | json [5m]))` counts lines that are no JSON. The sum stays: samples with an error keep
all their labels, whatever the grouping.

`max by (pod) (max_over_time(...))` has a series for each different set of labels below it, which after a parser is one
for each line. Loki keeps them; here the maxima are taken together, but parsers look for all labels as they would. What
Loki loses is kept: entries with U+FFFD in a label, for which it cannot read their series.
"""

from dataclasses import replace
from typing import assert_never

from log_aggregator.logql import ast
from log_aggregator.logql.ast import Grouping, MetricExpr

# Those whose value for a union of series is the sum of their values.
ADDITIVE = frozenset(("bytes_over_time", "bytes_rate", "sum_over_time", "rate", "count_over_time"))
# By what is around them, those whose value for a union of series is the extreme of their values.
_EXTREMES = {"max": "max_over_time", "min": "min_over_time"}


def push_down(expr: MetricExpr) -> MetricExpr:
    """The expression with range aggregations grouped as what is directly around them, where that is equal."""
    match expr:
        case ast.VectorAggregation("sum", ast.RangeAggregation(operation, grouping=None) as inner) if (
            operation in ADDITIVE
        ):
            return replace(expr, expr=replace(inner, grouping=expr.grouping or Grouping(())))
        case ast.VectorAggregation(_, ast.RangeAggregation(grouping=None) as inner) if _is_of_extremes(expr, inner):
            return replace(expr, expr=replace(inner, grouping=expr.grouping or Grouping(()), asks_for_all=True))
        case ast.VectorAggregation() | ast.LabelReplace():
            return replace(expr, expr=push_down(expr.expr))
        case ast.BinaryOperation():
            return replace(expr, left=push_down(expr.left), right=push_down(expr.right))
        case ast.RangeAggregation() | ast.NumberLiteral() | ast.VectorLiteral():
            return expr
        case _:
            assert_never(expr)


def _is_of_extremes(expr: ast.VectorAggregation, inner: ast.RangeAggregation) -> bool:
    """Whether it gives the extremes of the range aggregation's series, by labels that these have: not the unwrapped."""
    if _EXTREMES.get(expr.operation) != inner.operation or any(map(takes_labels_away, inner.range.log.stages)):
        return False
    grouping, unwrap = expr.grouping, inner.range.unwrap
    return grouping is None or (not grouping.without and (unwrap is None or unwrap.label not in grouping.labels))


def takes_labels_away(stage: ast.Stage) -> bool:
    """Whether Loki may compute series behind it in parts that it does not put together (`engine.metric`)."""
    match stage:
        case ast.DropStage() | ast.KeepStage():
            return True
        case ast.LabelFormatStage(assignments):
            return any(one.is_rename for one in assignments)
        case _:
            return False
