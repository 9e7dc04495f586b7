"""Stream selectors: matchers on labels, where a label that is missing has the empty value."""

from collections.abc import Callable, Iterable
from functools import lru_cache

from log_aggregator.logql.ast import Matcher
from log_aggregator.logql.regex import compile_regex
from log_aggregator.model.labels import Labels

Accepts = Callable[[Labels], bool]
Predicate = Callable[[str], bool]

_DOTS_MATCH_NEWLINES = "(?s)"
# The same values come back in every index object.
_REMEMBERED_VALUES = 1 << 16


def compile_selector(matchers: Iterable[Matcher]) -> Accepts:
    """Whether a stream satisfies every matcher."""
    compiled = [(matcher.name, _remembering(matcher)) for matcher in matchers]

    def accepts(labels: Labels) -> bool:
        values = dict(labels)
        for name, predicate in compiled:  # noqa: SIM110 - `all` of a generator takes as long again
            if not predicate(values.get(name, "")):
                return False
        return True

    return accepts


def _remembering(matcher: Matcher) -> Predicate:
    """Expressions take several times what it takes to look up what they said of a value."""
    predicate = compile_matcher(matcher)
    return lru_cache(_REMEMBERED_VALUES)(predicate) if matcher.op in ("=~", "!~") else predicate


def compile_matcher(matcher: Matcher) -> Predicate:
    """Whether a value satisfies the matcher: an expression must match all of it, and its dots match newlines too."""
    wanted = matcher.value
    match matcher.op:
        case "=":
            return lambda value: value == wanted
        case "!=":
            return lambda value: value != wanted
        case "=~":
            fullmatch = compile_regex(_DOTS_MATCH_NEWLINES + wanted).fullmatch
            return lambda value: fullmatch(value) is not None
        case "!~":
            fullmatch = compile_regex(_DOTS_MATCH_NEWLINES + wanted).fullmatch
            return lambda value: fullmatch(value) is None
