"""Which instant queries Loki splits by time, so that it never looks at the whole of their windows at once."""

from typing import Final, assert_never

from log_aggregator.logql import ast
from log_aggregator.logql.ast import MetricExpr, RangeAggregation

_SPLIT_NS: Final = 3600 * 1_000_000_000
"""Loki's default for `split_instant_metric_queries_by_interval`."""

_RATES: Final = frozenset({"rate", "bytes_rate"})
_EXTREMES: Final = frozenset({"min_over_time", "max_over_time"})
_SPLIT_RANGES: Final = _RATES | _EXTREMES | {"count_over_time", "bytes_over_time", "sum_over_time"}
_MERGING: Final = frozenset({"sum", "min", "max", "avg"})
_SPLIT_VECTORS: Final = _MERGING | {"count", "topk", "sort", "sort_desc"}


def is_split(expr: MetricExpr, around: str = "") -> bool:
    """Whether all of it is; it is all or nothing. `around` is the aggregation that merges its results."""
    match expr:
        case RangeAggregation():
            return (
                expr.operation in _SPLIT_RANGES
                and expr.range.range_ns > _SPLIT_NS
                and (not _finds_any_label(expr) or _is_merged(expr, around))
            )
        case ast.VectorAggregation(operation):
            return operation in _SPLIT_VECTORS and is_split(expr.expr, operation)
        case ast.LabelReplace():
            return is_split(expr.expr, around)
        case ast.BinaryOperation(_, left, right):
            operands = [one for one in (left, right) if not isinstance(one, ast.NumberLiteral)]
            return bool(operands) and all(map(is_split, operands))
        case ast.NumberLiteral() | ast.VectorLiteral():
            return False
        case _:
            assert_never(expr)


def _finds_any_label(leaf: RangeAggregation) -> bool:
    """Whether a parser may make any number of series in each split."""
    return any(
        isinstance(stage, ast.JsonStage | ast.LogfmtStage) and not stage.extractions for stage in leaf.range.log.stages
    )


def _is_merged(leaf: RangeAggregation, around: str) -> bool:
    if leaf.operation in _EXTREMES and leaf.grouping is not None:
        return True
    return around == "sum" if leaf.operation in _RATES else around in _MERGING
