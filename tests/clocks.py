"""Clocks that tests hold in their hands."""

import asyncio


class SetClock:
    """Shows the time that it is given; nobody wakes by himself."""

    def __init__(self, now_ns: int = 0) -> None:
        self.time_ns = now_ns

    def now_ns(self) -> int:
        return self.time_ns

    def monotonic_seconds(self) -> float:
        return self.time_ns / 1e9

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


class SteppedClock(SetClock):
    """Who sleeps wakes when the test lets a period pass."""

    def __init__(self) -> None:
        super().__init__()
        self._steps = asyncio.Semaphore(0)
        self._sleeping = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self._sleeping.set()
        await self._steps.acquire()

    async def pass_period(self) -> None:
        """Returns when whoever sleeps has woken, worked, and sleeps again."""
        await self._sleeping.wait()
        self._sleeping.clear()
        self._steps.release()
        await self._sleeping.wait()
