"""Small pushes that arrive together: which are stored as one, and that each has its own answer."""

import asyncio
import gc
import json
import weakref
from collections.abc import Sequence

import pytest

from log_aggregator.formats.parts import Parts
from log_aggregator.formats.push import decode_streams
from log_aggregator.formats.push_errors import InvalidPush, PushTooLarge
from log_aggregator.model.push import PushStream
from log_aggregator.services.gathering import SMALL_BYTES, DecodeStreams, Gathering
from log_aggregator.wal.errors import WalUnavailable

NS = "1768471200000000000"


def body(*lines: str, streams: int = 1) -> DecodeStreams:
    sent = [{"stream": {"app": str(number)}, "values": [[NS, line] for line in lines]} for number in range(streams)]
    return encoded(json.dumps({"streams": sent}).encode())


def encoded(data: bytes) -> DecodeStreams:
    def decode(max_bytes: int, parts: Parts) -> list[PushStream]:
        return decode_streams(
            data, "application/json", None, legacy=False, max_decompressed_bytes=max_bytes, parts=parts
        )

    return decode


def lines_of(streams: Sequence[PushStream] | None) -> list[str] | None:
    return None if streams is None else [line for stream in streams for line in stream.lines]


class Stored:
    """What was to be stored, and when a turn comes."""

    def __init__(self, *, is_stored: bool = True, error: BaseException | None = None) -> None:
        self.groups: list[tuple[str, list[list[str] | None]]] = []
        self.turns = asyncio.Event()
        self._is_stored = is_stored
        self._error = error

    async def turn(self) -> None:
        await self.turns.wait()

    async def store(self, key: str, several: Sequence[list[PushStream]]) -> bool:
        self.groups.append((key, [lines_of(streams) for streams in several]))
        if self._error is not None:
            raise self._error
        return self._is_stored


async def run(
    stored: Stored, *pushes: tuple[str, DecodeStreams], max_bytes: int = SMALL_BYTES
) -> list[list[str] | BaseException | None]:
    """What each is answered that came before the turn did."""
    gathering = Gathering(stored.turn, stored.store, max_bytes)
    tasks = [asyncio.create_task(gathering.run(key, decode)) for key, decode in pushes]
    await asyncio.sleep(0)
    stored.turns.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    return [one if isinstance(one, BaseException) else lines_of(one) for one in answers]


async def test_lone_push_is_given_back() -> None:
    stored = Stored()
    assert await run(stored, ("a", body("1", "2"))) == [["1", "2"]]
    assert stored.groups == []


async def test_pushes_of_one_key_are_stored_as_one() -> None:
    stored = Stored()
    assert await run(stored, ("a", body("1")), ("b", body("2")), ("a", body("3", "4"))) == [None, ["2"], None]
    assert stored.groups == [("a", [["1"], ["3", "4"]])]


async def test_what_is_not_stored_as_one_is_given_back() -> None:
    stored = Stored(is_stored=False)
    assert await run(stored, ("a", body("1")), ("a", body("2"))) == [["1"], ["2"]]
    assert len(stored.groups) == 1


async def test_broken_body_fails_alone() -> None:
    stored = Stored()
    first, broken, last = await run(stored, ("a", body("1")), ("a", encoded(b"{")), ("a", body("3")))
    assert (first, last) == (None, None)
    assert isinstance(broken, InvalidPush)
    assert stored.groups == [("a", [["1"], ["3"]])]


@pytest.mark.parametrize("error", [WalUnavailable("no Redis"), ValueError("a defect")])
async def test_failure_is_told_to_all(error: Exception) -> None:
    stored = Stored(error=error)
    assert await run(stored, ("a", body("1")), ("a", body("2"))) == [error, error]


async def test_push_whose_client_has_gone_is_not_kept() -> None:
    stored, one = Stored(), body("1")
    gathering = Gathering(stored.turn, stored.store, SMALL_BYTES)
    kept = weakref.ref(one)
    gone, stays = (asyncio.create_task(gathering.run("a", decode)) for decode in (one, body("2")))
    await asyncio.sleep(0)
    del one
    gone.cancel()
    await asyncio.wait([gone])
    del gone  # its traceback has it
    gc.collect()
    assert kept() is None
    stored.turns.set()
    assert lines_of(await stays) == ["2"]


async def test_push_whose_client_goes_while_it_is_stored_leaves_the_others_alone() -> None:
    started, may_end = asyncio.Event(), asyncio.Event()

    async def turn() -> None:
        pass

    async def store(key: str, several: Sequence[list[PushStream]]) -> bool:
        started.set()
        await may_end.wait()
        return True

    gathering = Gathering(turn, store, SMALL_BYTES)
    gone, stays = (asyncio.create_task(gathering.run("a", body(line))) for line in ("1", "2"))
    await started.wait()
    gone.cancel()
    may_end.set()
    assert await stays is None


async def test_failure_of_the_gathering_itself_does_not_last() -> None:
    turns = iter([ValueError("a defect"), None])

    async def turn() -> None:
        if (error := next(turns)) is not None:
            raise error

    stored = Stored()
    gathering = Gathering(turn, stored.store, SMALL_BYTES)
    first = asyncio.create_task(gathering.run("a", body("1")))
    await asyncio.sleep(0)
    assert gathering._taking is not None
    await asyncio.wait([gathering._taking])
    assert isinstance(gathering._taking.exception(), ValueError)
    assert await gathering.run("a", body("2")) is None
    assert await first is None


async def test_no_more_is_stored_as_one_than_takes_little_time() -> None:
    large, many = "x" * (SMALL_BYTES - 1000), body("y", streams=600)
    stored = Stored()
    pushes = [("a", body(large))] * 5 + [("b", many)] * 3
    assert await run(stored, *pushes) == [None] * 4 + [[large]] + [None] * 2 + [["y"] * 600]
    assert [(key, len(several)) for key, several in stored.groups] == [("a", 2), ("b", 2), ("a", 2)]


async def test_others_have_their_turn_beside_bodies_that_fail() -> None:
    order: list[str] = []

    def told(name: str, decode: DecodeStreams) -> DecodeStreams:
        def decode_and_tell(max_bytes: int, parts: Parts) -> list[PushStream]:
            order.append(name)
            return decode(max_bytes, parts)

        return decode_and_tell

    broken = [("a", told("broken", encoded(b"{")))] * 10
    answers = await run(Stored(), *broken, ("b", told("fine", body("1"))))
    assert all(isinstance(answer, InvalidPush) for answer in answers[:-1])
    assert answers[-1] == ["1"]
    assert order.index("fine") == 2


@pytest.mark.parametrize(
    ("decode", "max_bytes"),
    [
        (body("x" * SMALL_BYTES), SMALL_BYTES),
        (body("x" * 1000), 1000),
        (body("x", streams=1000), SMALL_BYTES),
    ],
)
async def test_what_may_take_long_is_not_decoded(decode: DecodeStreams, max_bytes: int) -> None:
    answer, other = await run(Stored(), ("a", decode), ("a", body("1")), max_bytes=max_bytes)
    assert isinstance(answer, PushTooLarge)
    assert other == ["1"]
