"""A Parquet file written piece by piece: what a piece gives is sent before the next one exists.

Polars writes whole files, so each piece is a file of its own whose row groups are moved behind those before.
Source: parquet.thrift of the Apache Parquet format.
"""

import io
import struct

import polars as pl

from log_aggregator.formats import thrift
from log_aggregator.formats.parquet import MAGIC, footer_bytes
from log_aggregator.formats.thrift import Field, Struct

# Field ids of parquet.thrift.
_FILE_ROWS, _FILE_ROW_GROUPS = 3, 4
_GROUP_COLUMNS, _GROUP_ROWS, _GROUP_OFFSET, _GROUP_ORDINAL = 1, 3, 5, 7
_CHUNK_OFFSET, _CHUNK_META, _CHUNK_OFFSET_INDEX, _CHUNK_COLUMN_INDEX = 2, 3, 4, 6
_META_DATA, _META_INDEX, _META_DICTIONARY, _META_BLOOM = 9, 10, 11, 14


class ParquetStream:
    """Of frames of one schema. Send what `add` returns, in order, and at last what `end` returns."""

    def __init__(self, schema: pl.Schema) -> None:
        self._schema = schema
        self._groups: list[Struct] = []
        self._size = 0

    def add(self, frame: pl.DataFrame) -> bytes:
        data, file = self._file(frame)
        prefix = b"" if self._size else MAGIC
        body = data[len(MAGIC) : len(data) - len(footer_bytes(data)) - 8]
        self._size += len(prefix)
        shift = self._size - len(MAGIC)
        for group in file[_FILE_ROW_GROUPS].value:
            self._groups.append(_moved(group, shift))
        self._size += len(body)
        return prefix + body

    def end(self) -> bytes:
        """The footer, after which nothing may be added."""
        _, file = self._file(pl.DataFrame(schema=self._schema))
        rows = sum(group[_GROUP_ROWS].value for group in self._groups)
        whole = {
            **file,
            _FILE_ROWS: Field(thrift.I64, rows),
            _FILE_ROW_GROUPS: Field(thrift.LIST, self._groups, thrift.STRUCT),
        }
        footer = thrift.write_struct(whole)
        return (b"" if self._size else MAGIC) + footer + struct.pack("<I", len(footer)) + MAGIC

    def _file(self, frame: pl.DataFrame) -> tuple[bytes, Struct]:
        assert frame.schema == self._schema
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        data = buffer.getvalue()
        return data, thrift.read_struct(footer_bytes(data))


def _moved(group: Struct, shift: int) -> Struct:
    """The row group as if its file's bytes began `shift` further on."""
    columns = [_moved_column(chunk, shift) for chunk in group[_GROUP_COLUMNS].value]
    moved = {**_shifted(group, (_GROUP_OFFSET,), shift), _GROUP_COLUMNS: Field(thrift.LIST, columns, thrift.STRUCT)}
    # The number of the group in the file, which counts no further than 32767 and may be left out.
    moved.pop(_GROUP_ORDINAL, None)
    return moved


def _moved_column(chunk: Struct, shift: int) -> Struct:
    meta = _shifted(chunk[_CHUNK_META].value, (_META_DATA, _META_INDEX, _META_DICTIONARY, _META_BLOOM), shift)
    moved = _shifted(chunk, (_CHUNK_OFFSET, _CHUNK_OFFSET_INDEX, _CHUNK_COLUMN_INDEX), shift)
    return {**moved, _CHUNK_META: Field(thrift.STRUCT, meta)}


def _shifted(fields: Struct, offsets: tuple[int, ...], shift: int) -> Struct:
    return {
        number: Field(field.kind, field.value + shift) if number in offsets and field.value else field
        for number, field in fields.items()
    }
