"""What queries know of the logs while an answer of Redis is on its way and this process goes on to write, and what they
keep of it."""

import asyncio
import gc
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from log_aggregator.formats.wal_record import encode_record, record_of
from log_aggregator.model.position import Position
from log_aggregator.model.segment import LINE
from log_aggregator.services.tail import Block, Tail, TailRecord
from log_aggregator.wal.errors import WalUnavailable
from log_aggregator.wal.log import Lease, WriteAheadLogs
from log_aggregator.wal.names import Names
from replica import Entry, segment_of

TENANT = "tenant"


class HeldLogs(WriteAheadLogs):
    """Answers of `news` come no sooner than the gate opens; `answered` tells that Redis has given one."""

    gate: asyncio.Event
    answered: asyncio.Event

    async def news(self, cursors: Sequence[tuple[str, Position | None]], count: int) -> Any:
        answer = await super().news(cursors, count)
        self.answered.set()
        await self.gate.wait()
        return answer


class Writer:
    """An ingester's part in it: appends to a log, and tells the tail of it."""

    def __init__(self, logs: HeldLogs, tail: Tail, lease: Lease) -> None:
        self._logs, self._tail, self._lease = logs, tail, lease
        self.wal = lease.wal
        self.positions: list[Position] = []

    async def append(self, line: str) -> TailRecord:
        segment = segment_of([Entry(TENANT, "stream", 1, line)])
        head = self.positions[-1] if self.positions else None
        record = record_of(TENANT, segment)
        self.positions += await self._logs.append(self._lease, head, [encode_record(record)])
        return TailRecord(self._lease.wal, self.positions[-1], record.header, segment)

    async def write(self, line: str) -> None:
        self._tail.add_own([await self.append(line)])

    async def flush(self, last: Position) -> None:
        await self._logs.commit(self._lease, self.positions[0], last, [])
        self._tail.forget_own(self._lease.wal, last)


@pytest.fixture
def names() -> Names:
    return Names(uuid.uuid4().hex)


@pytest.fixture
def logs(redis: Redis, names: Names) -> HeldLogs:
    logs = HeldLogs(redis, names)
    logs.gate, logs.answered = asyncio.Event(), asyncio.Event()
    logs.gate.set()
    return logs


@pytest.fixture
def tail(logs: HeldLogs) -> Tail:
    return Tail(logs)


async def lines(tail: Tail) -> list[str]:
    """As a query reads them: block by block."""
    found: list[str] = []
    blocks = {record.block: tail.block_of(record) for record in await tail.records(TENANT, 0, 10)}
    for block in blocks.values():
        found += (await tail.block(block)).frame[LINE].to_list()
    return sorted(found)


async def held(logs: HeldLogs, tail: Tail) -> asyncio.Task[list[str]]:
    """A query to which Redis has answered, and whose answer is still on its way."""
    logs.gate.clear()
    logs.answered.clear()
    asking = asyncio.create_task(lines(tail))
    await logs.answered.wait()
    return asking


async def test_a_log_opened_meanwhile_is_not_forgotten(logs: HeldLogs, tail: Tail) -> None:
    asking = await held(logs, tail)
    writer = Writer(logs, tail, await logs.open("holder"))
    await writer.write("first")
    logs.gate.set()
    await asking
    await writer.write("second")
    assert await lines(tail) == ["first", "second"]


async def test_what_was_flushed_meanwhile_does_not_come_back(logs: HeldLogs, tail: Tail) -> None:
    writer = Writer(logs, tail, await logs.open("holder"))
    await writer.write("first")
    assert await lines(tail) == ["first"]
    second = await writer.append("second")
    asking = await held(logs, tail)
    tail.add_own([second])
    await writer.write("third")
    await writer.flush(second.position)
    logs.gate.set()
    assert await asking == ["third"]
    await writer.write("fourth")
    assert await lines(tail) == ["fourth", "third"]


async def test_a_record_that_is_read_beside_its_appending_counts_once(logs: HeldLogs, tail: Tail) -> None:
    writer = Writer(logs, tail, await logs.open("holder"))
    await writer.write("first")
    second = await writer.append("second")
    asking = await held(logs, tail)
    tail.add_own([second])
    logs.gate.set()
    assert await asking == ["first", "second"]
    first, *_ = await tail.records(TENANT, 0, 10)
    assert [record.position for record in tail.block_of(first)] == writer.positions


async def test_what_is_appended_while_a_new_log_is_first_read_is_not_passed_over(
    logs: HeldLogs, tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(logs, tail, await logs.open("holder"))
    read = logs.read

    async def read_slowly(cursors: Sequence[tuple[str, Position | None]], count: int) -> Any:
        answer = await read(cursors, count)
        await writer.write("first")
        return answer

    monkeypatch.setattr(logs, "read", read_slowly)
    assert await lines(tail) == []
    await writer.write("second")
    assert await lines(tail) == ["first", "second"]


async def test_what_is_appended_while_the_log_is_read_again_hides_nothing(
    logs: HeldLogs, tail: Tail, redis: Redis, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(logs, tail, await logs.open("holder"))
    for number in range(150):
        await writer.write(f"line {number}")
    await writer.flush(writer.positions[0])
    assert len(await lines(tail)) == 149
    await redis.hdel(names.trimmed, writer.wal)  # as an older Redis has it

    read = logs.read

    async def read_slowly(cursors: Sequence[tuple[str, Position | None]], count: int) -> Any:
        answer = await read(cursors, count)
        await writer.write(f"line {len(writer.positions)}")
        return answer

    monkeypatch.setattr(logs, "read", read_slowly)
    await tail.records(TENANT, 0, 10)
    assert await lines(tail) == sorted(f"line {number}" for number in range(1, len(writer.positions)))


async def test_lists_of_an_older_redis_are_forgotten_though_it_fails_at_first(
    logs: HeldLogs, tail: Tail, redis: Redis, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The logs tell only once that it came back older."""
    writer = Writer(logs, tail, await logs.open("holder"))
    await writer.write("first")
    await writer.write("second")
    await writer.flush(writer.positions[0])
    assert await lines(tail) == ["second"]
    await redis.hdel(names.trimmed, writer.wal)
    forget = logs.forget_lists
    forgotten = asyncio.Event()

    async def fail() -> None:
        monkeypatch.setattr(logs, "forget_lists", succeed)
        raise WalUnavailable("as planned")

    async def succeed() -> None:
        await forget()
        forgotten.set()

    monkeypatch.setattr(logs, "forget_lists", fail)
    with pytest.raises(WalUnavailable):
        await lines(tail)
    assert await lines(tail) == ["second"]
    assert forgotten.is_set()


def kept() -> list[Block]:
    gc.collect()
    return [one for one in gc.get_objects() if isinstance(one, Block)]


async def test_what_was_made_of_records_is_kept_until_they_are_flushed(logs: HeldLogs, tail: Tail) -> None:
    reader = Tail(logs)  # of another replica
    writer = Writer(logs, tail, await logs.open("holder"))
    await writer.write("line")
    for one in (tail, reader):
        assert await lines(one) == ["line"]
    assert len(kept()) == 2
    await writer.flush(writer.positions[-1])
    assert len(kept()) == 1
    assert await lines(reader) == []
    assert kept() == []


async def test_no_fields_where_those_of_all_blocks_have_no_room(logs: HeldLogs, tail: Tail) -> None:
    line = "long " * 200
    small = Tail(logs, blocks_bytes=1_000_000)
    writer = Writer(logs, tail, await logs.open("holder"))
    while True:  # until the first block is full
        await writer.write(line)
        first, *_ = records = await tail.records(TENANT, 0, 10)
        if records[-1].block > first.block:
            break
    assert len(line) * len(records) < 500_000
    await small.records(TENANT, 0, 10)
    for one in (tail, small):
        assert not one.is_worth_fields(one.block_of(first))  # nobody has asked for it yet
        await one.block(one.block_of(first))
        assert one.is_worth_fields(one.block_of(first))
    while len(line) * len(await tail.records(TENANT, 0, 10)) <= 500_000:
        await writer.write(line)
    await small.records(TENANT, 0, 10)
    assert tail.is_worth_fields(tail.block_of(first))
    assert not small.is_worth_fields(small.block_of(first))
