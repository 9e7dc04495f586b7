"""Instant vectors: the samples of one step, and what vector aggregations and binary operations make of them."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import ClassVar, Literal, NamedTuple

from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.logql.arithmetic import ARITHMETIC, COMPARISONS, square_root
from log_aggregator.model.labels import Labels


class Sample(NamedTuple):
    """A value of a series at the step."""

    labels: Labels
    value: float


Vector = list[Sample]


def samples_of(labels: Iterable[Labels], values: Iterable[float]) -> Vector:
    """Samples of these series, one after the other."""
    # Vectors may have thousands of series, at each step, and a call for each sample is most of the time.
    return list(map(_SAMPLE, zip(labels, values, strict=True)))


_LABELS: Callable[[Sample], Labels] = itemgetter(0)
_SAMPLE: Callable[[tuple[Labels, float]], Sample] = partial(tuple.__new__, Sample)


class MatchingFailed(LogAggregatorError):
    """Two vectors whose series do not pair up. Loki answers 500, and so do we."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL


@dataclass(frozen=True, slots=True)
class Groups:
    """`by (names)`, or `without (names)`."""

    names: frozenset[str]
    without: bool
    _known: dict[Labels, Labels] = field(default_factory=dict, init=False, repr=False, compare=False)
    """The same series come at each step."""

    def keys(self, vector: Sequence[Sample]) -> list[Labels]:
        """The groups of the samples."""
        if not self.names and not self.without:
            return [()] * len(vector)
        keys = list(map(self._known.get, map(_LABELS, vector)))
        if None in keys:
            return [self.key(labels) for labels, _ in vector]
        return keys  # type: ignore[return-value]  # none is missing

    def key(self, labels: Labels) -> Labels:
        key = self._known.get(labels)
        if key is None:
            key = tuple(pair for pair in labels if (pair[0] in self.names) != self.without)
            key = labels if key == labels else key
            self._known[labels] = key
        return key


def without_empty(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[1]) if any(not value for _, value in labels) else labels


def without_empty_labels(vector: Vector) -> Vector:
    """Series that were told apart by these alone stay apart."""
    return [Sample(without_empty(labels), value) for labels, value in vector]


# Aggregations


def _sum(values: Sequence[float]) -> float:
    total = 0.0  # not by `sum`, which compensates for what is lost
    for value in values:
        total += value
    return total


def _avg(values: Sequence[float]) -> float:
    mean = values[0]
    for count, value in enumerate(values[1:], 2):
        if math.isinf(mean) and not math.isnan(value) and value != -mean:
            continue
        mean += (value - mean) / count
    return mean


def _max(values: Sequence[float]) -> float:
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def _min(values: Sequence[float]) -> float:
    return min((value for value in values if not math.isnan(value)), default=math.nan)


def _stdvar(values: Sequence[float]) -> float:
    squares, mean = 0.0, values[0]
    for count, value in enumerate(values[1:], 2):
        delta = value - mean
        mean += delta / count
        squares += delta * (value - mean)
    return squares / len(values)


REDUCTIONS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum": _sum,
    "avg": _avg,
    "max": _max,
    "min": _min,
    "count": lambda values: float(len(values)),
    "stdvar": _stdvar,
    "stddev": lambda values: square_root(_stdvar(values)),
}
"""Of the values of a group, in the order of their series."""


# What they make of one value; but a sum makes 0 of -0.
_OF_ONE_ITSELF = frozenset(("sum", "avg", "max", "min"))


def _are_groups(vector: Sequence[Sample], keys: Sequence[Labels]) -> bool:
    """Whether each sample is a group of its own, of the same name: so it is where what is below is grouped alike."""
    if keys != list(map(_LABELS, vector)):
        return False
    values = dict(vector).values()
    return len(values) == len(vector) and 0.0 not in values


@dataclass(frozen=True, slots=True)
class Reduction:
    """One value of each group, by an operation of REDUCTIONS."""

    operation: str
    groups: Groups
    drops_empty: bool = False
    """Whether series lose their empty labels before they are grouped."""
    keeps_empty: bool = True

    def of(self, vector: Vector) -> Vector:
        own = without_empty_labels(vector) if self.drops_empty else vector
        return reduce(self.operation, own, self.groups, keeps_empty=self.keeps_empty)


def reduce(operation: str, vector: Sequence[Sample], groups: Groups, *, keeps_empty: bool = True) -> Vector:
    """One sample a group, for the operations that make one value of many.

    Empty labels tell groups apart, even where they are not kept.
    """
    keys = groups.keys(vector)
    if keeps_empty and operation in _OF_ONE_ITSELF and _are_groups(vector, keys):
        return list(vector)
    if operation == "sum":
        reduced = dict.fromkeys(keys, 0.0)
        for key, (_, value) in zip(keys, vector, strict=True):
            reduced[key] += value
    else:
        members: dict[Labels, list[float]] = {}
        for key, (_, value) in zip(keys, vector, strict=True):
            members.setdefault(key, []).append(value)
        function = REDUCTIONS[operation]
        reduced = {key: function(values) for key, values in members.items()}
    return samples_of(reduced if keeps_empty else map(without_empty, reduced), reduced.values())


def select_extremes(vector: Sequence[Sample], groups: Groups, count: int | None, *, largest: bool) -> Vector:
    """`topk` and `bottomk` of each group, `sort` with no count: the samples themselves, in order, NaN last."""
    members: dict[Labels, list[Sample]] = {}
    for key, sample in zip(groups.keys(vector), vector, strict=True):
        members.setdefault(key, []).append(sample)
    return [sample for group in members.values() for sample in _ranked(group, largest=largest)[:count]]


def _ranked(group: Sequence[Sample], *, largest: bool) -> Vector:
    numbers = [sample for sample in group if not math.isnan(sample[1])]
    return [
        *sorted(numbers, key=itemgetter(1), reverse=largest),
        *(sample for sample in group if math.isnan(sample[1])),
    ]


# Binary operations


def calculate(operator: str, left: float, right: float, *, kept: float, as_bool: bool) -> float | None:
    """The value of `left operator right`; of a comparison that fails, None, or 0 with `bool`.

    A comparison that holds gives `kept`, the value of the vector's side, or 1 with `bool`.
    """
    if operator in ARITHMETIC:
        return ARITHMETIC[operator](left, right)
    holds = COMPARISONS[operator](left, right)
    if as_bool:
        return float(holds)
    return kept if holds else None


def with_scalar(operator: str, vector: Iterable[Sample], scalar: float, *, scalar_first: bool, as_bool: bool) -> Vector:
    """A vector and a literal, in the order that `scalar_first` tells."""
    result = []
    for labels, value in vector:
        left, right = (scalar, value) if scalar_first else (value, scalar)
        answer = calculate(operator, left, right, kept=value, as_bool=as_bool)
        if answer is not None:
            result.append(Sample(labels, answer))
    return result


@dataclass(frozen=True, slots=True)
class Matching:
    """How the series of two vectors pair up. `include` goes with group_left and group_right."""

    cardinality: Literal["one-to-one", "many-to-one", "one-to-many"]
    names: frozenset[str]
    on: bool
    include: tuple[str, ...] = ()

    def signature(self, labels: Labels) -> Labels:
        """What series that pair up have in common; an empty label is as none."""
        return tuple(pair for pair in labels if (pair[0] in self.names) == self.on and pair[1])


def intersect(left: Vector, right: Vector, matching: Matching) -> Vector:
    """`and`."""
    signatures = {matching.signature(sample.labels) for sample in right}
    return [sample for sample in left if matching.signature(sample.labels) in signatures]


def unite(left: Vector, right: Vector, matching: Matching) -> Vector:
    """`or`."""
    if not left:
        return right
    signatures = {matching.signature(sample.labels) for sample in left}
    return left + [sample for sample in right if matching.signature(sample.labels) not in signatures]


def subtract(left: Vector, right: Vector, matching: Matching) -> Vector:
    """`unless`."""
    signatures = {matching.signature(sample.labels) for sample in right}
    return [sample for sample in left if matching.signature(sample.labels) not in signatures]


SET_OPERATIONS = {"and": intersect, "or": unite, "unless": subtract}


def combine(operator: str, left: Vector, right: Vector, matching: Matching, *, as_bool: bool) -> Vector:
    """Arithmetic and comparison of two vectors. Raises MatchingFailed."""
    swapped = matching.cardinality == "one-to-many"
    many, one = (right, left) if swapped else (left, right)
    partners = _by_signature(one, matching, "left" if swapped else "right")
    seen: dict[Labels, set[Labels]] = {}
    result = []
    for sample in many:
        signature = matching.signature(sample.labels)
        partner = partners.get(signature)
        if partner is None:
            continue
        labels = _result_labels(sample.labels, partner.labels, matching)
        _claim(seen, signature, labels, matching)
        first, second = (partner, sample) if swapped else (sample, partner)
        value = calculate(operator, first.value, second.value, kept=first.value, as_bool=as_bool)
        if value is not None:
            result.append(Sample(labels, value))
    return result


def _by_signature(vector: Vector, matching: Matching, side: str) -> dict[Labels, Sample]:
    found: dict[Labels, Sample] = {}
    for sample in vector:
        if found.setdefault(matching.signature(sample.labels), sample) is not sample:
            raise MatchingFailed(
                f"found duplicate series on the {side} hand-side;many-to-many matching not allowed: "
                "matching labels must be unique on one side"
            )
    return found


def _claim(seen: dict[Labels, set[Labels]], signature: Labels, labels: Labels, matching: Matching) -> None:
    """Refuses a second match where only one is allowed."""
    if matching.cardinality == "one-to-one":
        if signature in seen:
            raise MatchingFailed(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
            )
        seen[signature] = set()
        return
    taken = seen.setdefault(signature, set())
    if labels in taken:
        raise MatchingFailed("multiple matches for labels: grouping labels must ensure unique matches")
    taken.add(labels)


def _result_labels(many: Labels, one: Labels, matching: Matching) -> Labels:
    kept = matching.signature(many) if matching.cardinality == "one-to-one" else many
    if not matching.include:
        return without_empty(kept)
    included = {name: value for name, value in one if name in matching.include}
    rest = {name: value for name, value in kept if name not in matching.include}
    return without_empty(tuple(sorted({**rest, **included}.items())))
