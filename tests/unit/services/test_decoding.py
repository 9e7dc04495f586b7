"""Bodies of pushes on their way to columns: how many at a time, in whose turn, and how large."""

import asyncio
import threading

import pytest

from log_aggregator.formats.compression import decompress
from log_aggregator.formats.push_errors import PushTooLarge
from log_aggregator.model.push import Push
from log_aggregator.services.decoding import Decode, Decoding

MEBIBYTE = 1 << 20
SENT_BYTES = 100


def body(size: int) -> Decode:
    def decode(max_bytes: int) -> Push:
        decompress(b"x" * size, None, max_bytes)
        return Push.of([])

    return decode


def nothing(push: Push) -> int:
    return len(push.streams)


@pytest.mark.parametrize(
    ("configured", "memory", "fits"),
    [(0, 100 * MEBIBYTE, 10 * MEBIBYTE), (MEBIBYTE, 100 * MEBIBYTE, MEBIBYTE), (MEBIBYTE, MEBIBYTE, MEBIBYTE // 10)],
)
async def test_body_is_bounded_by_configuration_and_memory(configured: int, memory: int, fits: int) -> None:
    decoding = Decoding(configured, memory)
    assert await decoding.run("tenant", body(fits), SENT_BYTES, nothing) == 0
    with pytest.raises(PushTooLarge, match=f"decompressed message size too large than max \\({fits + 1} vs {fits}\\)"):
        await decoding.run("tenant", body(fits + 1), SENT_BYTES, nothing)


async def test_large_bodies_are_decoded_one_at_a_time() -> None:
    decoding, two = Decoding(0, 100 * MEBIBYTE), threading.Barrier(2)

    def meets_another(_: Push) -> bool:
        try:
            two.wait(0.05)
        except threading.BrokenBarrierError:
            two.reset()
            return False
        return True

    for size, expected in ((5 * MEBIBYTE, [False] * 2), (MEBIBYTE, [True] * 2)):
        tenants = [decoding.run(str(tenant), body(size), SENT_BYTES, meets_another) for tenant in range(2)]
        assert await asyncio.gather(*tenants) == expected
