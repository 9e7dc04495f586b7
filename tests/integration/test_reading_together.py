"""Columns of many row groups come with few requests to the store, and damage in one of them is that one's alone."""

import asyncio
import time
from collections import Counter
from itertools import pairwise
from random import Random
from threading import Barrier

import polars as pl
import pytest

from cluster import TENANT, Cluster, flipped
from log_aggregator.engine.batch import Batch
from log_aggregator.engine.columnar_leaf import ColumnarLeaf
from log_aggregator.engine.steps import Steps
from log_aggregator.formats.chunk import LABELS, LINE_BYTES
from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.metadata import format_metadata
from log_aggregator.formats.parquet import ParquetFooter
from log_aggregator.logql.ast import LogExpr, MetricExpr
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.segment import LINE, METADATA, SEGMENT_SCHEMA, STREAM, TIMESTAMP, Segment
from log_aggregator.services import chunk_rows, tail
from log_aggregator.services.damage import current_damage, damage_left_out
from log_aggregator.services.log_query import LogQueries, LogQuery
from log_aggregator.services.metric_query import MetricQueries
from log_aggregator.services.row_groups import RowGroups
from log_aggregator.services.scan import Scanner
from log_aggregator.services.tail import TailRecord
from log_aggregator.storage.memory import MemoryStore
from log_aggregator.storage.store import ByteRange
from replica import HOUR_NS, Entry

ROW_GROUPS = 8
ROWS = 3  # of each


@pytest.fixture(autouse=True)
def small_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_rows, "rows_per_group", lambda frame: ROWS)


async def one_chunk(cluster: Cluster) -> None:
    """In which line number n has n bytes more than the first."""
    writer = await cluster.writer()
    entries = [Entry(TENANT, "a", number, "l" * (10 + number)) for number in range(ROW_GROUPS * ROWS)]
    await writer.push(entries)
    await writer.flush()


async def value_of(scanner: Scanner | MetricQueries, text: str) -> float:
    expr = parse_expr(text)
    assert isinstance(expr, MetricExpr)
    queries = MetricQueries(scanner) if isinstance(scanner, Scanner) else scanner
    answer = await queries.run(TENANT, expr, Steps.at(HOUR_NS - 1))
    ((sample,),) = answer.vectors
    return sample.value


async def lines(scanner: Scanner) -> list[str]:
    expr = parse_expr('{stream="a"}')
    assert isinstance(expr, LogExpr)
    answer = await LogQueries(scanner).run(TENANT, LogQuery(expr, 0, HOUR_NS, 1000, "forward"))
    return [row.line for row in answer.rows]


async def test_columns_of_all_row_groups_are_one_request(cluster: Cluster) -> None:
    await one_chunk(cluster)
    reader = cluster.reader()
    assert await value_of(reader.scanner, 'count_over_time({stream="a"}[1h])') == ROW_GROUPS * ROWS
    before = reader.gate.passed
    assert await value_of(reader.scanner, 'bytes_over_time({stream="a"}[1h])') == sum(
        10 + n for n in range(ROW_GROUPS * ROWS)
    )
    assert reader.gate.passed == before + 1
    assert len(await lines(reader.scanner)) == ROW_GROUPS * ROWS


@pytest.mark.parametrize("query", ["lines", "count_over_time", "bytes_over_time"])
async def test_a_chunk_of_one_row_group_is_one_request(cluster: Cluster, query: str) -> None:
    """Its lines come with its other columns, not after them."""
    writer = await cluster.writer()
    chunks = 3
    for chunk in range(chunks):
        await writer.push([Entry(TENANT, "a", chunk * ROWS + number, "a line") for number in range(ROWS)])
        await writer.flush()
    reader = cluster.reader()
    # Reads the index objects.
    assert await value_of(reader.scanner, 'count_over_time({stream="b"}[1h]) or vector(7)') == 7
    before = reader.gate.passed
    if query == "lines":
        assert len(await lines(reader.scanner)) == chunks * ROWS
    else:
        assert await value_of(reader.scanner, f'{query}({{stream="a"}} |= "line" [1h])') > 0
    assert reader.gate.passed == before + chunks


async def test_records_of_a_log_query_are_decoded_side_by_side(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "_BLOCK_RECORDS", 1)
    records = 4
    writer = await cluster.writer()
    for number in range(records):
        await writer.push([Entry(TENANT, "a", number, "a line")])
    all_begun, decode = Barrier(records), TailRecord.decode

    def together(record: TailRecord) -> Segment:
        all_begun.wait(timeout=5)
        return decode(record)

    monkeypatch.setattr(TailRecord, "decode", together)
    assert len(await lines(cluster.reader().scanner)) == records


async def damage(cluster: Cluster, column: str, row_group: int) -> None:
    (key,) = await cluster.keys("chunks")
    data = await cluster.store.get(key)
    span = ParquetFooter.of_file(data).row_groups[row_group].spans[column]
    await cluster.store.put(key, flipped(data, (span.start + span.end) // 2))


@pytest.mark.parametrize(("column", "query"), [(LINE_BYTES, "bytes_over_time"), (LINE, "lines")])
async def test_damage_is_of_one_row_group(cluster: Cluster, column: str, query: str) -> None:
    await one_chunk(cluster)
    await damage(cluster, column, 5)
    lost = range(5 * ROWS, 6 * ROWS)
    kept = [10 + number for number in range(ROW_GROUPS * ROWS) if number not in lost]

    async def sizes() -> float:
        if query == "lines":
            return sum(map(len, await lines(cluster.reader().scanner)))
        return await value_of(cluster.reader().scanner, f'{query}({{stream="a"}}[1h])')

    with pytest.raises((CorruptData, ExceptionGroup), match=r"fails its checksum|unhandled errors"):
        await sizes()
    with damage_left_out(allowed=True):
        assert await sizes() == sum(kept)
        found = current_damage()
        assert found is not None
        assert found.row_groups == 1


class CountedStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.reads = Counter[str]()
        self.ranges = Counter[ByteRange]()

    async def get(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        self.reads[key] += 1
        if byte_range is not None:
            self.ranges[byte_range] += 1
        return await super().get(key, byte_range)


class MeetingStore(MemoryStore):
    """Answers no range before a second one is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = 0
        self._met = asyncio.Event()

    async def get(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        if byte_range is not None:
            self._asked += 1
            if self._asked > 1:
                self._met.set()
            await asyncio.wait_for(self._met.wait(), 5)
        return await super().get(key, byte_range)


async def test_lines_do_not_wait_for_other_columns(cluster: Cluster) -> None:
    cluster.store = MeetingStore()
    writer, random = await cluster.writer(), Random(1)
    # So large that it does not pay to read what lies between.
    lines = [random.randbytes(100_000).hex() for _ in range(ROW_GROUPS * ROWS)]
    await writer.push([Entry(TENANT, "a", number, line) for number, line in enumerate(lines)])
    await writer.flush()
    query = 'sum(count_over_time({stream="a"} |~ "a" [1h]))'
    assert await value_of(cluster.reader().scanner, query) == ROW_GROUPS * ROWS


def little_scanner(cluster: Cluster, cache_bytes: int) -> Scanner:
    reader = cluster.reader()
    return Scanner(RowGroups(cluster.store, reader.catalog, cache_bytes), reader.catalog, reader.tail, HOUR_NS)


async def test_nothing_is_read_twice_where_lines_do_not_fit(cluster: Cluster) -> None:
    """Though they compress well."""
    cluster.store = store = CountedStore()
    writer = await cluster.writer()
    await writer.push([Entry(TENANT, "a", number, "l" * 10_000) for number in range(ROW_GROUPS * ROWS)])
    await writer.flush()
    assert len(await lines(little_scanner(cluster, 3 * ROWS * 10_000))) == ROW_GROUPS * ROWS
    assert set(store.ranges.values()) == {1}


async def test_row_groups_whose_columns_lie_side_by_side_are_read_whole(cluster: Cluster) -> None:
    """As they do in chunks of 0.1.0, and in small ones."""
    cluster.store = store = CountedStore()
    await one_chunk(cluster)
    assert len(await lines(cluster.reader().scanner)) == ROW_GROUPS * ROWS
    assert store.ranges.total() == ROW_GROUPS


@pytest.mark.parametrize("queries", [1, 8])
async def test_numbers_of_many_row_groups_fit_into_little_memory(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, queries: int
) -> None:
    """Those that one query reads ahead are there until it is done with them, whatever the others want."""

    def slowly(leaf: ColumnarLeaf, batch: Batch) -> int:
        time.sleep(0.003)
        return add(leaf, batch)

    add = ColumnarLeaf.add
    monkeypatch.setattr(ColumnarLeaf, "add", slowly)
    monkeypatch.setattr(chunk_rows, "rows_per_group", lambda frame: 1000)
    cluster.store = store = CountedStore()
    writer = await cluster.writer()
    streams = [f"stream-{number}" for number in range(queries)]
    for stream in streams:
        rows = range(2 * ROW_GROUPS * 1000)
        await writer.push([Entry(TENANT, stream, number**2, "l" * (number % 100)) for number in rows])
        await writer.flush()
    # Times of 8 bytes and lengths of 4, four times.
    little = MetricQueries(little_scanner(cluster, 4 * ROW_GROUPS * 1000 * 13))
    async with asyncio.TaskGroup() as group:
        for stream in streams:
            group.create_task(value_of(little, f'sum(bytes_over_time({{stream="{stream}"}}[1h]))'))
    assert store.ranges.total() == 2 * queries


async def test_damage_of_one_chunk_costs_no_requests_for_another(cluster: Cluster) -> None:
    cluster.store = store = CountedStore()
    await one_chunk(cluster)
    (whole,) = await cluster.keys("chunks")
    await one_chunk(cluster)
    (missing,) = set(await cluster.keys("chunks")) - {whole}
    await store.delete([missing])
    with damage_left_out(allowed=True):
        assert len(await lines(cluster.reader().scanner)) == ROW_GROUPS * ROWS
    assert store.reads[whole] == ROW_GROUPS


async def test_columns_lie_together_labels_first_then_the_small_ones(cluster: Cluster) -> None:
    await one_chunk(cluster)
    (key,) = await cluster.keys("chunks")
    data = await cluster.store.get(key)
    groups = ParquetFooter.of_file(data).row_groups
    assert len(groups) == ROW_GROUPS
    places = sorted((span, name) for group in groups for name, span in group.spans.items())
    assert all(one.end == next_.start for (one, _), (next_, _) in pairwise(places))
    columns = list(dict.fromkeys(name for _, name in places))
    assert [name for _, name in places] == [name for name in columns for _ in groups]
    assert columns[0] == LABELS
    sizes = [sum(group.spans[name].end - group.spans[name].start for group in groups) for name in columns[1:]]
    assert sizes == sorted(sizes)
    assert pl.read_parquet(data)[LINE].str.len_bytes().to_list() == [10 + number for number in range(ROW_GROUPS * ROWS)]


async def test_readers_that_share_out_a_file_find_every_row_group_in_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """parquet-mr places one half its size behind the beginning of its first column."""
    monkeypatch.setattr(chunk_rows, "rows_per_group", lambda frame: 500)
    writer = await cluster.writer()
    random, rows = Random(1), range(1000)
    streams = tuple((("request", f"{random.getrandbits(160):x}"),) for _ in rows)
    numbers = [[random.randrange(10_000_000) for _ in range(4)] for _ in rows]
    frame = pl.DataFrame(
        {
            STREAM: rows,
            TIMESTAMP: [random.randrange(HOUR_NS) for _ in rows],
            LINE: [" ".join(f"{name}={value}" for name, value in zip("abcd", own, strict=True)) for own in numbers],
            METADATA: format_metadata([{"trace": f"{random.getrandbits(150):x}"} for _ in rows]),
        },
        schema=SEGMENT_SCHEMA,
    )
    segment = Segment(streams, frame)
    await writer.ingester.push(TENANT, segment, segment.text_bytes())
    await writer.flush()
    (key,) = await cluster.keys("chunks")
    data = await cluster.store.get(key)
    groups = ParquetFooter.of_file(data).row_groups
    assert len(groups) == 2
    for group in groups:
        size = sum(span.end - span.start for span in group.spans.values())
        assert group.spans[LABELS].start + size // 2 < len(data)
