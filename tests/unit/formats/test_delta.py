"""Timestamps in DELTA_BINARY_PACKED pages, as Polars and DuckDB read them."""

import random
from pathlib import Path

import duckdb
import polars as pl
import pytest

from log_aggregator.formats.chunk import ChunkEncoder, ChunkOrigin, EncodedChunk, rows_per_group
from log_aggregator.formats.parquet import ParquetFooter
from log_aggregator.formats.skip_filter import encode_filter
from log_aggregator.model.position import Coverage, Position
from log_aggregator.model.segment import ARRIVAL, LINE, METADATA, STREAM, TIMESTAMP

_COVERAGE = Coverage("wal", 1, Position(1, 0), Position(2, 0))


def _chunk(times: list[int]) -> EncodedChunk:
    frame = pl.DataFrame(
        {
            STREAM: pl.Series([0] * len(times), dtype=pl.UInt32),
            TIMESTAMP: pl.Series(times, dtype=pl.Int64),
            ARRIVAL: pl.Series([1] * len(times), dtype=pl.Int64),
            LINE: [f"line {number}" for number in range(len(times))],
            METADATA: [""] * len(times),
        }
    )
    encoder = ChunkEncoder(ChunkOrigin("tenant", 0, (_COVERAGE,)), [(("app", "x"),)], (), 1)
    for group in frame.iter_slices(rows_per_group(frame)):
        encoder.add(group, {}, None)
    return encoder.finish(encode_filter([]))


def _random_times(count: int) -> list[int]:
    rng = random.Random(count)
    times = sorted(rng.randrange(10**18, 10**18 + 10**12) for _ in range(count))
    return times[count // 2 :] + times[: count // 2]  # as where one stream ends and the next begins


TIMES = {
    "one": [5],
    "equal": [7] * 3000,
    "regular": list(range(0, 5_000_000, 1000)),
    "negative": [-(10**18), -5, 0, 10**18],
    "one block and its first value": _random_times(1025),
    "one value in the next block": _random_times(1026),
    "many row groups": _random_times(250_000),
}


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
def test_times_are_read_back_by_polars_and_duckdb(times: list[int], tmp_path: Path) -> None:
    data = _chunk(times).data
    path = tmp_path / "chunk.parquet"
    path.write_bytes(data)
    assert pl.read_parquet(data)[TIMESTAMP].to_list() == times
    assert [row[0] for row in duckdb.sql(f"SELECT timestamp_ns FROM '{path}'").fetchall()] == times


def test_a_row_group_is_read_from_its_bytes_alone() -> None:
    times = _random_times(250_000)
    data = _chunk(times).data
    footer = ParquetFooter.of_file(data)
    start = 0
    for number, group in enumerate(footer.row_groups):
        span = group.spans[TIMESTAMP]
        file = footer.assemble([TIMESTAMP], [(number, {TIMESTAMP: data[span.start : span.end]})])
        assert pl.read_parquet(file)[TIMESTAMP].to_list() == times[start : start + group.rows]
        start += group.rows


def test_regular_times_take_almost_no_space() -> None:
    chunk = _chunk(list(range(10**18, 10**18 + 100_000 * 10**6, 10**6)))
    spans = [group.spans[TIMESTAMP] for group in ParquetFooter(chunk.footer).row_groups]
    assert sum(span.end - span.start for span in spans) < 2000
