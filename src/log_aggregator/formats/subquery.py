"""A share of a range aggregation on its way to another replica. It lives for seconds, between equal programs."""

import msgspec

from log_aggregator.formats.envelope import seal, unseal
from log_aggregator.formats.errors import CorruptData

MAGIC = b"LASQ"
VERSION = 1
MAX_BYTES = 256 << 10
"""Of an encoded share. One with more excluded rows than fit is not worth sending."""


class NamedUnit(msgspec.Struct, array_like=True, frozen=True):
    """A row group of a chunk, by the index object that lists the chunk and the chunk's number there.

    `excluded` rows of it, counted among the accepted streams' rows in the range, are in other units too.
    """

    index_key: str
    chunk: int
    row_group: int
    excluded: tuple[int, ...] = ()


class Subquery(msgspec.Struct, array_like=True, frozen=True):
    """`leaf` numbers the distinct range aggregations of the query `text`, from left to right, sums pushed down.

    The steps are from `first_ns` to `last_ns` every `step_ns`.
    """

    query: str
    tenant: str
    text: str
    leaf: int
    first_ns: int
    last_ns: int
    step_ns: int
    units: tuple[NamedUnit, ...]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Subquery)


def encode_subquery(subquery: Subquery) -> bytes:
    return seal(MAGIC, VERSION, _encoder.encode(subquery))


def decode_subquery(data: bytes) -> Subquery:
    """Raises CorruptData, UnknownVersion."""
    body = unseal("subquery", MAGIC, VERSION, data)
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise CorruptData(f"subquery: {error}") from error
