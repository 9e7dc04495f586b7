"""Samples that are groups of their own are what an aggregation makes of them, without being added up."""

import math

import pytest

from log_aggregator.engine.range_functions import Window, stddev_over_time
from log_aggregator.engine.vector import Groups, Sample, reduce
from log_aggregator.model.labels import Labels

A: Labels = (("path", "/a"),)
B: Labels = (("path", "/b"),)
WITH_ERROR: Labels = (("__error__", "JSONParserErr"), ("path", "/a"))
BY_PATH = Groups(frozenset({"path"}), without=False)


@pytest.mark.parametrize("operation", ["sum", "avg", "max", "min"])
def test_groups_of_one_are_themselves(operation: str) -> None:
    vector = [Sample(A, 1.5), Sample(B, math.inf)]
    assert reduce(operation, vector, BY_PATH) == vector
    assert reduce(operation, [*vector, Sample((), 7.0)], BY_PATH) == [*vector, Sample((), 7.0)]
    (only,) = reduce(operation, [Sample(A, math.nan)], BY_PATH)
    assert math.isnan(only.value)


def test_groups_of_several_are_added_up_although_some_are_named_like_samples() -> None:
    assert reduce("sum", [Sample(WITH_ERROR, 1.0), Sample(A, 2.0), Sample(B, 3.0)], BY_PATH) == [
        Sample(A, 3.0),
        Sample(B, 3.0),
    ]
    assert reduce("sum", [Sample(A, 1.0), Sample(A, 2.0)], BY_PATH) == [Sample(A, 3.0)]


def test_a_sum_of_negative_zero_is_zero() -> None:
    (only,) = reduce("sum", [Sample(A, -0.0)], BY_PATH)
    assert math.copysign(1.0, only.value) == 1.0


def test_a_count_is_of_samples_and_empty_labels_go_where_they_are_not_kept() -> None:
    empty: Labels = (("path", ""),)
    assert reduce("count", [Sample(A, 9.0)], BY_PATH) == [Sample(A, 1.0)]
    assert reduce("sum", [Sample(empty, 1.0)], BY_PATH) == [Sample(empty, 1.0)]
    assert reduce("sum", [Sample(empty, 1.0)], BY_PATH, keeps_empty=False) == [Sample((), 1.0)]


def test_a_deviation_of_numbers_too_large_to_be_squared_is_none() -> None:
    values = [1e308, -1e308]
    (only,) = reduce("stddev", [Sample(A, value) for value in values], BY_PATH)
    assert math.isnan(only.value)
    assert math.isnan(stddev_over_time(Window([0, 0], values, 0, 1)))
