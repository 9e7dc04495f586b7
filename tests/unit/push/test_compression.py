import tracemalloc
import zlib

import cramjam
import pytest
import zstandard

from log_aggregator.formats.compression import decompress
from log_aggregator.formats.push_errors import InvalidPush, PushTooLarge

TEXT = b"a log line, and another log line\n" * 50
NO_BOUND = 0


def zlib_bytes(data: bytes, window_bits: int) -> bytes:
    compressor = zlib.compressobj(wbits=window_bits)
    return compressor.compress(data) + compressor.flush()


def zstd_without_size(data: bytes) -> bytes:
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(data) + compressor.flush()


def snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


def lz4(data: bytes) -> bytes:
    return bytes(cramjam.lz4.compress(data))


GZIP = zlib_bytes(TEXT, 31)
ENCODED = {
    "identity": ("identity", TEXT),
    "gzip": ("gzip", GZIP),
    "gzip of two members": ("gzip", zlib_bytes(TEXT[:70], 31) + zlib_bytes(TEXT[70:], 31)),
    "deflate with zlib header": ("deflate", zlib_bytes(TEXT, 15)),
    "raw deflate": ("deflate", zlib_bytes(TEXT, -15)),
    "zstd with content size": ("zstd", zstandard.ZstdCompressor().compress(TEXT)),
    "zstd without content size": ("zstd", zstd_without_size(TEXT)),
    "zstd of two frames": ("zstd", zstd_without_size(TEXT[:70]) + zstandard.ZstdCompressor().compress(TEXT[70:])),
    "lz4": ("lz4", lz4(TEXT)),
    "lz4 of two frames": ("lz4", lz4(TEXT[:70]) + lz4(TEXT[70:])),
    "snappy": ("snappy", snappy(TEXT)),
}


@pytest.mark.parametrize(("encoding", "data"), ENCODED.values(), ids=ENCODED)
def test_every_encoding_gives_the_text_back(encoding: str, data: bytes) -> None:
    assert decompress(data, encoding, NO_BOUND) == TEXT


@pytest.mark.parametrize("encoding", [None, "", "identity"])
def test_no_encoding_is_identity(encoding: str | None) -> None:
    assert decompress(TEXT, encoding, NO_BOUND) == TEXT


def test_names_of_encodings_ignore_case_and_space() -> None:
    assert decompress(GZIP, " GZip ", NO_BOUND) == TEXT


@pytest.mark.parametrize(("encoding", "data"), ENCODED.values(), ids=ENCODED)
def test_bound_is_inclusive(encoding: str, data: bytes) -> None:
    assert decompress(data, encoding, len(TEXT)) == TEXT
    with pytest.raises(PushTooLarge, match=rf"^request body too large: .* \(\d+ vs {len(TEXT) - 1}\)$"):
        decompress(data, encoding, len(TEXT) - 1)


BROKEN = {
    "unknown encoding": ("br", TEXT, 'Content-Encoding "br" not supported'),
    "gzip of something else": ("gzip", TEXT, "gzip: invalid header"),
    "empty gzip": ("gzip", b"", "gzip: unexpected end of data"),
    "cut gzip": ("gzip", GZIP[:-9], "gzip: unexpected end of data"),
    "gzip followed by garbage": ("gzip", GZIP + b"x" * 20, "gzip: invalid header"),
    "gzip of a thousand members and more": ("gzip", zlib_bytes(b"", 31) * 1001, "gzip: more than 1000 members"),
    "deflate of something else": (
        "deflate",
        b"\xff" * 9,
        "deflate: Error -3 while decompressing data: invalid block type",
    ),
    "zstd of something else": ("zstd", TEXT, "zstd: zstd decompress error: Unknown frame descriptor"),
    "lz4 of something else": ("lz4", TEXT, "lz4: ERROR_frameType_unknown"),
    "cut lz4": ("lz4", lz4(TEXT)[:-5], "lz4: truncated frame"),
    "empty lz4": ("lz4", b"", "lz4: empty input"),
    "snappy of something else": ("snappy", b"x", "snappy: corrupt input"),
    "empty snappy": ("snappy", b"", "snappy: corrupt input"),
    "snappy announcing gigabytes": ("snappy", b"\xff\xff\xff\xff\x0f" + b"\x00" * 50, "snappy: corrupt input"),
}


@pytest.mark.parametrize(("encoding", "data", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_data_is_told(encoding: str, data: bytes, message: str) -> None:
    with pytest.raises(InvalidPush) as caught:
        decompress(data, encoding, NO_BOUND)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        ("gzip", zlib_bytes(bytes(64 << 20), 31)),
        ("zstd", zstd_without_size(bytes(64 << 20))),
        ("lz4", lz4(bytes(64 << 20))),
    ],
    ids=["gzip", "zstd", "lz4"],
)
def test_a_bomb_costs_no_more_memory_than_the_bound(encoding: str, bomb: bytes) -> None:
    bound = 4 << 20
    tracemalloc.start()
    try:
        with pytest.raises(PushTooLarge):
            decompress(bomb, encoding, bound)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * bound
