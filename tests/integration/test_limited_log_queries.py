"""A log query with a limit reads no more than its answer needs, and finds what it would find if it read everything."""

from itertools import product
from random import Random

import pytest

from cluster import TENANT, Cluster
from log_aggregator.engine.order import Direction
from log_aggregator.logql.ast import LogExpr
from log_aggregator.logql.parser import parse_expr
from log_aggregator.services import chunk_rows, tail
from log_aggregator.services.log_query import LogAnswer, LogQueries, LogQuery
from log_aggregator.services.scan import Scanner
from replica import HOUR_NS, Entry

ROWS = 3  # of a row group
DIRECTIONS: tuple[Direction, ...] = ("forward", "backward")


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_rows, "rows_per_group", lambda frame: ROWS)
    monkeypatch.setattr(tail, "_BLOCK_RECORDS", 2)


async def ask(
    scanner: Scanner, text: str, limit: int, direction: Direction = "backward", *, columnar: bool = True
) -> LogAnswer:
    expr = parse_expr(text)
    assert isinstance(expr, LogExpr)
    return await LogQueries(scanner, columnar=columnar).run(TENANT, LogQuery(expr, 0, HOUR_NS, limit, direction))


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_row_groups_beyond_the_limit_are_not_read(cluster: Cluster, direction: Direction) -> None:
    writer = await cluster.writer()
    await writer.push([Entry(TENANT, "a", number, f"line {number}") for number in range(8 * ROWS)])
    await writer.flush()
    answer = await ask(cluster.reader().scanner, '{stream="a"}', ROWS, direction)
    assert len(answer.rows) == ROWS
    assert answer.statistics.chunks_downloaded == 1


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_row_groups_of_the_same_time_are_looked_at_as_far_as_they_matter(
    cluster: Cluster, direction: Direction
) -> None:
    """Each has a stream from beginning to end, as in a chunk of many streams."""
    writer = await cluster.writer()
    await writer.push([Entry(TENANT, stream, 1000 * row, "line") for stream in "abcdefgh" for row in range(ROWS)])
    await writer.flush()
    answer = await ask(cluster.reader().scanner, '{stream=~".+"}', 2, direction)
    assert [row.timestamp_ns for row in answer.rows] == ([0, 0] if direction == "forward" else [2000, 2000])
    assert answer.statistics.lines == 4 * ROWS + 4  # four row groups, and then those of their time alone


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_as_many_row_groups_are_read_as_those_before_suggest(cluster: Cluster, direction: Direction) -> None:
    writer = await cluster.writer()
    await writer.push([Entry(TENANT, "a", number, f"line {number % ROWS}") for number in range(8 * ROWS)])
    await writer.flush()
    answer = await ask(cluster.reader().scanner, '{stream="a"} |= "line 1"', 2, direction)
    assert len(answer.rows) == 2
    assert answer.statistics.chunks_downloaded == 2


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_missed(cluster: Cluster, seed: int) -> None:
    """Entries of all times in each row group and record, some twice."""
    chance, writer = Random(seed), await cluster.writer()
    sent: list[Entry] = []
    for flush in range(4):
        for _ in range(4):
            new = [
                Entry(TENANT, chance.choice("abc"), chance.randrange(60), f"line {chance.randrange(4)}")
                for _ in range(chance.randrange(1, 20))
            ]
            await writer.push([*new, *chance.sample(sent, min(len(sent), 5))])
            sent += new
        if flush < 3:
            await writer.flush()
    scanner = cluster.reader().scanner
    for stages, limit, direction in product(
        ("", '|~ "[12]$"', '!= "3"', '| stream="a"', "| line_format `same`"), (1, 2, 5, 20, 1000), DIRECTIONS
    ):
        query = f'{{stream=~".+"}} {stages}'
        by_columns = await ask(scanner, query, limit, direction)
        by_rows = await ask(scanner, query, limit, direction, columnar=False)
        assert by_columns.rows == by_rows.rows, (query, limit, direction)
