"""Headers of requests that say something about the query: where it comes from, and what it may cost."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ValidationError

from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.http.server import Call
from log_aggregator.model.limits import Limits
from log_aggregator.services.query_context import QueryContext, RequestedLimits
from log_aggregator.services.tightest_limits import limits_of_all

TAGS_HEADER = "x-query-tags"
CACHE_HEADER = "cache-control"
LIMITS_HEADER = "x-loki-query-limits"
# What a tag holds besides these would let it pretend to be other fields of the log.
_UNSAFE = re.compile(r"[^a-zA-Z0-9=, .@_-]+")
_MAX_TAGS_BYTES = 1024


class InvalidQueryLimits(LogAggregatorError):
    """The header with a request's own limits cannot be read. To ignore it would allow what the client ruled out."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The limits of a call: those of its tenants and, with `own_limits`, those that it sets itself."""

    limits_of: Callable[[str], Limits]
    own_limits: bool

    def __call__(self, call: Call) -> Limits:
        """Raises InvalidQueryLimits."""
        return self.context(call).tightened(limits_of_all(self.limits_of, call.tenant))

    def context(self, call: Call) -> QueryContext:
        """Raises InvalidQueryLimits."""
        return query_context(call.request.headers, own_limits=self.own_limits)


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
