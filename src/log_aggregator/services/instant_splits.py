"""Which instant queries Loki splits by time, so that it never looks at the whole of their windows at once.

What the splits give is merged by labels, and a label of an empty value is none there: its series is merged with the one
that has no such label. Elsewhere these are two.
"""

from operator import add
from typing import Final, assert_never

from log_aggregator.engine.vector import Vector, samples_of
from log_aggregator.logql import ast
from log_aggregator.logql.ast import MetricExpr, RangeAggregation
from log_aggregator.model.labels import Labels

_SPLIT_NS: Final = 3600 * 1_000_000_000
"""Loki's default for `split_instant_metric_queries_by_interval`."""

_RATES: Final = frozenset({"rate", "bytes_rate"})
_EXTREMES: Final = frozenset({"min_over_time", "max_over_time"})
_SPLIT_RANGES: Final = _RATES | _EXTREMES | {"count_over_time", "bytes_over_time", "sum_over_time"}
_MERGES: Final = {"min_over_time": min, "max_over_time": max}  # the others are added up
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


def merged_splits(vector: Vector, leaf: RangeAggregation) -> Vector:
    """What a leaf gives that is split, as all are but those with a grouping of their own."""
    merge = _MERGES.get(leaf.operation, add)
    merged: dict[Labels, float] = {}
    for labels, value in vector:
        named = tuple(label for label in labels if label[1])
        merged[named] = merge(merged[named], value) if named in merged else value
    return samples_of(merged, merged.values())


def _finds_any_label(leaf: RangeAggregation) -> bool:
    """Whether a parser may make any number of series in each split."""
    return any(
        isinstance(stage, ast.JsonStage | ast.LogfmtStage) and not stage.extractions for stage in leaf.range.log.stages
    )


def _is_merged(leaf: RangeAggregation, around: str) -> bool:
    if leaf.operation in _EXTREMES and leaf.grouping is not None:
        return True
    return around == "sum" if leaf.operation in _RATES else around in _MERGING
