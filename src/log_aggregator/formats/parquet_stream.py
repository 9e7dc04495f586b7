"""A Parquet file written piece by piece: what a piece gives is sent before the next one exists.

Polars writes whole files, so each piece is a file of its own whose row groups are moved behind those before.
"""

import io

import polars as pl

from log_aggregator.formats import thrift
from log_aggregator.formats.parquet import MAGIC, end_of_file, footer_bytes, groups_moved
from log_aggregator.formats.thrift import Struct


class ParquetStream:
    """Of frames of one schema. Send what `add` returns, in order, and at last what `end` returns."""

    def __init__(self, schema: pl.Schema) -> None:
        self._schema = schema
        self._groups: list[Struct] = []
        self._size = 0

    def add(self, frame: pl.DataFrame) -> bytes:
        data, metadata = self._file(frame)
        prefix = b"" if self._size else MAGIC
        body = data[len(MAGIC) : len(data) - len(footer_bytes(data)) - 8]
        self._size += len(prefix)
        self._groups += groups_moved(metadata, self._size - len(MAGIC))
        self._size += len(body)
        return prefix + body

    def end(self) -> bytes:
        """The footer, after which nothing may be added."""
        _, metadata = self._file(pl.DataFrame(schema=self._schema))
        return (b"" if self._size else MAGIC) + end_of_file(metadata, self._groups)

    def _file(self, frame: pl.DataFrame) -> tuple[bytes, Struct]:
        assert frame.schema == self._schema
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        data = buffer.getvalue()
        return data, thrift.read_struct(footer_bytes(data))
