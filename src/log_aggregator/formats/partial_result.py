"""What a worker found in its share of a range aggregation: compact columns, or why there are none."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import polars as pl

from log_aggregator.formats.envelope import seal, unseal
from log_aggregator.formats.errors import CorruptData
from log_aggregator.model.labels import Labels

MAGIC = b"LAPR"
VERSION = 2
MAX_BYTES = 4 << 20
"""Of an encoded reply: it waits in the memory of Redis."""
# Compression does not bring more than this below MAX_BYTES.
_MAX_FRAME_BYTES = 16 * MAX_BYTES


@dataclass(frozen=True, slots=True)
class PartialResult:
    """What `engine.columnar_leaf` collects, as it is: `series` are numbered by the frames."""

    series: tuple[Labels, ...]
    totals: pl.DataFrame = field(repr=False)
    samples: pl.DataFrame = field(repr=False)


@dataclass(frozen=True, slots=True)
class PartialReply:
    """`statistics` are the figures of `services.statistics`, by name."""

    result: PartialResult
    statistics: Mapping[str, int]


class FailedReply(msgspec.Struct, tag=True, frozen=True):
    """An entry has an error that fails the whole query (`engine.samples.PipelineFailed`)."""

    error: str
    series: Labels


class RefusedReply(msgspec.Struct, tag=True, frozen=True):
    """The asker must do it itself, and then sees what is wrong."""

    reason: str


class _Partial(msgspec.Struct, tag=True, frozen=True):
    series: tuple[Labels, ...]
    totals: bytes
    samples: bytes
    statistics: dict[str, int]


Reply = PartialReply | FailedReply | RefusedReply

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[_Partial | FailedReply | RefusedReply] = msgspec.msgpack.Decoder(
    _Partial | FailedReply | RefusedReply
)


def encode_reply(reply: Reply) -> bytes:
    """A result of more than MAX_BYTES becomes a refusal."""
    if not isinstance(reply, PartialReply):
        return seal(MAGIC, VERSION, _encoder.encode(reply))
    result = reply.result
    frames = (result.totals, result.samples)
    if sum(int(frame.estimated_size()) for frame in frames) <= _MAX_FRAME_BYTES:
        totals, samples = map(_packed, frames)
        body = _encoder.encode(_Partial(result.series, totals, samples, dict(reply.statistics)))
        if len(body) <= MAX_BYTES:
            return seal(MAGIC, VERSION, body)
    return encode_reply(RefusedReply("the partial result is too large"))


def decode_reply(data: bytes) -> Reply:
    """Raises CorruptData, UnknownVersion."""
    body = unseal("partial result", MAGIC, VERSION, data)
    try:
        reply = _decoder.decode(body)
        if not isinstance(reply, _Partial):
            return reply
        frames = [pl.read_ipc(packed) for packed in (reply.totals, reply.samples)]
    except (msgspec.MsgspecError, pl.exceptions.PolarsError) as error:
        raise CorruptData(f"partial result: {error}") from error
    return PartialReply(PartialResult(reply.series, *frames), reply.statistics)


def _packed(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="zstd")
    return buffer.getvalue()
