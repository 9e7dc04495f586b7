"""What a query must satisfy beyond its grammar, in Loki's words. Builders return the node or raise ParseError."""

import math
import re
from collections.abc import Iterable

from log_aggregator.logql import ast
from log_aggregator.logql.arithmetic import fold_literals
from log_aggregator.logql.ast import Expr, Grouping, LabelFilter, LogExpr, LogRange, Matcher, MetricExpr
from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.pattern import InvalidPattern, parse_pattern
from log_aggregator.logql.regex import InvalidRegex, compile_regex, group_names
from log_aggregator.logql.template.strconv import format_float, parse_float

# Deeper than any query that a person or a dashboard writes, and far from Python's own limit.
MAX_DEPTH = 200

_EMPTY_COMPATIBLE = (
    "queries require at least one regexp or equality matcher that does not have an empty-compatible value. For "
    'instance, app=~".*" does not meet this requirement, but app=~".+" will'
)
_WITH_UNWRAP = frozenset(
    [
        "avg_over_time",
        "sum_over_time",
        "max_over_time",
        "min_over_time",
        "stddev_over_time",
        "stdvar_over_time",
        "quantile_over_time",
        "rate",
        "rate_counter",
        "absent_over_time",
        "first_over_time",
        "last_over_time",
    ]
)
_WITHOUT_UNWRAP = frozenset(["bytes_over_time", "bytes_rate", "count_over_time", "rate", "absent_over_time"])
_GROUPED_RANGES = frozenset(
    [
        "avg_over_time",
        "stddev_over_time",
        "stdvar_over_time",
        "quantile_over_time",
        "max_over_time",
        "min_over_time",
        "first_over_time",
        "last_over_time",
    ]
)
_WITH_PARAMETER = ("bottomk", "topk", "approx_topk")
_SET_OPERATORS = ("and", "or", "unless")
_INTEGER = re.compile(r"[+-]?0*[0-9]{1,19}")
_INT64 = 1 << 63


def matcher(name: str, op: str, value: str) -> Matcher:
    if op in ("=~", "!~"):
        try:
            compile_regex(value)
        except InvalidRegex as error:
            raise ParseError(str(error)) from error
    return Matcher(name, op, value)  # type: ignore[arg-type]


def check_selectors(expr: Expr) -> None:
    """Every selector needs a matcher that the empty string does not satisfy. `sort` takes no grouping."""
    match expr:
        case LogExpr():
            _check_matchers(expr.matchers)
        case ast.RangeAggregation():
            _check_matchers(expr.range.log.matchers)
        case ast.VectorAggregation():
            if expr.operation in ("sort", "sort_desc") and expr.grouping and expr.grouping.labels:
                raise ParseError("sort and sort_desc doesn't allow grouping by ")
            check_selectors(expr.expr)
        case ast.LabelReplace():
            check_selectors(expr.expr)
        case ast.BinaryOperation():
            check_selectors(expr.left)
            check_selectors(expr.right)


def check_literals(expr: Expr) -> None:
    """A literal cannot be summed up. Loki, to shard the sum, takes it for a selector without matchers."""
    match expr:
        case ast.VectorAggregation("sum" | "count" | "avg", ast.NumberLiteral()):
            raise ParseError(_EMPTY_COMPATIBLE)
        case ast.VectorAggregation() | ast.LabelReplace():
            check_literals(expr.expr)
        case ast.BinaryOperation():
            check_literals(expr.left)
            check_literals(expr.right)


def _check_matchers(matchers: tuple[Matcher, ...]) -> None:
    if all(_accepts_empty(one) for one in matchers):
        raise ParseError(_EMPTY_COMPATIBLE)


def _accepts_empty(one: Matcher) -> bool:
    match one.op:
        case "=":
            return one.value == ""
        case "!=":
            return one.value != ""
        case "=~":
            return compile_regex(one.value).fullmatch("") is not None
        case "!~":
            return compile_regex(one.value).fullmatch("") is None


def check_depth(expr: Expr) -> None:
    """Raises ParseError where walking the tree by recursion could exhaust Python's stack: `a + a + ... + a`."""
    pending: list[tuple[Expr | LabelFilter, int]] = [(expr, 1)]
    while pending:
        node, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise ParseError(f"expression nests deeper than {MAX_DEPTH} levels")
        pending += [(child, depth + 1) for child in _children(node)]


def _children(node: Expr | LabelFilter) -> Iterable[Expr | LabelFilter]:
    match node:
        case LogExpr():
            return [stage.filter for stage in node.stages if isinstance(stage, ast.LabelFilterStage)]
        case ast.RangeAggregation():
            return (node.range.log, *(node.range.unwrap.filters if node.range.unwrap else ()))
        case ast.VectorAggregation() | ast.LabelReplace():
            return (node.expr,)
        case ast.BinaryOperation() | ast.AndFilter() | ast.OrFilter():
            return (node.left, node.right)
        case _:
            return ()


def literal_value(text: str, what: str = "literal") -> float:
    """The value of a number that has no sign. Raises ParseError."""
    value = parse_float(text)
    if value is None or math.isinf(value):
        problem = "invalid syntax" if value is None else "value out of range"
        raise ParseError(f'unable to parse {what} as a float: strconv.ParseFloat: parsing "{text}": {problem}')
    return value


def binary_operation(
    operator: str, left: Expr, right: Expr, matching: ast.VectorMatching, return_bool: bool
) -> MetricExpr:
    for side, leg in (("left", left), ("right", right)):
        if isinstance(leg, LogExpr):
            kind = "*syntax.PipelineExpr" if leg.stages else "*syntax.MatchersExpr"
            raise ParseError(f"unexpected type for {side} leg of binary operation ({operator}): {kind}")
    assert not isinstance(left, LogExpr)
    assert not isinstance(right, LogExpr)
    if operator in _SET_OPERATORS:
        for side, leg in (("left", left), ("right", right)):
            if isinstance(leg, ast.NumberLiteral):
                raise ParseError(
                    f"unexpected literal for {side} leg of logical/set binary operation ({operator}): "
                    f"{format_float(leg.value, 'f', 6)}"
                )
    if isinstance(left, ast.NumberLiteral) and isinstance(right, ast.NumberLiteral):
        return ast.NumberLiteral(fold_literals(operator, left.value, right.value))
    return ast.BinaryOperation(operator, left, right, matching, return_bool)


def range_aggregation(
    operation: str, log_range: LogRange, parameter: str | None, grouping: Grouping | None
) -> MetricExpr:
    if parameter is not None and operation != "quantile_over_time":
        raise ParseError(f"parameter {parameter} not supported for operation {operation}")
    if parameter is None and operation == "quantile_over_time":
        raise ParseError(f"parameter required for operation {operation}")
    quantile = None if parameter is None else _quantile(operation, parameter)
    if grouping is not None and operation not in _GROUPED_RANGES:
        raise ParseError(f"grouping not allowed for {operation} aggregation")
    if log_range.unwrap is not None and operation not in _WITH_UNWRAP:
        raise ParseError(f"invalid aggregation {operation} with unwrap")
    if log_range.unwrap is None and operation not in _WITHOUT_UNWRAP:
        raise ParseError(f"invalid aggregation {operation} without unwrap")
    return ast.RangeAggregation(operation, log_range, quantile, grouping)


def _quantile(operation: str, text: str) -> float:
    try:
        return literal_value(text)
    except ParseError as error:
        problem = error.message.partition(": ")[2]
        raise ParseError(f"invalid parameter for operation {operation}: {problem}") from error


def vector_aggregation(
    operation: str, expr: MetricExpr, parameter: str | None, grouping: Grouping | None
) -> MetricExpr:
    if operation not in _WITH_PARAMETER:
        if parameter is not None:
            raise ParseError(f"unsupported parameter for operation {operation}({parameter},")
        return ast.VectorAggregation(operation, expr, 0, grouping)
    if parameter is None:
        raise ParseError(f"parameter required for operation {operation}")
    if not _INTEGER.fullmatch(parameter) or not -_INT64 <= int(parameter) < _INT64:
        raise ParseError(f"invalid parameter {operation}({parameter},")
    if int(parameter) <= 0:
        raise ParseError(f"invalid parameter (must be greater than 0) {operation}({parameter}")
    if operation == "approx_topk" and grouping is not None:
        raise ParseError(f"grouping not allowed for {operation} aggregation")
    return ast.VectorAggregation(operation, expr, int(parameter), grouping)


def label_replace(expr: MetricExpr, destination: str, replacement: str, source: str, pattern: str) -> MetricExpr:
    try:
        compile_regex(f"^(?:{pattern})$")
    except InvalidRegex as error:
        raise ParseError(f"invalid regex in label_replace: {error}") from error
    return ast.LabelReplace(expr, destination, replacement, source, pattern)


def check_regexp_stage(stage: ast.RegexpStage) -> ast.RegexpStage:
    try:
        compile_regex(stage.pattern)
    except InvalidRegex as error:
        raise ParseError(f"invalid regexp parser: {error}") from error
    names = group_names(stage.pattern)
    if not names:
        raise ParseError("invalid regexp parser: at least one named capture must be supplied")
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ParseError(f"invalid regexp parser: duplicate extracted label name '{name}'")
    return stage


def check_pattern_stage(stage: ast.PatternStage) -> ast.PatternStage:
    try:
        parse_pattern(stage.pattern).check_captures()
    except InvalidPattern as error:
        raise ParseError(f"invalid pattern parser: {error}") from error
    return stage
