import polars as pl

from log_aggregator.model.segment import SEGMENT_SCHEMA, Segment


def test_size_of_a_segment_may_pass_32_bits() -> None:
    rows = 5000
    values: dict[str, object] = {"stream": 0, "timestamp_ns": 0, "line": "x" * (1 << 20), "metadata": "m"}
    columns = [pl.Series(name, [value], SEGMENT_SCHEMA[name]).new_from_index(0, rows) for name, value in values.items()]
    assert Segment(((),), pl.DataFrame(columns)).text_bytes() == rows * ((1 << 20) + 1)
