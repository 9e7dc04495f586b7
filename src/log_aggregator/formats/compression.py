"""The content encodings of a push body, decompressed under a bound."""

import zlib
from collections.abc import Callable
from typing import Final

import cramjam
import zstandard

from log_aggregator.formats.push_errors import InvalidPush, PushTooLarge

_GZIP: Final = 31
_ZLIB: Final = 15
_RAW_DEFLATE: Final = -15

_MAX_MEMBERS: Final = 1000
"""A gzip body may be several members, one after the other; each costs a copy of what follows it."""

_MAX_SNAPPY_EXPANSION: Final = 24
"""The densest element of the format makes 64 bytes out of 3, so a body that announces more than this is corrupt."""

_ZSTD_PIECE_BYTES: Final = 1 << 20
_MAX_ZSTD_WINDOW_BYTES: Final = 1 << 27
"""The reference decoder's own default: what one frame may make us allocate before its first byte of output."""

_MAX_LZ4_EXPANSION: Final = 256
"""A byte of the format adds at most 255 bytes to a match."""
_LZ4_GUESS: Final = 8
_LEAST_LZ4_ROOM: Final = 1 << 16
_LZ4_BUFFER_FULL: Final = "failed to write whole buffer"


def decompress(data: bytes, encoding: str | None, max_bytes: int) -> bytes:
    """`data` freed from its Content-Encoding, at most `max_bytes` of it (0: no bound).

    Knows gzip, deflate (with or without the zlib wrapper), zstd, lz4 (frames), snappy (the raw block format) and
    identity; None and "" mean identity. Raises InvalidPush for other encodings and for damaged data, PushTooLarge as
    soon as the output passes the bound. A zstd stream that was cut gives what it still holds: the format inside
    notices.
    """
    name = (encoding or "identity").strip().lower()
    if name == "identity":
        return _bounded(data, max_bytes)
    decoder = _DECODERS.get(name)
    if decoder is None:
        raise InvalidPush(f'Content-Encoding "{encoding}" not supported')
    return decoder(data, max_bytes)


def _bounded(data: bytes, max_bytes: int) -> bytes:
    if 0 < max_bytes < len(data):
        raise PushTooLarge.decompressed(len(data), max_bytes)
    return data


def _gzip(data: bytes, max_bytes: int) -> bytes:
    try:
        return _inflate(data, _GZIP, max_bytes)
    except zlib.error as error:
        reason = "invalid header" if "header" in str(error) else str(error)
        raise InvalidPush(f"gzip: {reason}") from error


def _deflate(data: bytes, max_bytes: int) -> bytes:
    """RFC 9110 means zlib by "deflate"; many clients, and Go servers, mean the bare stream."""
    try:
        return _inflate(data, _ZLIB, max_bytes)
    except zlib.error:
        pass
    try:
        return _inflate(data, _RAW_DEFLATE, max_bytes)
    except zlib.error as error:
        raise InvalidPush(f"deflate: {error}") from error


def _inflate(data: bytes, window_bits: int, max_bytes: int) -> bytes:
    """All members of the stream, each asked for one byte more than the bound leaves room for."""
    pieces: list[bytes] = []
    size = 0
    for _ in range(_MAX_MEMBERS):
        member = zlib.decompressobj(window_bits)
        piece = member.decompress(data, max_bytes - size + 1 if max_bytes > 0 else 0)
        size += len(piece)
        if 0 < max_bytes < size:
            raise PushTooLarge.decompressed(size, max_bytes)
        if not member.eof:
            raise zlib.error("unexpected end of data")
        pieces.append(piece)
        data = member.unused_data
        if not data:
            return b"".join(pieces)
    raise zlib.error(f"more than {_MAX_MEMBERS} members")


def _zstd(data: bytes, max_bytes: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW_BYTES)
    pieces: list[bytes] = []
    size = 0
    try:
        with decompressor.stream_reader(data, read_across_frames=True) as reader:
            while piece := reader.read(_ZSTD_PIECE_BYTES):
                size += len(piece)
                if 0 < max_bytes < size:
                    raise PushTooLarge.decompressed(size, max_bytes)
                pieces.append(piece)
    except zstandard.ZstdError as error:
        raise InvalidPush(f"zstd: {error}") from error
    return b"".join(pieces)


def _snappy(data: bytes, max_bytes: int) -> bytes:
    try:
        announced = int(cramjam.snappy.decompress_raw_len(data))
        if 0 < max_bytes < announced:
            raise PushTooLarge.decompressed(announced, max_bytes)
        if announced > len(data) * _MAX_SNAPPY_EXPANSION:
            raise InvalidPush("snappy: corrupt input")
        return bytes(cramjam.snappy.decompress_raw(data))
    except cramjam.DecompressionError as error:
        raise InvalidPush("snappy: corrupt input") from error


def _lz4(data: bytes, max_bytes: int) -> bytes:
    """The library writes into a buffer of fixed size, so the buffer grows until the output fits or passes the bound."""
    most = len(data) * _MAX_LZ4_EXPANSION
    if 0 < max_bytes < most:
        most = max_bytes + 1
    room = min(most, max(len(data) * _LZ4_GUESS, _LEAST_LZ4_ROOM))
    while True:
        output = bytearray(room)
        try:
            size = int(cramjam.lz4.decompress_into(data, output))
        except cramjam.DecompressionError as error:
            if _LZ4_BUFFER_FULL not in str(error):
                raise InvalidPush(f"lz4: {str(error).removeprefix('lz4: ')}") from error
            if room == most:
                raise PushTooLarge.decompressed(most, max_bytes) from error
            room = min(most, room * _LZ4_GUESS)
            continue
        if 0 < max_bytes < size:
            raise PushTooLarge.decompressed(size, max_bytes)
        return bytes(memoryview(output)[:size])


_DECODERS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
    "lz4": _lz4,
    "snappy": _snappy,
}
