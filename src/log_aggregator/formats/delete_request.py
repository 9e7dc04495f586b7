"""Delete requests as objects: one that never changes, and one beside it that tells how far the deletion has come.

A request that is cancelled is removed. Progress that is written by a compactor which does not know that yet stands
alone then, and means nothing.
"""

from dataclasses import dataclass
from typing import TypeVar

import msgspec

from log_aggregator.formats.envelope import seal, unseal
from log_aggregator.formats.errors import CorruptData

_REQUEST_MAGIC = b"LADR"
_PROGRESS_MAGIC = b"LADP"
VERSION = 1
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """Entries of `[start_ns, end_ns)` that the query selects are to go."""

    request_id: str
    created_ns: int
    start_ns: int
    end_ns: int
    query: str
    redis_ms: int = 0
    """The time of its creation as positions in write-ahead logs tell it, in milliseconds since 1970; 0 if unknown."""


@dataclass(frozen=True, slots=True)
class DeleteProgress:
    """`processed_ns` is 0 until nothing stored has such an entry any more."""

    percent: int = 0
    processed_ns: int = 0


_request_decoder = msgspec.json.Decoder(DeleteRequest)
_progress_decoder = msgspec.json.Decoder(DeleteProgress)


def encode_request(request: DeleteRequest) -> bytes:
    return seal(_REQUEST_MAGIC, VERSION, msgspec.json.encode(request))


def decode_request(key: str, data: bytes) -> DeleteRequest:
    """`key` names the object in messages. Raises CorruptData, UnknownVersion."""
    return _decoded(_request_decoder, f"delete request {key}", _REQUEST_MAGIC, data)


def encode_progress(progress: DeleteProgress) -> bytes:
    return seal(_PROGRESS_MAGIC, VERSION, msgspec.json.encode(progress))


def decode_progress(key: str, data: bytes) -> DeleteProgress:
    """`key` names the object in messages. Raises CorruptData, UnknownVersion."""
    return _decoded(_progress_decoder, f"progress of a deletion {key}", _PROGRESS_MAGIC, data)


def _decoded(decoder: msgspec.json.Decoder[Value], kind: str, magic: bytes, data: bytes) -> Value:
    try:
        return decoder.decode(unseal(kind, magic, VERSION, data))
    except msgspec.MsgspecError as error:
        raise CorruptData(f"{kind}: {error}") from error
