"""Parts of a Parquet file: where each column of each row group lies, and a small file made of a few of them.

Polars writes and reads Parquet; it reads whole files. A query wants a few columns of a few row groups by ranged reads,
so this module knows just enough of a footer to say which byte ranges those are, and to put the ranges that came back
into a valid Parquet file which holds nothing else.
Source: parquet.thrift of the Apache Parquet format.
"""

import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from log_aggregator.formats import thrift
from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.thrift import Field, Struct

MAGIC = b"PAR1"
_TAIL_BYTES = 8

# Field ids of parquet.thrift.
_FILE_SCHEMA, _FILE_ROWS, _FILE_ROW_GROUPS, _FILE_KEY_VALUE, _FILE_ORDERS = 2, 3, 4, 5, 7
_ELEMENT_NAME, _ELEMENT_CHILDREN = 4, 5
_PAIR_KEY, _PAIR_VALUE = 1, 2
_GROUP_COLUMNS, _GROUP_BYTES, _GROUP_ROWS, _GROUP_OFFSET = 1, 2, 3, 5
_GROUP_COMPRESSED = 6
_CHUNK_OFFSET, _CHUNK_META = 2, 3
_META_ENCODINGS, _META_PATH, _META_UNCOMPRESSED, _META_COMPRESSED = 2, 3, 6, 7
_META_DATA, _META_INDEX, _META_DICTIONARY, _META_STATISTICS, _META_ENCODING_STATS = 9, 10, 11, 12, 13
_META_BLOOM_OFFSET, _META_BLOOM_LENGTH = 14, 15


class ByteSpan(NamedTuple):
    """`[start, end)` in bytes of the file."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RowGroup:
    rows: int
    spans: dict[str, ByteSpan]  # by column


@dataclass(frozen=True, slots=True)
class ColumnChunk:
    """The pages of a column in one row group. `encodings` are Parquet's numbers; `plain_bytes`, before compression."""

    data: bytes = field(repr=False)
    plain_bytes: int
    encodings: tuple[int, ...]
    keeps_statistics: bool
    """Whether those of the column that it replaces hold for it."""


class ParquetFooter:
    """A parsed footer of a file with a flat schema (every column a leaf at the top)."""

    def __init__(self, footer: bytes) -> None:
        """Raises CorruptData."""
        self._file = thrift.read_struct(footer)
        try:
            self._elements: list[Struct] = self._file[_FILE_SCHEMA].value
            self._groups: list[Struct] = self._file[_FILE_ROW_GROUPS].value
            self.row_groups = tuple(_row_group(group) for group in self._groups)
        except KeyError as error:
            raise CorruptData(f"Parquet footer lacks field {error}") from error
        if any(_ELEMENT_CHILDREN in element for element in self._elements[1:]):
            raise CorruptData("Parquet file has nested columns")

    @classmethod
    def of_file(cls, data: bytes) -> "ParquetFooter":
        return cls(footer_bytes(data))

    def key_values(self) -> dict[str, str]:
        """The file's metadata."""
        pairs = self._file[_FILE_KEY_VALUE].value if _FILE_KEY_VALUE in self._file else []
        return {
            pair[_PAIR_KEY].value.decode(): pair[_PAIR_VALUE].value.decode() for pair in pairs if _PAIR_VALUE in pair
        }

    def plain_bytes(self, row_group: int, columns: Collection[str]) -> int:
        """What the pages of these columns take when they are not compressed."""
        chunks = self._groups[row_group][_GROUP_COLUMNS].value
        return sum(
            chunk[_CHUNK_META].value[_META_UNCOMPRESSED].value for chunk in chunks if _column_name(chunk) in columns
        )

    def assemble(self, columns: Sequence[str], parts: Sequence[tuple[int, Mapping[str, bytes | memoryview]]]) -> bytes:
        """A Parquet file of these columns, from (row group, bytes by column) in the order given."""
        out = _Pieces()
        groups = []
        for number, pieces in parts:
            group = self._groups[number]
            wanted = {_column_name(chunk): chunk for chunk in group[_GROUP_COLUMNS].value}
            chunks = [_moved(wanted[column], out.append(pieces[column])) for column in columns]
            groups.append(_regrouped(group, chunks))
        return out.file(self._trimmed(columns), groups)

    def _trimmed(self, columns: Sequence[str]) -> Struct:
        by_name = {element[_ELEMENT_NAME].value.decode(): element for element in self._elements[1:]}
        root = {**self._elements[0], _ELEMENT_CHILDREN: Field(thrift.I32, len(columns))}
        schema = Field(thrift.LIST, [root, *(by_name[column] for column in columns)], thrift.STRUCT)
        # The writer's own key-value pairs describe all the columns, and column orders count them.
        kept = {k: v for k, v in self._file.items() if k not in (_FILE_KEY_VALUE, _FILE_ORDERS)}
        return {**kept, _FILE_SCHEMA: schema}


def footer_bytes(data: bytes) -> bytes:
    """The footer of a whole file. Raises CorruptData."""
    if len(data) < _TAIL_BYTES + len(MAGIC) or data[-4:] != MAGIC:
        raise CorruptData("not a Parquet file")
    (length,) = struct.unpack("<I", data[-_TAIL_BYTES:-4])
    start = len(data) - _TAIL_BYTES - length
    if start < len(MAGIC):
        raise CorruptData("Parquet footer is longer than the file")
    return data[start:-_TAIL_BYTES]


def end_of_file(metadata: Struct, groups: Sequence[Struct]) -> bytes:
    """What stands behind the pages of these row groups. The rest of the metadata is that of another file."""
    rows = Field(thrift.I64, sum(group[_GROUP_ROWS].value for group in groups))
    described = Field(thrift.LIST, list(groups), thrift.STRUCT)
    footer = thrift.write_struct({**metadata, _FILE_ROWS: rows, _FILE_ROW_GROUPS: described})
    return footer + struct.pack("<I", len(footer)) + MAGIC


def groups_moved(metadata: Struct, shift: int) -> list[Struct]:
    """The row groups of a file as if its bytes began `shift` further on."""
    return [
        _regrouped(group, [_moved(chunk, _data_start(chunk) + shift) for chunk in group[_GROUP_COLUMNS].value])
        for group in metadata[_FILE_ROW_GROUPS].value
    ]


class ParquetBuilder:
    """A file put together from files of the same columns, row group by row group.

    The bytes lie column by column, those that take least first: whoever wants a few small columns of all row groups
    reads one range, and none of the text between. But the first column of the schema is the first of all, since readers
    that share out a file (parquet-mr, and so Spark) place a row group half its size behind the beginning of that
    column. A row group placed behind the end of the file would be nobody's.
    """

    def __init__(self) -> None:
        self._file: Struct = {}
        self._groups: list[tuple[Struct, dict[str, _Column]]] = []
        self._sections: list[bytes] = []

    def add(self, data: bytes, exchanged: Mapping[str, ColumnChunk]) -> list[dict[str, bytes]]:
        """Adds the row groups of a file, of which some columns have other bytes: of each, what it has by column."""
        file = thrift.read_struct(footer_bytes(data))
        self._file = self._file or file
        added = []
        for group in file[_FILE_ROW_GROUPS].value:
            columns: dict[str, _Column] = {}
            for chunk in group[_GROUP_COLUMNS].value:
                name = _column_name(chunk)
                if (replacement := exchanged.get(name)) is not None:
                    columns[name] = _Column(_exchanged(chunk, replacement), replacement.data)
                else:
                    start = _data_start(chunk)
                    columns[name] = _Column(
                        chunk, data[start : start + chunk[_CHUNK_META].value[_META_COMPRESSED].value]
                    )
            self._groups.append((group, columns))
            added.append({name: column.data for name, column in columns.items()})
        return added

    def add_section(self, section: bytes) -> int:
        """Adds bytes that readers of Parquet do not look at; where they begin. No row group may follow."""
        start = len(MAGIC) + sum(len(column.data) for _, columns in self._groups for column in columns.values())
        start += sum(map(len, self._sections))
        self._sections.append(section)
        return start

    def file(self) -> bytes:
        """With the metadata of the first file."""
        out = _Pieces()
        first, *others = self._groups[0][1]
        others.sort(key=lambda name: sum(len(columns[name].data) for _, columns in self._groups))
        moved: list[dict[str, Struct]] = [{} for _ in self._groups]
        for name in (first, *others):
            for (_, columns), chunks in zip(self._groups, moved, strict=True):
                chunks[name] = _moved(columns[name].chunk, out.append(columns[name].data))
        for section in self._sections:
            out.append(section)
        groups = [
            _regrouped(group, [chunks[name] for name in columns])
            for (group, columns), chunks in zip(self._groups, moved, strict=True)
        ]
        return out.file(self._file, groups)


class _Column(NamedTuple):
    """Of one row group, with its description of it, whose offsets are those of another file."""

    chunk: Struct
    data: bytes


class _Pieces:
    """A file to be, put together in one go: it may be large."""

    def __init__(self) -> None:
        self._pieces: list[bytes | memoryview] = [MAGIC]
        self._size = len(MAGIC)

    def append(self, data: bytes | memoryview) -> int:
        """Where the data begins in the file."""
        start = self._size
        self._pieces.append(data)
        self._size += len(data)
        return start

    def file(self, metadata: Struct, groups: Sequence[Struct]) -> bytes:
        return b"".join((*self._pieces, end_of_file(metadata, groups)))


def _row_group(group: Struct) -> RowGroup:
    spans = {}
    for chunk in group[_GROUP_COLUMNS].value:
        start, meta = _data_start(chunk), chunk[_CHUNK_META].value
        spans[_column_name(chunk)] = ByteSpan(start, start + meta[_META_COMPRESSED].value)
    return RowGroup(group[_GROUP_ROWS].value, spans)


def _column_name(chunk: Struct) -> str:
    return ".".join(part.decode() for part in chunk[_CHUNK_META].value[_META_PATH].value)


def _data_start(chunk: Struct) -> int:
    meta = chunk[_CHUNK_META].value
    offsets = [meta[field].value for field in (_META_DICTIONARY, _META_INDEX, _META_DATA) if field in meta]
    return int(min(offset for offset in offsets if offset > 0))


def _moved(chunk: Struct, start: int) -> Struct:
    """The column chunk as if its bytes began at `start`."""
    shift = start - _data_start(chunk)
    dropped = (_META_BLOOM_OFFSET, _META_BLOOM_LENGTH)
    meta = {k: v for k, v in chunk[_CHUNK_META].value.items() if k not in dropped}
    for offset in (_META_DATA, _META_INDEX, _META_DICTIONARY):
        if offset in meta:
            meta[offset] = Field(thrift.I64, meta[offset].value + shift)
    return {_CHUNK_OFFSET: Field(thrift.I64, start), _CHUNK_META: Field(thrift.STRUCT, meta)}


def _exchanged(chunk: Struct, replacement: ColumnChunk) -> Struct:
    """The column chunk with other pages, which have no dictionary."""
    dropped = (_META_INDEX, _META_DICTIONARY, _META_ENCODING_STATS, _META_BLOOM_OFFSET, _META_BLOOM_LENGTH)
    meta = {k: v for k, v in chunk[_CHUNK_META].value.items() if k not in dropped}
    if not replacement.keeps_statistics:
        meta.pop(_META_STATISTICS, None)
    meta[_META_ENCODINGS] = Field(thrift.LIST, list(replacement.encodings), thrift.I32)
    meta[_META_UNCOMPRESSED] = Field(thrift.I64, replacement.plain_bytes)
    meta[_META_COMPRESSED] = Field(thrift.I64, len(replacement.data))
    return {**chunk, _CHUNK_META: Field(thrift.STRUCT, meta)}


def _regrouped(group: Struct, chunks: list[Struct]) -> Struct:
    metas = [chunk[_CHUNK_META].value for chunk in chunks]
    return {
        _GROUP_COLUMNS: Field(thrift.LIST, chunks, thrift.STRUCT),
        _GROUP_BYTES: Field(thrift.I64, sum(meta[_META_UNCOMPRESSED].value for meta in metas)),
        _GROUP_ROWS: group[_GROUP_ROWS],
        _GROUP_OFFSET: Field(thrift.I64, chunks[0][_CHUNK_OFFSET].value),
        _GROUP_COMPRESSED: Field(thrift.I64, sum(meta[_META_COMPRESSED].value for meta in metas)),
    }
