"""The frame around what we persist ourselves: magic, version, checksum, body. See docs/format/envelope.md."""

import struct

import xxhash

from log_aggregator.formats.errors import CorruptData, UnknownVersion

_HEADER = struct.Struct("<4sBQ")


def seal(magic: bytes, version: int, body: bytes) -> bytes:
    """Four bytes of magic, one of version, the XXH3-64 of the body (little endian), the body."""
    return _HEADER.pack(magic, version, xxhash.xxh3_64_intdigest(body)) + body


def unseal(kind: str, magic: bytes, newest: int, data: bytes) -> memoryview:
    """The body. `kind` names the thing in messages. Raises CorruptData, UnknownVersion."""
    if len(data) < _HEADER.size:
        raise CorruptData(f"{kind} is cut short: {len(data)} bytes")
    found, version, checksum = _HEADER.unpack_from(data)
    if found != magic:
        raise CorruptData(f"{kind} does not begin with {magic!r} but with {found!r}")
    if not 1 <= version <= newest:
        raise UnknownVersion(kind, version, newest)
    body = memoryview(data)[_HEADER.size :]
    if xxhash.xxh3_64_intdigest(body) != checksum:
        raise CorruptData(f"{kind} fails its checksum")
    return body
