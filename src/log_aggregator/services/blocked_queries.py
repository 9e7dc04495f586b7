"""Queries that an operator has blocked: `limits_config.blocked_queries`. Rules and words are Loki's."""

import logging
from collections.abc import Mapping, Sequence
from typing import ClassVar

from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.logql.ast import Expr, LabelFilterStage, LineFilterStage, LogExpr, Stage
from log_aggregator.logql.printer import expr_text
from log_aggregator.logql.regex import InvalidRegex, compile_regex
from log_aggregator.model.limits import BlockedQuery, Limits, QueryType

logger = logging.getLogger(__name__)

_FNV_OFFSET, _FNV_PRIME = 2166136261, 16777619


class QueryBlocked(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.INVALID

    def __init__(self) -> None:
        super().__init__("query blocked by policy")


def check_blocked(text: str, expr: Expr, tags: Mapping[str, str], limits: Limits) -> None:
    """Raises QueryBlocked."""
    if not limits.blocked_queries:
        return
    texts = (text, expr_text(expr))  # Loki often has no more than the parsed query when it looks at what is blocked
    # The first that means the query decides, even if the query is not of its types or has other tags.
    first = next((one for one in limits.blocked_queries if _means(one, texts)), None)
    if first is not None and _is_of(first, expr, tags):
        raise QueryBlocked


def query_type(expr: Expr) -> QueryType:
    """A log query is a filter if a stage looks for something, else it is only limited."""
    if not isinstance(expr, LogExpr):
        return "metric"
    return "filter" if any(map(_looks_for_something, expr.stages)) else "limited"


def _looks_for_something(stage: Stage) -> bool:
    """Every line has the empty text, with which Grafana's query builder begins."""
    match stage:
        case LineFilterStage("|=" | "|~", operands):
            return any(operand.text for operand in operands)
        case _:
            return isinstance(stage, LineFilterStage | LabelFilterStage)


def query_hash(text: str) -> int:
    """32-bit FNV-1."""
    value = _FNV_OFFSET
    for byte in text.encode():
        value = (value * _FNV_PRIME & 0xFFFFFFFF) ^ byte
    return value


def _means(blocked: BlockedQuery, texts: Sequence[str]) -> bool:
    if blocked.hash:
        return blocked.hash in map(query_hash, texts)
    # Without a pattern, every query.
    return not blocked.pattern or any(_matches(blocked, text) for text in texts)


def _is_of(blocked: BlockedQuery, expr: Expr, tags: Mapping[str, str]) -> bool:
    """Whether the types and the tags are those of the query."""
    if blocked.types and query_type(expr) not in blocked.types:
        return False
    return all(tags.get(name.lower(), "").lower() == value.lower() for name, value in blocked.query_tags.items())


def _matches(blocked: BlockedQuery, text: str) -> bool:
    if blocked.pattern.strip() == text.strip():
        return True
    if not blocked.regex:
        return False
    try:
        return compile_regex(blocked.pattern).search(text) is not None
    except InvalidRegex as error:
        logger.warning("a blocked query's pattern is no regular expression", extra={"error": str(error)})
        return False
