"""Headers of requests that say something about the query: where it comes from, and what it may cost."""

import re
from collections.abc import Mapping
from typing import ClassVar

from pydantic import ValidationError

from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.services.query_context import QueryContext, RequestedLimits

TAGS_HEADER = "x-query-tags"
CACHE_HEADER = "cache-control"
LIMITS_HEADER = "x-loki-query-limits"
# What a tag holds besides these would let it pretend to be other fields of the log.
_UNSAFE = re.compile(r"[^a-zA-Z0-9=, .@_-]+")
_MAX_TAGS_BYTES = 1024


class InvalidQueryLimits(LogAggregatorError):
    """The header with a request's own limits cannot be read. To ignore it would allow what the client ruled out."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID


def query_context(headers: Mapping[str, str], *, own_limits: bool) -> QueryContext:
    """With `own_limits`, a request may set itself limits. Raises InvalidQueryLimits."""
    text = headers.get(LIMITS_HEADER, "") if own_limits else ""
    requested = _limits(text) if text else RequestedLimits()
    no_cache = "no-cache" in headers.get(CACHE_HEADER, "").lower()
    return QueryContext(query_tags(headers.get(TAGS_HEADER, "")), requested, no_cache)


def query_tags(text: str) -> dict[str, str]:
    """`Source=logvolhist,Feature=x` by name in lower case; what is no pair is left out."""
    safe = _UNSAFE.sub("_", text[:_MAX_TAGS_BYTES])
    pairs = (pair.partition("=") for pair in safe.split(","))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip() and value.strip()}


def _limits(text: str) -> RequestedLimits:
    try:
        return RequestedLimits.model_validate_json(text)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, found["loc"]))
        raise InvalidQueryLimits(
            f"invalid X-Loki-Query-Limits header: {where}: {found['msg']}"
            if where
            else f"invalid X-Loki-Query-Limits header: {found['msg']}"
        ) from error
