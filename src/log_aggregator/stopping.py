"""The wish of the operator or the platform that this process ends."""

import asyncio
import signal
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class StopSignal:
    """SIGTERM or SIGINT, from the moment on that this is made. One is made in each process, first of all."""

    def __init__(self) -> None:
        self._requested = False
        for number in _SIGNALS:
            signal.signal(number, self._request)

    def event(self) -> asyncio.Event:
        """Is set by the signal, or at once if it has come already. Call in the running loop."""
        event = asyncio.Event()
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, event.set)
        if self._requested:
            event.set()
        return event

    def _request(self, number: int, frame: FrameType | None) -> None:
        self._requested = True
