"""Windows that hold many rows of a stream, and chunks with many combinations of labels: cases of their own."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from both_ways import FORMS, Entry, add_columns, assert_same, batches_of, by_columns, by_rows, leaf_of
from log_aggregator.engine.columnar_leaf import ColumnarLeaf
from log_aggregator.engine.leaf_plan import plan_leaf
from log_aggregator.engine.query_memory import QueryMemory, QueryTooLarge
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.windows import Windows

SECOND_NS = 1_000_000_000
ROWS = 1500  # several of the 64 that a window must have for its sum to be taken from a slice


def entries(random: Random, rows: int = ROWS) -> list[Entry]:
    found = []
    for _ in range(rows):
        line = f'{{"n":"{random.randrange(3)}","who":"{random.randrange(900)}"}}' + " " * random.randrange(5)
        found.append(Entry(random.randrange(3), random.randrange(40 * SECOND_NS), line))
    return found


@given(
    st.sampled_from(("count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time")),
    st.sampled_from(("", "by (app)", "by (env)", "without (app)")),
    st.sampled_from((3, 10, 25, 100)),
    st.sampled_from(((0, 0, 1), (10, 40, 10), (5, 47, 7), (39, 39, 1), (0, 60, 20))),
    st.integers(-15, 15),
    st.integers(0, 1 << 32),
)
@settings(max_examples=60)
def test_windows_of_runs(
    operation: str, grouping: str, length: int, times: tuple[int, int, int], offset: int, seed: int
) -> None:
    text = f'{operation}({{app=~".+"}}[{length}s] offset {offset}s)'
    if grouping and operation != "absent_over_time":
        text = f"sum {grouping} ({text})"
    leaf, steps = leaf_of(text), Steps(*(second * SECOND_NS for second in times))
    batches = batches_of([entries(Random(seed)), entries(Random(seed + 1))], ["chunk", "chunk"])
    plan = plan_leaf(leaf)
    assert plan is not None
    assert_same(by_rows(leaf, batches, steps), by_columns(plan, batches, steps))


@pytest.mark.parametrize(
    "text",
    [
        "sum by (who) (count_over_time({app=~'.+'} | json [7s]))",
        "sum by (who, n) (bytes_over_time({app=~'.+'} | json | n > 0 [10s]))",
        "sum by (n) (rate({app=~'.+'} | json [10s]))",
        "quantile_over_time(0.9, {app=~'.+'} | json | unwrap n [10s]) by (app)",
        "max_over_time({app=~'.+'} | json | unwrap who [25s]) by (n)",
        "sum by (who) (sum_over_time({app=~'.+'} | json | unwrap n [10s]))",
        "avg_over_time({app=~'.+'} | json | unwrap who [3s]) by (n)",
    ],
)
@pytest.mark.parametrize("times", [(0, 40, 10), (10, 10, 1), (3, 45, 6)])
def test_many_combinations(text: str, times: tuple[int, int, int]) -> None:
    leaf, steps = leaf_of(text.replace("'", '"')), Steps(*(second * SECOND_NS for second in times))
    batches = batches_of([entries(Random(1)), entries(Random(2))], ["chunk with every field", "chunk with every field"])
    plan = plan_leaf(leaf)
    assert plan is not None
    assert_same(by_rows(leaf, batches, steps), by_columns(plan, batches, steps))


def test_many_combinations_of_one_series() -> None:
    """Which are added up before they are kept."""
    leaf, steps = (
        leaf_of('sum(count_over_time({app=~".+"} | json | who != "5" [1s]))'),
        Steps(0, 40 * SECOND_NS, SECOND_NS),
    )
    batches = batches_of([entries(Random(3), 6000)], ["chunk with every field"])
    plan = plan_leaf(leaf)
    assert plan is not None
    memory = QueryMemory()
    columnar = ColumnarLeaf(plan, Windows(leaf, steps, memory))
    add_columns(columnar, batches[0])
    assert columnar.partial().totals.height <= 41
    assert_same(by_rows(leaf, batches, steps), columnar.vectors())


def test_steps_too_short_for_one_number() -> None:
    """Of group and place: a range of a month has more steps of a nanosecond than fit beside many groups."""
    leaf = leaf_of('sum by (who) (count_over_time({app=~".+"} | json [30d]))')
    steps = Steps(40 * SECOND_NS, 40 * SECOND_NS + 20, 1)
    for form in FORMS:
        batches = batches_of([entries(Random(4), 3000)], [form])
        plan = plan_leaf(leaf)
        assert plan is not None
        assert_same(by_rows(leaf, batches, steps), by_columns(plan, batches, steps))


@pytest.mark.parametrize("length", [1, 2])
def test_samples_of_an_answer_are_held_in_memory(length: int) -> None:
    """Whether windows overlap or not."""
    leaf = leaf_of(f'sum by (who) (count_over_time({{app=~".+"}} | json [{length}s]))')
    plan = plan_leaf(leaf)
    assert plan is not None
    (batch,) = batches_of([entries(Random(5), 8000)], ["chunk with every field"])
    columnar = ColumnarLeaf(plan, Windows(leaf, Steps(0, 40 * SECOND_NS, SECOND_NS), QueryMemory(2 << 20)))
    add_columns(columnar, batch)
    with pytest.raises(QueryTooLarge):
        columnar.vectors()
