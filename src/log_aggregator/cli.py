"""The command line. Light to import: a signal must find its handler before the slow imports begin."""

import asyncio
import os
import signal
import socket
from contextlib import AsyncExitStack
from types import FrameType

from pydantic import SecretStr

from log_aggregator.clock import SystemClock
from log_aggregator.config.sections import Config
from log_aggregator.config.stores import data_directory_of, store_of
from log_aggregator.embedded import EmbeddedRedis
from log_aggregator.logs import set_up_logs


def main() -> None:
    stop = StopSignal()
    config = Config()
    set_up_logs(config.server.log_level)
    asyncio.run(_serve(config, stop))


async def _serve(config: Config, stop: "StopSignal") -> None:
    from log_aggregator.app import serve  # slow

    event = stop.event()
    data = data_directory_of(config, os.environ.get("LOG_AGGREGATOR_DATA", ""))
    async with AsyncExitStack() as stack:
        redis = EmbeddedRedis(data, SystemClock())
        await stack.enter_async_context(redis.running())
        settings = config.redis.model_copy(update={"url": SecretStr(redis.url)})
        listening = socket.create_server((config.server.http_listen_address, config.server.http_listen_port))
        await serve(config.model_copy(update={"redis": settings}), store_of(config, data), listening, event)


class StopSignal:
    """SIGTERM or SIGINT, from the first moment of the process on."""

    def __init__(self) -> None:
        self._requested = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request)

    def event(self) -> asyncio.Event:
        """Is set by the signal, or at once if it has come already. Call in the running loop."""
        event = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, event.set)
        if self._requested:
            event.set()
        return event

    def _request(self, number: int, frame: FrameType | None) -> None:
        self._requested = True
