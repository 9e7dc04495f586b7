import asyncio

import pytest

from log_aggregator.services.admission import Admission, TooManyOutstanding


class Query:
    """A query that runs until it is let go."""

    def __init__(self, admission: Admission, tenant: str, started: list[str], name: str) -> None:
        self._end = asyncio.Event()
        self.task = asyncio.create_task(self._run(admission, tenant, started, name))

    async def _run(self, admission: Admission, tenant: str, started: list[str], name: str) -> None:
        async with admission.slot(tenant):
            started.append(name)
            await self._end.wait()

    async def end(self) -> None:
        self._end.set()
        await self.task
        await asyncio.sleep(0)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_tenants_with_waiting_queries_take_turns() -> None:
    started: list[str] = []
    admission = Admission(1, 10)
    queries = [
        Query(admission, tenant, started, f"{tenant}{number}")
        for tenant, number in (("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1))
    ]
    await settle()
    assert started == ["a0"]
    by_name = dict(zip(("a0", "a1", "a2", "b0", "b1"), queries, strict=True))
    for _ in range(5):
        await by_name[started[-1]].end()
        await settle()
    assert started == ["a0", "a1", "b0", "a2", "b1"]


async def test_as_many_run_as_there_are_slots() -> None:
    started: list[str] = []
    admission = Admission(2, 10)
    queries = [Query(admission, "a", started, str(number)) for number in range(3)]
    await settle()
    assert started == ["0", "1"]
    for query in queries:
        await query.end()
    assert started == ["0", "1", "2"]


async def test_more_than_may_wait_are_refused() -> None:
    started: list[str] = []
    admission = Admission(1, 1)
    queries = [Query(admission, "a", started, str(number)) for number in range(2)]
    await settle()
    with pytest.raises(TooManyOutstanding, match=r"^too many outstanding requests \(limit: 1"):
        async with admission.slot("a"):
            pass
    other = Query(admission, "b", started, "other tenant")
    for query in (*queries, other):
        await query.end()
    assert started == ["0", "1", "other tenant"]


async def test_query_cancelled_while_it_waits_gives_up_its_place() -> None:
    started: list[str] = []
    admission = Admission(1, 1)
    running, waiting = (Query(admission, "a", started, str(number)) for number in range(2))
    await settle()
    waiting.task.cancel()
    await settle()
    following = Query(admission, "a", started, "following")
    await running.end()
    await following.end()
    assert started == ["0", "following"]


async def test_query_cancelled_as_its_turn_comes_passes_the_slot_on() -> None:
    started: list[str] = []
    admission = Admission(1, 5)
    running, waiting, following = (Query(admission, "a", started, str(number)) for number in range(3))
    await settle()
    running._end.set()
    await running.task
    waiting.task.cancel()
    await following.end()
    assert started[-1] == "2"
    async with admission.slot("a"):
        pass


async def test_failed_query_gives_its_slot_back() -> None:
    admission = Admission(1, 1)
    for _ in range(3):
        with pytest.raises(ValueError):
            async with admission.slot("a"):
                raise ValueError
