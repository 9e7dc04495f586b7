"""The log patterns of a chunk, as its entry in an index object holds them. See docs/format/index.md."""

from collections.abc import Sequence

import msgspec

from log_aggregator.formats.errors import CorruptData
from log_aggregator.model.labels import Labels


class StoredPattern(msgspec.Struct, array_like=True, frozen=True):
    """Lines by time. Times are multiples of 10 s since the epoch, each as the difference to the one before."""

    pattern: str
    level: str
    time_steps: list[int]
    counts: list[int]


class StreamPatterns(msgspec.Struct, array_like=True, frozen=True):
    stream: Labels
    patterns: list[StoredPattern]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[StreamPatterns])


def encode_patterns(patterns: Sequence[StreamPatterns]) -> bytes:
    return _encoder.encode(patterns) if patterns else b""


def decode_patterns(data: bytes) -> list[StreamPatterns]:
    """Raises CorruptData."""
    try:
        return _decoder.decode(data) if data else []
    except msgspec.MsgspecError as error:
        raise CorruptData(f"patterns of a chunk: {error}") from error
