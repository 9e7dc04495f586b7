"""Pages in delta encodings, as Polars and DuckDB read them: timestamps, and texts that hardly repeat."""

import random
from pathlib import Path

import duckdb
import polars as pl
import pytest

from log_aggregator.formats.chunk import ChunkEncoder, ChunkOrigin, EncodedChunk, rows_per_group
from log_aggregator.formats.delta import QUICK
from log_aggregator.formats.parquet import ParquetFooter
from log_aggregator.formats.skip_filter import encode_filter
from log_aggregator.model.position import Coverage, Position
from log_aggregator.model.segment import ARRIVAL, LINE, METADATA, STREAM, TIMESTAMP

_COVERAGE = Coverage("wal", 1, Position(1, 0), Position(2, 0))


def _chunk(times: list[int], field: list[str | None] | None = None) -> EncodedChunk:
    frame = pl.DataFrame(
        {
            STREAM: pl.Series([0] * len(times), dtype=pl.UInt32),
            TIMESTAMP: pl.Series(times, dtype=pl.Int64),
            ARRIVAL: pl.Series([1] * len(times), dtype=pl.Int64),
            LINE: [f"line {number}" for number in range(len(times))],
            METADATA: [""] * len(times),
        }
    )
    encoder = ChunkEncoder(ChunkOrigin("tenant", 0, (_COVERAGE,)), [(("app", "x"),)], (), QUICK)
    values = pl.Series(field or [], dtype=pl.String)
    start = 0
    for group in frame.iter_slices(rows_per_group(frame)):
        encoder.add(group, {"x": values.slice(start, group.height)} if field else {}, None)
        start += group.height
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
    "far apart": [0, 2**62, 0, -(2**62), 2**62 - 1],
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


def _random_texts(count: int) -> list[str | None]:
    rng = random.Random(count)
    texts = [str(rng.randrange(10**9)) for _ in range(count)]
    return [rng.choice((None, "", "é" * rng.randrange(400), text, text, text)) for text in texts]


TEXTS: dict[str, list[str | None]] = {
    "all there": [str(number) for number in range(5000)],
    "nulls first": [None] * 2000 + [str(number) for number in range(3000)],
    "nulls last": [*map(str, range(3000)), *[None] * 2001],
    "one of them": [None, None, "x", None],
    "all null": [None] * 100,
    "several pages, one of nulls": [None, "x" * (3 << 20), None, "y" * (2 << 20), "z" * (1 << 20), None],
    "many row groups": _random_texts(250_000),
    **{f"{count} of all kinds": _random_texts(count) for count in (7, 8, 9, 1024, 1025, 1026, 4097)},
}


@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)
def test_texts_are_read_back_by_polars_and_duckdb(texts: list[str | None], tmp_path: Path) -> None:
    data = _chunk(list(range(len(texts))), texts).data
    path = tmp_path / "chunk.parquet"
    path.write_bytes(data)
    assert pl.read_parquet(data)["field.x"].to_list() == texts
    assert [row[0] for row in duckdb.sql(f"""SELECT "field.x" FROM '{path}'""").fetchall()] == texts
    wanted = next((text for text in texts if text), "")
    found = duckdb.sql(f"""SELECT count(*) FROM '{path}' WHERE "field.x" = '{wanted}'""").fetchall()
    assert found == [(texts.count(wanted),)]
    polars = pl.scan_parquet(path).filter(pl.col("field.x") == wanted).collect()
    assert polars.height == texts.count(wanted)


@pytest.mark.parametrize(
    ("distinct", "encoding"), [(50, "RLE_DICTIONARY"), (2500, "RLE_DICTIONARY"), (9000, "DELTA_LENGTH")]
)
def test_a_dictionary_stays_where_texts_repeat(distinct: int, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "chunk.parquet"
    path.write_bytes(_chunk(list(range(9000)), [str(number % distinct) for number in range(9000)]).data)
    query = f"""SELECT encodings FROM parquet_metadata('{path}') WHERE path_in_schema LIKE 'field%'"""
    ((encodings,),) = duckdb.sql(query).fetchall()
    assert encoding in encodings
