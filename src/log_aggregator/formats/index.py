"""Index objects: which streams one tenant and period have, and where their rows lie. See docs/format/index.md."""

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import polars as pl
import zstandard

from log_aggregator.formats.chunk import REF_SCHEMA, StoredShape
from log_aggregator.formats.envelope import seal, unseal
from log_aggregator.formats.errors import CorruptData
from log_aggregator.model.columns import constant
from log_aggregator.model.labels import Labels
from log_aggregator.model.position import Coverage, Position
from log_aggregator.model.segment import STREAM

MAGIC = b"LAIX"
VERSION = 1
CHUNK = "chunk"
INDEX_REF_SCHEMA = pl.Schema([(CHUNK, pl.UInt32), *REF_SCHEMA.items()])

# An index object of 100,000 streams and as many refs is some 20 MB; more than this is not one of ours.
_MAX_BODY_BYTES = 1 << 30

# In CPython: a tuple, a pointer in it to another object, a pair of two short texts beside their characters, a number.
_TUPLE_BYTES = 56 + 16  # what the collector knows of it included
_POINTER_BYTES = 8
_PAIR_BYTES = 88 + 2 * 52
_CHECKSUM_BYTES = 40


@dataclass(frozen=True, slots=True)
class ChunkEntry:
    """A chunk object: its key, its size, its Parquet footer, the XXH3-64 of each column by row group.

    `coverage` is what all the chunks of its run cover together, `patterns` is for `formats.patterns`,
    `skip_filter` for `formats.skip_filter`.
    """

    key: str
    size: int
    footer: bytes = field(repr=False)
    checksums: dict[str, list[int]] = field(repr=False)
    shapes: tuple[StoredShape, ...]
    coverage: tuple[Coverage, ...] = field(repr=False)
    patterns: bytes = field(default=b"", repr=False)
    skip_filter: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Index:
    """The content of one index object. `refs` has INDEX_REF_SCHEMA and numbers `chunks` and `streams`.

    It holds all rows (of its tenant and period) of the records that `coverage` names, but for deleted ones, and stands
    for every index object that covers nothing else.
    """

    tenant: str
    period_start_ns: int
    coverage: tuple[Coverage, ...]
    chunks: tuple[ChunkEntry, ...]
    streams: tuple[Labels, ...]
    refs: pl.DataFrame = field(repr=False)


_PackedCoverage = tuple[str, int, str, str]


class _Chunk(msgspec.Struct, array_like=True, frozen=True):
    key: str
    size: int
    footer: bytes
    checksums: dict[str, list[int]]
    shapes: tuple[StoredShape, ...]
    coverage: list[_PackedCoverage]
    patterns: bytes = b""
    skip_filter: bytes = b""


class _Body(msgspec.Struct, array_like=True, frozen=True):
    tenant: str
    period_start_ns: int
    coverage: list[_PackedCoverage]
    chunks: list[_Chunk]
    streams: list[Labels]
    refs: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Body)


def encode_index(index: Index) -> bytes:
    buffer = io.BytesIO()
    index.refs.write_ipc(buffer)
    body = _Body(
        index.tenant,
        index.period_start_ns,
        _packed(index.coverage),
        [
            _Chunk(c.key, c.size, c.footer, c.checksums, c.shapes, _packed(c.coverage), c.patterns, c.skip_filter)
            for c in index.chunks
        ],
        list(index.streams),
        buffer.getvalue(),
    )
    return seal(MAGIC, VERSION, zstandard.compress(_encoder.encode(body)))


def decode_index(key: str, data: bytes) -> Index:
    """`key` names the object in messages. Raises CorruptData, UnknownVersion."""
    kind = f"index object {key}"
    packed = unseal(kind, MAGIC, VERSION, data)
    try:
        unpacked = zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MAX_BODY_BYTES)
        body = _decoder.decode(unpacked)
        refs = pl.read_ipc(body.refs)
        coverage = _unpacked(body.coverage)
        chunks = tuple(
            ChunkEntry(c.key, c.size, c.footer, c.checksums, c.shapes, _unpacked(c.coverage), c.patterns, c.skip_filter)
            for c in body.chunks
        )
    except (zstandard.ZstdError, msgspec.MsgspecError, pl.exceptions.PolarsError, ValueError) as error:
        raise CorruptData(f"{kind}: {error}") from error
    if refs.schema != INDEX_REF_SCHEMA:
        raise CorruptData(f"{kind}: unexpected columns {refs.schema}")
    return Index(body.tenant, body.period_start_ns, coverage, chunks, _sharing_pairs(body.streams), refs)


def _sharing_pairs(streams: list[Labels]) -> tuple[Labels, ...]:
    """Each label of a value once in memory, however many streams have it: most of an index are labels."""
    pairs: dict[tuple[str, str], tuple[str, str]] = {}
    for number, labels in enumerate(streams):
        streams[number] = tuple([pairs.setdefault(pair, pair) for pair in labels])
    return tuple(streams)


def memory_bytes(index: Index) -> int:
    """What a decoded index object takes, to a tenth or so."""
    pairs = {id(pair): len(pair[0]) + len(pair[1]) for labels in index.streams for pair in labels}
    streams = sum(_TUPLE_BYTES + _POINTER_BYTES * len(labels) for labels in index.streams)
    chunks = sum(
        len(chunk.footer) + len(chunk.patterns) + len(chunk.skip_filter) + _CHECKSUM_BYTES * _checksums(chunk)
        for chunk in index.chunks
    )
    return streams + len(pairs) * _PAIR_BYTES + sum(pairs.values()) + chunks + int(index.refs.estimated_size())


def _checksums(chunk: ChunkEntry) -> int:
    return sum(map(len, chunk.checksums.values()))


def _packed(coverages: Sequence[Coverage]) -> list[_PackedCoverage]:
    return [(c.wal, c.epoch, str(c.first), str(c.last)) for c in coverages]


def _unpacked(packed: Sequence[_PackedCoverage]) -> tuple[Coverage, ...]:
    return tuple(
        Coverage(wal, epoch, Position.parse(first), Position.parse(last)) for wal, epoch, first, last in packed
    )


def restricted(index: Index, chunks: Collection[str]) -> Index:
    """The index of these of its chunks, streams and coverage left as they are."""
    numbers = pl.Series(CHUNK, [n for n, chunk in enumerate(index.chunks) if chunk.key in chunks], dtype=pl.UInt32)
    return replace(index, refs=index.refs.filter(pl.col(CHUNK).is_in(numbers.implode())))


def joined(tenant: str, period_start_ns: int, coverage: tuple[Coverage, ...], parts: Sequence[Index]) -> Index:
    """One index of what several hold. Chunks and streams to which no ref leads are left out."""
    chunks: list[ChunkEntry] = []
    streams: dict[Labels, int] = {}
    refs: list[pl.DataFrame] = []
    for part in parts:
        used = part.refs[CHUNK].unique(maintain_order=True)
        new_chunks = pl.Series(CHUNK, range(len(chunks), len(chunks) + used.len()), dtype=pl.UInt32)
        chunks += [part.chunks[number] for number in used]
        present = part.refs[STREAM].unique(maintain_order=True)
        numbers = [streams.setdefault(part.streams[number], len(streams)) for number in present]
        new_streams = pl.Series(STREAM, numbers, dtype=pl.UInt32)
        refs.append(
            part.refs.with_columns(
                part.refs[CHUNK].replace_strict(used, new_chunks, return_dtype=pl.UInt32),
                part.refs[STREAM].replace_strict(present, new_streams, return_dtype=pl.UInt32),
            )
        )
    frame = pl.concat(refs) if refs else pl.DataFrame(schema=INDEX_REF_SCHEMA)
    return Index(tenant, period_start_ns, coverage, tuple(chunks), tuple(streams), frame)


def number_refs(refs_by_chunk: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Refs of several chunks as one frame that numbers them."""
    numbered = [
        pl.DataFrame([constant(number, refs.height, pl.UInt32).alias(CHUNK), *refs.get_columns()])
        for number, refs in enumerate(refs_by_chunk)
    ]
    return pl.concat(numbered) if numbered else pl.DataFrame(schema=INDEX_REF_SCHEMA)
