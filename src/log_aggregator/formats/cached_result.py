"""Results of a range aggregation at some steps, as they are cached. See docs/format/cached-result.md."""

from collections.abc import Sequence
from typing import Final

import msgspec
import zstandard

from log_aggregator.formats.envelope import seal, unseal
from log_aggregator.formats.errors import CorruptData
from log_aggregator.model.labels import Labels

MAGIC: Final = b"LACR"
VERSION: Final = 1
_MAX_BODY_BYTES: Final = 64 << 20


class CachedResult(msgspec.Struct, array_like=True, frozen=True):
    """Of every step, in order: numbers of series, and their values."""

    digest: bytes
    series: list[Labels]
    steps: list[list[tuple[int, float]]]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(CachedResult)


def encode_result(result: CachedResult) -> bytes:
    return seal(MAGIC, VERSION, zstandard.compress(_encoder.encode(result), 1))


def decode_result(data: bytes) -> CachedResult:
    """Raises CorruptData, UnknownVersion."""
    packed = unseal("cached result", MAGIC, VERSION, data)
    try:
        return _decoder.decode(zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MAX_BODY_BYTES))
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise CorruptData(f"cached result: {error}") from error


def table_of(vectors: Sequence[Sequence[tuple[Labels, float]]]) -> tuple[list[Labels], list[list[tuple[int, float]]]]:
    """The series that occur, and each vector with their numbers."""
    numbers: dict[Labels, int] = {}
    steps = [[(numbers.setdefault(labels, len(numbers)), value) for labels, value in vector] for vector in vectors]
    return list(numbers), steps
