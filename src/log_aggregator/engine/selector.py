"""Stream selectors: matchers on labels, where a label that is missing has the empty value."""

from collections.abc import Callable, Iterable

from log_aggregator.logql.ast import Matcher
from log_aggregator.logql.regex import compile_regex
from log_aggregator.model.labels import Labels

Accepts = Callable[[Labels], bool]
Predicate = Callable[[str], bool]

_DOTS_MATCH_NEWLINES = "(?s)"


def compile_selector(matchers: Iterable[Matcher]) -> Accepts:
    """Whether a stream satisfies every matcher."""
    compiled = [(matcher.name, compile_matcher(matcher)) for matcher in matchers]

    def accepts(labels: Labels) -> bool:
        values = dict(labels)
        return all(predicate(values.get(name, "")) for name, predicate in compiled)

    return accepts


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
