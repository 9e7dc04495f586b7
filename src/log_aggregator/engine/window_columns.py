"""What windows hold as columns, made into vectors: all of them, or an aggregation of the series of each step.

An aggregation makes labels only for what it gives: below it there may be as many series as entries.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import polars as pl

from log_aggregator.engine.batch import Integers
from log_aggregator.engine.label_texts import grouped_texts, labels_of_text
from log_aggregator.engine.metric import SELECTIONS, groups_of, reduction_of
from log_aggregator.engine.query_memory import SAMPLE_BYTES, QueryMemory
from log_aggregator.engine.range_vector import ABSENT, absent_labels
from log_aggregator.engine.vector import REDUCTIONS, Groups, Reduction, Sample, Vector, samples_of, without_empty
from log_aggregator.engine.windows import WindowValues
from log_aggregator.logql.ast import RangeAggregation, VectorAggregation
from log_aggregator.model.columns import told_apart
from log_aggregator.model.labels import Labels

# A sample of an inner series, with its place among those of its group, and all that once more while it is sorted.
_COLUMNS_BYTES = 80


def vectors_of(
    aggregation: RangeAggregation,
    series: Sequence[Labels],
    parts: Iterable[WindowValues],
    steps: int,
    memory: QueryMemory,
) -> list[Vector]:
    """The vector of every step. Raises QueryTooLarge."""
    vectors: list[Vector] = [[] for _ in range(steps)]
    for part in parts:
        memory.hold("series", SAMPLE_BYTES * len(part.series))
        by_step = np.argsort(part.steps, kind="stable")
        numbers, values = part.series[by_step], part.values[by_step]
        ends = np.searchsorted(part.steps[by_step], np.arange(steps), "right").tolist()
        for vector, begin, end in zip(vectors, [0, *ends], ends, strict=False):
            vector += samples_of(map(series.__getitem__, numbers[begin:end].tolist()), values[begin:end].tolist())
    if aggregation.operation == ABSENT:
        absent = [Sample(absent_labels(aggregation.range.log.matchers), 1.0)]
        return [[] if vector else absent for vector in vectors]
    return vectors


def aggregated(
    expr: VectorAggregation, texts: pl.Series, parts: Iterable[WindowValues], steps: int, memory: QueryMemory
) -> list[Vector]:
    """What the aggregation makes of `vectors_of`, whose series have these texts, in order. Raises QueryTooLarge."""
    found = []
    for part in parts:
        memory.hold("series", _COLUMNS_BYTES * len(part.series))
        found.append(part)
    held = WindowValues.joined(found)
    found.clear()
    if expr.operation in SELECTIONS:
        samples = _selected(expr, texts, held)
    else:
        reduction = reduction_of(expr)
        samples = iter(()) if reduction is None else _reduced(reduction, texts, held)
    vectors: list[Vector] = [[] for _ in range(steps)]
    for step, sample in samples:
        memory.hold("series", SAMPLE_BYTES)
        vectors[step].append(sample)
    return vectors


def _reduced(reduction: Reduction, texts: pl.Series, held: WindowValues) -> Iterator[tuple[int, Sample]]:
    """One sample for each group, with its step."""
    codes, keys = _groups(texts, reduction.groups, drops_empty=reduction.drops_empty)
    if not reduction.keeps_empty:
        keys = list(map(without_empty, keys))
    members = _Members(held, codes)
    values = held.values[members.order]
    function = REDUCTIONS[reduction.operation]
    for step, group, begin, end in members:
        yield step, Sample(keys[group], function(values[begin:end].tolist()))


def _selected(expr: VectorAggregation, texts: pl.Series, held: WindowValues) -> Iterator[tuple[int, Sample]]:
    """The samples that `vector.select_extremes` chooses where series are sorted, with their steps."""
    codes, _ = _groups(texts, groups_of(expr.grouping), drops_empty=False)
    members = _Members(held, codes)
    # As `members.order`, but those of a group by value: NaN last, of equal ones the first.
    ranked = np.lexsort((-held.values if expr.operation == "topk" else held.values, members.keys))
    chosen: dict[int, Labels] = {}  # the same series at many steps
    for step, _, begin, end in members:
        for place in ranked[begin:end][: expr.parameter].tolist():
            number = int(held.series[place])
            labels = chosen.get(number)
            if labels is None:
                labels = chosen[number] = labels_of_text(texts[number])
            yield step, Sample(labels, float(held.values[place]))


class _Members:
    """The samples of each step and group. `order` has those of one group together, in the order of their series."""

    def __init__(self, held: WindowValues, codes: Integers) -> None:
        """`codes` are the groups of the series."""
        self._held, self._groups = held, codes[held.series]
        self.keys = held.steps * (int(codes.max(initial=0)) + 1) + self._groups
        self.order = np.argsort(self.keys, kind="stable")

    def __iter__(self) -> Iterator[tuple[int, int, int, int]]:
        """Step, group, and where its samples begin and end: as in a vector, by what is the first of each group."""
        begins = np.flatnonzero(np.diff(self.keys[self.order], prepend=-1))
        ends = np.append(begins[1:], len(self.order))
        first = self.order[begins]
        steps = self._held.steps[first]
        in_vectors = np.lexsort((first, steps))
        columns = (column[in_vectors].tolist() for column in (steps, self._groups[first], begins, ends))
        return zip(*columns, strict=True)


def _groups(texts: pl.Series, groups: Groups, *, drops_empty: bool) -> tuple[Integers, list[Labels]]:
    """The number of each series' group, and what the groups are called."""
    values, codes = told_apart(grouped_texts(texts, groups.names, without=groups.without))
    keys = list(map(labels_of_text, values[:-1]))
    if drops_empty:
        distinct: dict[Labels, int] = {}
        numbers = [distinct.setdefault(without_empty(key), len(distinct)) for key in keys]
        return np.array(numbers, np.int64)[codes.to_numpy()], list(distinct)
    return codes.to_numpy().astype(np.int64), keys
