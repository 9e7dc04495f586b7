"""Metric expressions over the range vectors of their leaves: the meaning of LogQL above the log lines.

Everything here works on small things: one vector of samples for each step.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, assert_never

from log_aggregator.engine.entry_labels import ERROR, ERROR_DETAILS
from log_aggregator.engine.label_filter import names_asked_for
from log_aggregator.engine.label_replace import compile_label_replace
from log_aggregator.engine.pushdown import ADDITIVE, takes_labels_away
from log_aggregator.engine.range_vector import ABSENT
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import (
    REDUCTIONS,
    SET_OPERATIONS,
    Groups,
    Matching,
    Reduction,
    Sample,
    Vector,
    combine,
    reduce,
    select_extremes,
    with_scalar,
    without_empty_labels,
)
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.logql import ast
from log_aggregator.logql.ast import MetricExpr, RangeAggregation

_NOT_EVALUABLE = "unexpected expr type (*syntax.LiteralExpr) for Evaluator type (*logql.DefaultEvaluator)"
_ERRORS = frozenset((ERROR, ERROR_DETAILS))
_EXTREMES = {"max_over_time": "max", "min_over_time": "min"}
_PUT_TOGETHER = ADDITIVE | _EXTREMES.keys()
_SHARDED = _PUT_TOGETHER | {"avg_over_time", "first_over_time", "last_over_time"}
SELECTIONS = frozenset(("topk", "bottomk"))
_MERGED = frozenset(("sum", "avg", "count", "max", "min"))

Part = RangeAggregation | ast.VectorAggregation
"""A leaf, or the aggregation of its series that is computed with it (`aggregated_leaves`)."""
Leaves = Mapping[Part, Sequence[Vector]]
"""What each part gives: one vector a step."""


class NotEnabled(LogAggregatorError):
    """Part of the language that Loki has switched off by default. Loki answers 500, and so do we."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL


class NotEvaluable(LogAggregatorError):
    """A number where only series will do. Loki answers 500, and so do we."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL


def evaluate(expr: MetricExpr, leaves: Leaves, steps: Steps) -> list[Vector]:
    """One vector a step; a literal is a sample without labels. Raises MatchingFailed, NotEnabled, NotEvaluable."""
    match expr:
        case ast.VectorAggregation() if expr in leaves:
            return list(leaves[expr])
        case ast.VectorAggregation(expr=ast.NumberLiteral()) if expr.operation != "approx_topk":
            raise NotEvaluable(_NOT_EVALUABLE)
        case ast.LabelReplace(expr=ast.NumberLiteral()):
            raise NotEvaluable(_NOT_EVALUABLE)
        case ast.RangeAggregation():
            return _each(_putting_together(expr), leaves[expr]) if _is_put_together(expr) else list(leaves[expr])
        case ast.NumberLiteral() | ast.VectorLiteral():
            return [[Sample((), expr.value)]] * len(steps)
        case ast.VectorAggregation():
            return _each(_aggregation(expr), evaluate(expr.expr, leaves, steps))
        case ast.LabelReplace():
            return _each(compile_label_replace(expr), evaluate(expr.expr, leaves, steps))
        case ast.BinaryOperation():
            return _binary(expr, leaves, steps)
        case _:
            assert_never(expr)


def _is_put_together(leaf: RangeAggregation) -> bool:
    """Whether Loki aggregates the results of shards once more, since one series may come from several of them.

    So it is where labels are taken away. A `without`, which is also what stands for no grouping, loses empty labels
    then, and so does the division by which an average is put together.
    """
    if not _has_fewer_labels(leaf):
        return False
    grouping, unwrap = leaf.grouping, leaf.range.unwrap
    if leaf.operation == "avg_over_time":
        filters = unwrap.filters if unwrap else ()
        return all(_ERRORS.isdisjoint(names_asked_for(one)) for one in filters)
    is_grouped_by = grouping is not None and not grouping.without
    return leaf.operation in (_EXTREMES if is_grouped_by else _PUT_TOGETHER)


def _has_fewer_labels(leaf: RangeAggregation) -> bool:
    """Whether one of its series may come from several streams."""
    grouping = leaf.grouping
    is_grouped = grouping is not None and not (grouping.without and not grouping.labels)
    return is_grouped or any(map(takes_labels_away, leaf.range.log.stages))


def _is_sharded(expr: MetricExpr) -> bool:
    """Whether Loki computes it in shards whose series differ."""
    return (
        isinstance(expr, ast.RangeAggregation)
        and expr.operation in _PUT_TOGETHER | {"avg_over_time"}
        and not _has_fewer_labels(expr)
    )


def _is_in_shards(expr: MetricExpr) -> bool:
    """Whether Loki computes it, and an aggregation of it, in shards, be it one."""
    return isinstance(expr, ast.RangeAggregation) and expr.operation in _SHARDED


def _unwrapped(leaf: MetricExpr) -> str | None:
    """The label that series of the leaf lack, but not those that are added up below a sum."""
    if not isinstance(leaf, ast.RangeAggregation) or leaf.operation not in ADDITIVE:
        return None
    unwrap = leaf.range.unwrap
    return None if unwrap is None else unwrap.label


def _putting_together(leaf: RangeAggregation) -> Callable[[Vector], Vector]:
    """What becomes of the leaf's series; those with an error, which have all their labels, are grouped only now."""
    if leaf.grouping is None or leaf.operation not in _EXTREMES:
        return without_empty_labels
    groups, operation = groups_of(leaf.grouping), _EXTREMES[leaf.operation]
    return lambda vector: reduce(operation, vector, groups, keeps_empty=not groups.without)


def is_sorted(expr: MetricExpr) -> bool:
    """Whether the samples of an instant answer stand in the order of their values; else that of their labels."""
    match expr:
        case ast.VectorAggregation():
            return expr.operation in ("sort", "sort_desc") or is_sorted(expr.expr)
        case ast.LabelReplace():
            return is_sorted(expr.expr)
        case ast.BinaryOperation():
            return is_sorted(expr.left) or is_sorted(expr.right)
        case _:
            return False


def _each(function: Callable[[Vector], Vector], vectors: Sequence[Vector]) -> list[Vector]:
    return [function(vector) for vector in vectors]


def groups_of(grouping: ast.Grouping | None) -> Groups:
    """Without a grouping all series are one group."""
    if grouping is None:
        return Groups(frozenset(), without=False)
    return Groups(frozenset(grouping.labels), grouping.without)


def _aggregation(expr: ast.VectorAggregation) -> Callable[[Vector], Vector]:
    groups = groups_of(expr.grouping)
    match expr.operation:
        case operation if operation in SELECTIONS:
            largest = expr.operation == "topk"
            # Of equal values the first by labels win.
            return lambda vector: select_extremes(sorted(vector), groups, expr.parameter, largest=largest)
        case "sort" | "sort_desc":
            largest = expr.operation == "sort_desc"
            return lambda vector: select_extremes(vector, groups, None, largest=largest)
        case "approx_topk":
            raise NotEnabled("approx_topk is not enabled. See -limits.shard_aggregations")
        case _:
            reduction = reduction_of(expr)
            return (lambda vector: []) if reduction is None else reduction.of


def reduction_of(expr: ast.VectorAggregation) -> Reduction | None:
    """What an aggregation does that makes one value of many; None where that gives nothing at all."""
    groups, operation = groups_of(expr.grouping), expr.operation
    # An average is the division of a sum by a count, and binary operations lose empty labels.
    is_divided = operation == "avg" and _is_sharded(expr.expr)
    if is_divided and _unwrapped(expr.expr) in groups.names and not groups.without:
        return None  # the sums have the unwrapped label, the counts have it not
    # Results of shards are aggregated once more, and have lost their empty labels by then.
    is_merged = groups.without and operation in _MERGED and _is_in_shards(expr.expr)
    leaf = expr.expr if isinstance(expr.expr, RangeAggregation) and expr.expr.grouping is None else None
    drops_empty = is_merged or (leaf is not None and _is_put_together(leaf))
    return Reduction(operation, groups, drops_empty=drops_empty, keeps_empty=not (groups.without or is_divided))


def aggregated_leaves(expr: MetricExpr) -> dict[RangeAggregation, ast.VectorAggregation]:
    """The range aggregations of which nothing is looked at but one aggregation of their series, which columns give.

    So it is where series have no grouping of their own: there may be as many as entries.
    """
    found: dict[RangeAggregation, set[ast.VectorAggregation | None]] = {}
    for leaf, around in _leaves_with_around(expr, None):
        found.setdefault(leaf, set()).add(around)
    return {leaf: only for leaf, (only, *others) in found.items() if only is not None and not others}


def _leaves_with_around(
    expr: MetricExpr, around: ast.VectorAggregation | None
) -> Iterator[tuple[RangeAggregation, ast.VectorAggregation | None]]:
    """Each with what `aggregated_leaves` has of it there, if it has."""
    match expr:
        case RangeAggregation():
            yield expr, around if around is not None and _is_on_columns(around, expr) else None
        case ast.VectorAggregation():
            yield from _leaves_with_around(expr.expr, expr)
        case ast.LabelReplace():
            yield from _leaves_with_around(expr.expr, None)
        case ast.BinaryOperation():
            yield from _leaves_with_around(expr.left, None)
            yield from _leaves_with_around(expr.right, None)
        case ast.NumberLiteral() | ast.VectorLiteral():
            pass
        case _:
            assert_never(expr)


def _is_on_columns(expr: ast.VectorAggregation, leaf: RangeAggregation) -> bool:
    if leaf.grouping is not None or leaf.operation == ABSENT:
        return False
    # Which of several series are chosen follows from the labels that they have when they are put together.
    return expr.operation in REDUCTIONS or (expr.operation in SELECTIONS and not _is_put_together(leaf))


def _binary(expr: ast.BinaryOperation, leaves: Leaves, steps: Steps) -> list[Vector]:
    operator, as_bool = expr.operator, expr.return_bool
    if isinstance(expr.left, ast.NumberLiteral) or isinstance(expr.right, ast.NumberLiteral):
        scalar_first = isinstance(expr.left, ast.NumberLiteral)
        literal, other = (expr.left, expr.right) if scalar_first else (expr.right, expr.left)
        assert isinstance(literal, ast.NumberLiteral)
        value = literal.value
        return [
            with_scalar(operator, vector, value, scalar_first=scalar_first, as_bool=as_bool)
            for vector in evaluate(other, leaves, steps)
        ]
    matching = _matching(expr.matching)
    pairs = zip(evaluate(expr.left, leaves, steps), evaluate(expr.right, leaves, steps), strict=True)
    if operator in SET_OPERATIONS:
        return [SET_OPERATIONS[operator](left, right, matching) for left, right in pairs]
    return [combine(operator, left, right, matching, as_bool=as_bool) for left, right in pairs]


def _matching(matching: ast.VectorMatching) -> Matching:
    return Matching(matching.cardinality, frozenset(matching.labels), matching.on, matching.include)
