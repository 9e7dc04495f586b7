"""The object that says how long the index periods of a store are. See docs/format/index-period.md."""

import msgspec

from log_aggregator.formats.envelope import seal, unseal
from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.keys import INDEX_PERIOD_KEY

MAGIC = b"LAIP"
VERSION = 1


class _Body(msgspec.Struct, frozen=True):
    period_ns: int


_decoder = msgspec.json.Decoder(_Body)


def encode_index_period(period_ns: int) -> bytes:
    return seal(MAGIC, VERSION, msgspec.json.encode(_Body(period_ns)))


def decode_index_period(data: bytes) -> int:
    """Nanoseconds. Raises CorruptData, UnknownVersion."""
    kind = f"index period {INDEX_PERIOD_KEY}"
    try:
        return _decoder.decode(unseal(kind, MAGIC, VERSION, data)).period_ns
    except msgspec.MsgspecError as error:
        raise CorruptData(f"{kind}: {error}") from error
