"""Stream selectors: matchers on labels, where a label that is missing has the empty value."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from log_aggregator.logql.ast import Matcher
from log_aggregator.logql.regex import compile_regex
from log_aggregator.model.labels import Labels

Accepts = Callable[[Labels], bool]
Predicate = Callable[[str], bool]

_DOTS_MATCH_NEWLINES = "(?s)"
# The same values come back in every index object.
_REMEMBERED_VALUES = 1 << 16


class LabelValues(NamedTuple):
    """Of one label in a table of streams: the distinct values, and by stream which of them it has."""

    values: Sequence[str]
    numbers: npt.NDArray[np.uint32]


class Selector:
    """Whether a stream satisfies every matcher."""

    def __init__(self, matchers: Iterable[Matcher]) -> None:
        self._predicates = [(matcher.name, _remembering(matcher)) for matcher in matchers]

    def __call__(self, labels: Labels) -> bool:
        values = dict(labels)
        return all(predicate(values.get(name, "")) for name, predicate in self._predicates)

    def mask(self, streams: int, values_of: Callable[[str], LabelValues]) -> npt.NDArray[np.bool_]:
        """Of a table of so many streams, those that do; a label's values are asked for by its name."""
        mask = np.ones(streams, np.bool_)
        for name, predicate in self._predicates:
            values, numbers = values_of(name)
            mask &= np.fromiter(map(predicate, values), np.bool_, len(values))[numbers]
        return mask


def label_values(streams: Iterable[Labels], name: str) -> LabelValues:
    """Those of the label in a table of streams."""
    places: dict[str, int] = {}
    numbers = [places.setdefault(dict(labels).get(name, ""), len(places)) for labels in streams]
    return LabelValues(list(places), np.array(numbers, np.uint32))


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
