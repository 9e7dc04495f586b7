"""Bodies of pushes on their way to columns: how many at a time, in whose turn, and how large."""

import asyncio
import threading
from dataclasses import replace

import pytest

from log_aggregator.formats.compression import decompress
from log_aggregator.formats.parts import Parts
from log_aggregator.formats.push_errors import PushTooLarge
from log_aggregator.model.push import Push
from log_aggregator.services.decoding import Decoding, PushBody

MEBIBYTE = 1 << 20


def body(size: int, parts: int = 1) -> PushBody:
    def decode(max_bytes: int, max_parts: int) -> Push:
        decompress(b"x" * size, None, max_bytes)
        Parts(max_parts).add(parts)
        return Push.of([])

    return PushBody(min(size, 100), decode, is_literal=True)


def nothing(push: Push) -> int:
    return len(push.streams)


@pytest.mark.parametrize(
    ("configured", "memory", "fits"),
    [(0, 100 * MEBIBYTE, 10 * MEBIBYTE), (MEBIBYTE, 100 * MEBIBYTE, MEBIBYTE), (MEBIBYTE, MEBIBYTE, MEBIBYTE // 10)],
)
async def test_body_is_bounded_by_configuration_and_memory(configured: int, memory: int, fits: int) -> None:
    decoding = Decoding(configured, memory)
    assert await decoding.run("tenant", body(fits), nothing) == 0
    with pytest.raises(PushTooLarge, match=f"decompressed message size too large than max \\({fits + 1} vs {fits}\\)"):
        await decoding.run("tenant", body(fits + 1), nothing)


@pytest.mark.parametrize(
    ("size", "parts", "is_on_the_loop"),
    [(MEBIBYTE // 8, 2000, True), (MEBIBYTE // 8 + 1, 1, False), (100, 2001, False)],
)
async def test_what_takes_little_time_is_decoded_on_the_loop(size: int, parts: int, is_on_the_loop: bool) -> None:
    one = body(size, parts)
    thread = await Decoding(0, 100 * MEBIBYTE).run("tenant", one, lambda push: threading.get_ident())
    assert (thread == threading.get_ident()) == is_on_the_loop


async def test_large_bodies_are_decoded_one_at_a_time() -> None:
    decoding, running, most = Decoding(0, 100 * MEBIBYTE), 0, 0

    def counted(_: Push) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        running -= 1

    async with asyncio.TaskGroup() as group:
        for tenant in range(10):
            group.create_task(decoding.run(str(tenant), body(2 * MEBIBYTE), counted))
    assert most == 1


async def test_values_that_nest_and_entries_that_inherit_are_decoded_in_a_thread() -> None:
    one = replace(body(100), is_literal=False)
    assert (
        await Decoding(0, 100 * MEBIBYTE).run("tenant", one, lambda push: threading.get_ident())
        != threading.get_ident()
    )
