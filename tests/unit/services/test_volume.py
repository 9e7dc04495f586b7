import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_aggregator.engine.label_table import LabelTable
from log_aggregator.logql.parser import parse_selector
from log_aggregator.model.labels import labels_of
from log_aggregator.services.extents import EXTENT_SCHEMA, Extents
from log_aggregator.services.index_stats import IndexStats, index_stats
from log_aggregator.services.volume import (
    AggregateBy,
    TooManyVolumes,
    VolumeQuery,
    stepped_volumes,
    total_volumes,
)

Extent = tuple[dict[str, str], int, int, int]


def extents_of(*extents: Extent) -> Extents:
    """Labels, first and last time, bytes; a row a byte."""
    table = LabelTable()
    numbers = table.numbers([labels_of(labels) for labels, *_ in extents])
    rows = [(n, size, low, high, size) for n, (_, low, high, size) in zip(numbers, extents, strict=True)]
    return Extents(table, pl.DataFrame(rows, EXTENT_SCHEMA, orient="row"))


def query(
    start: int,
    end: int,
    selector: str = "",
    *targets: str,
    by: AggregateBy = "series",
    limit: int = 100,
    most: int = 100,
) -> VolumeQuery:
    return VolumeQuery(start, end, parse_selector(selector) if selector else (), targets, by, limit, most)


A, B = {"app": "a", "env": "x"}, {"app": "b"}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (query(0, 100), [(A, 20), (B, 10)]),
        (query(0, 100, limit=1), [(A, 20)]),
        (query(5, 100), [(A, 20), (B, 5)]),
        (query(0, 100, '{app=~".+"}'), [({"app": "a"}, 20), ({"app": "b"}, 10)]),
        (query(0, 100, '{app=~".+", env=~".*"}'), [(A, 20), (B, 10)]),
        (query(0, 100, "", "env"), [({"env": "x"}, 20)]),
        (query(0, 100, "", by="labels"), [({"app": ""}, 30), ({"env": ""}, 20)]),
        (query(0, 100, "", "env", by="labels"), [({"env": ""}, 20)]),
        (query(0, 100, "", "app", "env", by="labels"), [({"app": ""}, 20), ({"env": ""}, 20)]),
        (query(0, 100, "", "env", "nosuch", by="labels"), []),
        (query(0, 100, "", "env", "nosuch"), []),
        # Those that the selector names need not be there.
        (query(0, 100, '{app=~".+", env=~".*"}', "env"), [({"env": "x"}, 20), ({}, 10)]),
        (query(0, 100, '{app=~".+", env!="y"}', "app", "env", by="labels"), [({"app": ""}, 30), ({"env": ""}, 20)]),
        (query(0, 100, '{app="nosuch"}'), []),
        (query(0, 100, "", "nosuch"), []),
    ],
)
def test_totals(asked: VolumeQuery, expected: list[tuple[dict[str, str], int]]) -> None:
    found = total_volumes(extents_of((A, 10, 19, 20), (B, 0, 9, 10)), asked)
    assert [(dict(volume.labels), volume.text_bytes) for volume in found] == expected


def test_no_extents_have_no_volume() -> None:
    assert total_volumes(extents_of(), query(0, 100)) == []
    assert stepped_volumes(extents_of(), query(0, 100), 10) == []


def test_too_many_groups_are_refused() -> None:
    with pytest.raises(TooManyVolumes):
        total_volumes(extents_of((A, 0, 9, 10), (B, 0, 9, 10)), query(0, 100, most=1))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (10, 19, [(0, 100)]),  # in one step
        (19, 19, [(0, 100)]),  # one moment, the last of its step
        (20, 20, [(1, 100)]),  # the first of the next
        (15, 24, [(0, 50), (1, 50)]),
        (15, 34, [(0, 25), (1, 50), (2, 25)]),
        (10, 59, [(0, 20), (1, 20), (2, 20), (3, 20)]),  # what lies after the end does not count
        (0, 19, [(0, 50)]),  # nor what lies before the start
    ],
)
def test_extents_are_shared_out_among_steps(low: int, high: int, expected: list[tuple[int, int]]) -> None:
    (found,) = stepped_volumes(extents_of((A, low, high, 100)), query(10, 50), 10)
    assert found.steps == expected


def test_first_step_begins_with_the_range() -> None:
    (found,) = stepped_volumes(extents_of((A, 15, 24, 100)), query(17, 23), 10)
    assert found.steps == [(0, 30), (1, 30)]


times = st.integers(1_700_000_000 * 10**9, 1_700_003_600 * 10**9)


@given(st.lists(st.tuples(times, times, st.integers(1, 10**9)), min_size=1, max_size=8), st.integers(1, 500))
def test_steps_add_up_to_the_total(spans: list[tuple[int, int, int]], step_seconds: int) -> None:
    extents = extents_of(*((A, min(span[:2]), max(span[:2]), span[2]) for span in spans))
    asked = query(1_700_000_000 * 10**9, 1_700_003_600 * 10**9)
    (total,) = total_volumes(extents, asked)
    (stepped,) = stepped_volumes(extents, asked, step_seconds * 10**9)
    assert sum(size for _, size in stepped.steps) == pytest.approx(total.text_bytes, abs=3600 / step_seconds + 2)


def test_statistics_count_in_proportion() -> None:
    extents = extents_of((A, 0, 9, 10), (A, 10, 19, 30), (B, 0, 0, 5))
    assert index_stats(extents, 5, 100, parse_selector('{app="a"}')) == IndexStats(1, 2, 35, 35)
    assert index_stats(extents, 0, 100, parse_selector('{app="nosuch"}')) == IndexStats(0, 0, 0, 0)
