import io
from pathlib import Path

import duckdb
import polars as pl
import pytest

from log_aggregator.formats.parquet_stream import ParquetStream

SCHEMA = pl.Schema(
    {"timestamp": pl.Datetime("ns", "UTC"), "labels": pl.Map(pl.String(), pl.String()), "line": pl.String()}
)


def frame(first: int, rows: int) -> pl.DataFrame:
    numbers = range(first, first + rows)
    return pl.DataFrame(
        {
            "timestamp": list(numbers),
            "labels": [{"n": str(n), **({"odd": "yes"} if n % 2 else {})} for n in numbers],
            "line": [f"line {n} " * 5 for n in numbers],
        },
        schema=SCHEMA,
    )


@pytest.mark.parametrize("pieces", [[], [0], [3], [1, 5000, 0, 70], [10] * 50])
def test_pieces_are_read_as_one_file(pieces: list[int], tmp_path: Path) -> None:
    stream, data, expected = ParquetStream(SCHEMA), b"", [pl.DataFrame(schema=SCHEMA)]
    for rows in pieces:
        expected.append(frame(sum(one.height for one in expected), rows))
        data += stream.add(expected[-1])
    data += stream.end()
    assert pl.read_parquet(io.BytesIO(data)).equals(pl.concat(expected))
    file = tmp_path / "answer.parquet"
    file.write_bytes(data)
    assert duckdb.sql(f"select count(*), count(labels['odd']), count(distinct line) from '{file}'").fetchall() == [
        (sum(pieces), sum(pieces) // 2, sum(pieces))
    ]
