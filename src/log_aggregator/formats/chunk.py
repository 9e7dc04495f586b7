"""Chunk objects: Parquet of one tenant and index period, sorted by stream, then time. See docs/format/chunk.md."""

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np
import polars as pl
import xxhash

from log_aggregator.formats import delta
from log_aggregator.formats.delta import Effort
from log_aggregator.formats.errors import CorruptData, UnknownVersion
from log_aggregator.formats.parquet import ParquetBuilder, ParquetFooter, footer_bytes
from log_aggregator.formats.skip_filter import EncodedFilter
from log_aggregator.model.columns import constant
from log_aggregator.model.labels import Labels
from log_aggregator.model.position import Coverage, Position
from log_aggregator.model.segment import ARRIVAL, LINE, METADATA, STREAM, TIMESTAMP, text_bytes_of_rows

VERSION = 1
LABELS = "labels"
LINE_BYTES = "line_bytes"
SHAPE = "shape"
FIELD_PREFIX = "field."
COLUMNS = (LABELS, TIMESTAMP, ARRIVAL, LINE_BYTES, METADATA, LINE)
METADATA_KEY = "log_aggregator"

# One row group is what a query reads at least: about 1.5 MB compressed, Loki's chunk, at the usual ratio of five.
ROW_GROUP_TEXT_BYTES = 8 << 20
_ROW_GROUP_ROWS = (1_000, 200_000)
# Of the values of a column in a row group, those that are distinct when a dictionary takes more bytes than the texts.
_VARIED_SHARE = 0.33
_VARIED_SAMPLE = 4096

ROW_GROUP, ROW_OFFSET, ROWS, MIN, MAX, TEXT_BYTES = "row_group", "row_offset", "rows", "min_ns", "max_ns", "text_bytes"
REF_SCHEMA = pl.Schema(
    {
        STREAM: pl.UInt32,
        ROW_GROUP: pl.UInt32,
        ROW_OFFSET: pl.UInt32,
        ROWS: pl.UInt32,
        MIN: pl.Int64,
        MAX: pl.Int64,
        TEXT_BYTES: pl.UInt64,
    }
)
"""A chunk ref: the rows of one stream in one row group; `row_offset` counts from the start of the row group."""


class StoredShape(msgspec.Struct, frozen=True):
    """What the lines of a row with this number in its `shape` column look like (docs/format/chunk.md)."""

    parser: Literal["json", "logfmt", "text"]
    names: tuple[str, ...]
    pattern: str
    prefix: str


@dataclass(frozen=True, slots=True)
class ChunkOrigin:
    """Whose rows a chunk holds, and of which records.

    The chunks of one compaction are a run: together they hold what `coverage` says, which is known to be there if one
    of them `completes_run`. Those of a flush have generation 0 and are runs of one chunk.
    """

    tenant: str
    period_start_ns: int
    coverage: tuple[Coverage, ...]
    generation: int = 0
    completes_run: bool = True


class _Note(msgspec.Struct, frozen=True):
    """The JSON in a chunk's Parquet metadata."""

    version: int
    tenant: str
    period_start_ns: int
    coverage: list[tuple[str, int, str, str]]
    generation: int
    completes_run: bool
    shapes: tuple[StoredShape, ...]


_note_decoder = msgspec.json.Decoder(_Note)
_labels_decoder = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, slots=True)
class EncodedChunk:
    """A Parquet file, the refs to its rows, and the XXH3-64 of each column of each row group.

    `skip_filter` is for `decode_skip_filter`.
    """

    data: bytes
    footer: bytes
    refs: pl.DataFrame  # REF_SCHEMA
    checksums: dict[str, list[int]]
    shapes: tuple[StoredShape, ...]
    skip_filter: bytes = b""


class ChunkEncoder:
    """A chunk made row group by row group, so that the columns of no more than one are in memory at a time.

    The file's metadata carries what an index can be rebuilt from.
    """

    def __init__(
        self,
        origin: ChunkOrigin,
        streams: Sequence[Labels],
        shapes: tuple[StoredShape, ...],
        effort: Effort,
    ) -> None:
        note = _Note(
            VERSION,
            origin.tenant,
            origin.period_start_ns,
            [(c.wal, c.epoch, str(c.first), str(c.last)) for c in origin.coverage],
            origin.generation,
            origin.completes_run,
            shapes,
        )
        self._metadata = {METADATA_KEY: msgspec.json.encode(note).decode()}
        self._labels = pl.Series(
            LABELS, [msgspec.json.encode(dict(labels)).decode() for labels in streams], dtype=pl.String
        )
        self._shapes = shapes
        self._effort = effort
        self._file = ParquetBuilder()
        self._refs: list[pl.DataFrame] = []
        self._checksums: dict[str, list[int]] = {}

    def add(self, frame: pl.DataFrame, fields: Mapping[str, pl.Series], shape: pl.Series | None) -> None:
        """The next row group. The frame has BATCH_SCHEMA, is sorted by stream, timestamp, arrival, and not empty.

        `shape` has the number of each row's shape, counted from 1, 0 for none; None where the chunk has no shapes.
        `fields` has the values of the same keys each time, null where absent.
        """
        stored = {FIELD_PREFIX + name: values for name, values in fields.items()}
        varied = {column: values for column, values in stored.items() if _is_varied(values)}
        nothing = constant(None, frame.height, pl.String)
        extra = [(nothing if column in varied else values).alias(column) for column, values in stored.items()]
        if shape is not None:
            extra.append(shape.alias(SHAPE))
        own = {
            LABELS: self._labels.gather(frame[STREAM]),
            TIMESTAMP: frame[TIMESTAMP],
            ARRIVAL: frame[ARRIVAL],
            LINE_BYTES: frame[LINE].str.len_bytes(),
            METADATA: frame[METADATA],
            LINE: nothing,
        }
        columns = pl.DataFrame([*(own[name].alias(name) for name in COLUMNS), *extra])
        buffer = io.BytesIO()
        columns.write_parquet(
            buffer,
            compression="zstd",
            compression_level=self._effort.level,
            row_group_size=frame.height,
            metadata=self._metadata,
        )
        exchanged = {
            column: delta.text_column(values, {delta.QUICK, self._effort}) for column, values in varied.items()
        }
        exchanged[LINE] = delta.text_column(frame[LINE], [self._effort])
        # Sorted timestamps as differences: a sixth of a chunk's bytes less.
        exchanged[TIMESTAMP] = delta.integer_column(columns[TIMESTAMP], self._effort)
        for bytes_of in self._file.add(buffer.getvalue(), exchanged):
            for column, data in bytes_of.items():
                self._checksums.setdefault(column, []).append(xxhash.xxh3_64_intdigest(data))
        self._refs.append(_refs(frame, len(self._refs)))

    def finish(self, skip_filter: EncodedFilter) -> EncodedChunk:
        """The filter goes between the row groups and the footer."""
        stored = skip_filter.stored_at(self._file.add_section(skip_filter.data))
        data = self._file.file()
        return EncodedChunk(data, footer_bytes(data), pl.concat(self._refs), self._checksums, self._shapes, stored)


def _is_varied(values: pl.Series) -> bool:
    """Whether a dictionary would not pay, as for numbers of users or measured times."""
    some = values.drop_nulls()
    # Fewer values repeat less, so what repeats in a sample repeats in all.
    sample = some.gather_every(max(1, len(some) // _VARIED_SAMPLE))
    return all(one.n_unique() > _VARIED_SHARE * len(one) for one in (sample, some))


def rows_per_group(frame: pl.DataFrame) -> int:
    """Of a chunk with these rows."""
    text_bytes = int(frame.select(text_bytes_of_rows().sum()).item())
    low, high = _ROW_GROUP_ROWS
    return max(low, min(high, ROW_GROUP_TEXT_BYTES * frame.height // max(text_bytes, 1)))


@dataclass(frozen=True, slots=True)
class DecodedChunk:
    """What an index tells of a chunk, found in the chunk itself. The refs of `encoded` number `streams`."""

    origin: ChunkOrigin
    streams: tuple[Labels, ...]
    encoded: EncodedChunk = field(repr=False)
    rows: int
    min_ns: int
    max_ns: int


def decode_chunk(key: str, data: bytes) -> DecodedChunk:
    """The whole object read again. `key` names it in messages. Raises CorruptData, UnknownVersion.

    A Parquet file has no checksum of its own; what was changed in it without breaking it goes unnoticed here.
    """
    kind = f"chunk {key}"
    try:
        footer = ParquetFooter.of_file(data)
        note = _note_decoder.decode(footer.key_values()[METADATA_KEY])
        if note.version != VERSION:
            raise UnknownVersion(kind, note.version, VERSION)
        coverage = tuple(
            Coverage(wal, epoch, Position.parse(first), Position.parse(last))
            for wal, epoch, first, last in note.coverage
        )
        columns = pl.read_parquet(data, columns=[LABELS, TIMESTAMP, METADATA, LINE])
        texts = columns[LABELS].unique(maintain_order=True)
        streams = tuple(tuple(sorted(_labels_decoder.decode(text).items())) for text in texts)
    except (KeyError, ValueError, msgspec.MsgspecError, pl.exceptions.PolarsError) as error:
        raise CorruptData(f"{kind}: {error}") from error
    numbers = pl.Series(STREAM, range(len(streams)), dtype=pl.UInt32)
    frame = columns.with_columns(columns[LABELS].replace_strict(texts, numbers, return_dtype=pl.UInt32).alias(STREAM))
    starts = itertools.accumulate((group.rows for group in footer.row_groups), initial=0)
    refs = pl.concat(
        _refs(frame.slice(start, group.rows), number)
        for number, (start, group) in enumerate(zip(starts, footer.row_groups, strict=False))
    )
    low, high = frame.select(low=pl.col(TIMESTAMP).min(), high=pl.col(TIMESTAMP).max()).row(0)
    origin = ChunkOrigin(note.tenant, note.period_start_ns, coverage, note.generation, note.completes_run)
    encoded = EncodedChunk(data, footer_bytes(data), refs, _checksums(data, footer), note.shapes)
    return DecodedChunk(origin, streams, encoded, frame.height, low, high)


def check_column(chunk: str, column: str, data: bytes | memoryview, checksum: int) -> None:
    """Raises CorruptData when the bytes are not those that were written."""
    if xxhash.xxh3_64_intdigest(data) != checksum:
        raise CorruptData(f"chunk {chunk}: column {column} fails its checksum")


def _refs(frame: pl.DataFrame, row_group: int) -> pl.DataFrame:
    """To the rows of one row group."""
    streams, times_ns = frame[STREAM].to_numpy(), frame[TIMESTAMP].to_numpy()
    sizes = frame.select(text_bytes_of_rows()).to_series().to_numpy()
    begins = np.flatnonzero(np.append(True, streams[1:] != streams[:-1]))
    columns = {
        STREAM: streams[begins],
        ROW_GROUP: np.full(len(begins), row_group, np.uint32),
        ROW_OFFSET: begins.astype(np.uint32),
        ROWS: np.diff(begins, append=len(streams)).astype(np.uint32),
        MIN: np.minimum.reduceat(times_ns, begins),
        MAX: np.maximum.reduceat(times_ns, begins),
        TEXT_BYTES: np.add.reduceat(sizes, begins),
    }
    return pl.DataFrame(columns, REF_SCHEMA)


def _checksums(data: bytes, footer: ParquetFooter) -> dict[str, list[int]]:
    view = memoryview(data)
    return {
        column: [
            xxhash.xxh3_64_intdigest(view[group.spans[column].start : group.spans[column].end])
            for group in footer.row_groups
        ]
        for column in footer.row_groups[0].spans
    }
