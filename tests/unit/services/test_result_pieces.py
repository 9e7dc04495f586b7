"""How the steps of a query are cut into pieces whose results can be kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_aggregator.engine.range_vector import range_span
from log_aggregator.engine.steps import Steps
from log_aggregator.logql.ast import RangeAggregation
from log_aggregator.logql.parser import parse_expr
from log_aggregator.services.results_cache import pieces_of


def leaf_of(text: str) -> RangeAggregation:
    expr = parse_expr(text)
    assert isinstance(expr, RangeAggregation)
    return expr


LEAF = leaf_of('rate({a="b"}[5s] offset 2s)')
SECOND_NS = 1_000_000_000


def seconds(steps: Steps) -> tuple[int, int]:
    return steps.first_ns // SECOND_NS, steps.last_ns // SECOND_NS


def steps_of(first: int, last: int, step: int) -> Steps:
    return Steps(first * SECOND_NS, last * SECOND_NS, step * SECOND_NS)


@pytest.mark.parametrize(
    ("steps", "pieces"),
    [
        (steps_of(0, 50, 10), [(0, 50, True)]),
        (steps_of(0, 110, 10), [(0, 50, True), (60, 110, True)]),
        (steps_of(10, 120, 10), [(10, 50, False), (60, 110, True), (120, 120, False)]),
        (steps_of(0, 119, 7), [(0, 56, True), (63, 119, True)]),
        (steps_of(0, 270, 90), [(0, 0, True), (90, 90, True), (180, 180, True), (270, 270, False)]),
        (steps_of(120, 290, 10), [(120, 170, True), (180, 230, False), (240, 290, False)]),
    ],
)
def test_pieces_are_the_steps_of_whole_intervals(steps: Steps, pieces: list[tuple[int, int, bool]]) -> None:
    """Intervals of a minute; entries come from second 200 on, and the windows of a step end two seconds before it."""
    found = pieces_of(LEAF, steps, 60 * SECOND_NS, 200 * SECOND_NS)
    assert [(*seconds(piece.steps), piece.is_closed) for piece in found] == pieces


@given(st.integers(0, 500), st.integers(0, 60), st.integers(1, 90), st.integers(1, 120), st.integers(0, 5000))
def test_pieces_make_up_the_steps(first: int, count: int, step: int, interval: int, fresh: int) -> None:
    steps = Steps(first * step, (first + count) * step, step)
    pieces = pieces_of(LEAF, steps, interval, fresh)
    assert [time for piece in pieces for time in piece.steps.times_ns] == list(steps.times_ns)
    for piece in pieces:
        begin = piece.steps.first_ns // interval * interval
        assert piece.steps.last_ns < begin + interval
        if piece.is_closed:
            assert range_span(LEAF, piece.steps)[1] <= fresh
            every = range(-(-begin // step) * step, begin + interval, step)
            assert list(piece.steps.times_ns) == list(every)
