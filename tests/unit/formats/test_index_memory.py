"""What decoded index objects take in memory, and that the caches count them for as much."""

import gc
import tracemalloc

import polars as pl
import pytest

from log_aggregator.formats.index import INDEX_REF_SCHEMA, Index, decode_index, encode_index, memory_bytes
from log_aggregator.model.labels import Labels, labels_of
from log_aggregator.model.segment import STREAM


def encoded(streams: list[Labels]) -> bytes:
    empty = {name: pl.Series([0], dtype=dtype) for name, dtype in INDEX_REF_SCHEMA.items()}
    refs = (
        pl.DataFrame(empty).clear(len(streams)).with_columns(pl.int_range(len(streams), dtype=pl.UInt32).alias(STREAM))
    )
    return encode_index(Index("tenant", 0, (), (), tuple(streams), refs))


def many_streams(count: int, own_labels: int) -> list[Labels]:
    shared = {"cluster": "eu", "env": "production", "service": "checkout"}
    return [
        labels_of({**shared, **{f"own{n}": f"value-{number}" for n in range(own_labels)}}) for number in range(count)
    ]


def test_streams_share_their_equal_labels() -> None:
    first, second = decode_index("key", encoded(many_streams(2, 1))).streams
    assert dict(first)["own0"] != dict(second)["own0"]
    assert all(one is other for one, other in zip(first, second, strict=True) if one == other)


@pytest.mark.parametrize("own_labels", [0, 1, 6])
def test_size_in_memory_is_what_it_is_said_to_be(own_labels: int) -> None:
    data = encoded(many_streams(5000, own_labels))
    gc.collect()
    tracemalloc.start()
    try:
        index = decode_index("key", data)
        gc.collect()
        # Polars' own memory is not traced.
        taken = tracemalloc.get_traced_memory()[0] + index.refs.estimated_size()
    finally:
        tracemalloc.stop()
    assert memory_bytes(index) == pytest.approx(taken, rel=0.25)
