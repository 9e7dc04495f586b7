"""A websocket as a handler sees it, over Sanic's, which pings by itself and ends whoever serves a lost connection."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

from sanic import Request
from sanic.exceptions import RequestCancelled, WebsocketClosed

from log_aggregator.clock import timeout
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.http.errors import first_error

logger = logging.getLogger(__name__)

PING_SECONDS = 1  # as Loki pings, so that proxies and dead peers are noticed
# A peer that takes nothing for so long is given up.
_SEND_SECONDS = 30.0
_CLOSE_SECONDS = 2.0
_GOING_AWAY = 1001
_INTERNAL_ERROR = 1011
_MAX_REASON_BYTES = 123  # of a close frame


class PeerLost(LogAggregatorError):
    """The connection is gone, or its peer takes nothing from it."""

    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE


class Socket:
    """One connection that was upgraded."""

    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket
        self._leaving = asyncio.Event()

    async def send(self, text: str) -> None:
        """Waits while the peer is slow. Raises PeerLost."""
        try:
            async with timeout(_SEND_SECONDS):
                await self._websocket.send(text)
        except (TimeoutError, RequestCancelled, WebsocketClosed) as error:
            raise PeerLost(f"cannot send: {type(error).__name__}") from error

    def leave(self) -> None:
        """Ends the conversation soon: the server is shutting down."""
        self._leaving.set()

    async def talk(self, conversation: "Conversation") -> None:
        """Until the conversation ends or fails, the peer closes, or `leave` is called."""
        talking = asyncio.create_task(conversation(self))
        tasks = {talking, asyncio.create_task(self._until_closed()), asyncio.create_task(self._leaving.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if talking.cancelled():
            await self._close(_GOING_AWAY, "")
            return
        error = talking.exception()
        if error is None:
            await self._close(1000, "")
            return
        error = first_error(error)
        if not isinstance(error, LogAggregatorError):
            logger.error("websocket failed", exc_info=error)
        await self._close(_INTERNAL_ERROR, error.told if isinstance(error, LogAggregatorError) else "internal error")

    async def _until_closed(self) -> None:
        """What the peer says is read and forgotten."""
        while True:
            await self._websocket.recv()

    async def _close(self, code: int, reason: str) -> None:
        reason = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
        with suppress(TimeoutError):
            async with timeout(_CLOSE_SECONDS):
                await self._websocket.close(code, reason)
                await self._websocket.wait_for_connection_lost()


Conversation = Callable[[Socket], Coroutine[Any, Any, None]]


def is_upgrade(headers: Mapping[str, str]) -> bool:
    return headers.get("upgrade", "").lower() == "websocket"


@asynccontextmanager
async def upgraded(request: Request) -> AsyncIterator[Socket]:
    """The request's connection as a websocket, which ends with the block. If it is lost, the block ends in silence."""
    protocol: Any = request.transport.get_protocol()
    websocket = await protocol.websocket_handshake(request)
    try:
        yield Socket(websocket)
    except asyncio.CancelledError:
        pass
    finally:
        websocket.end_connection(_GOING_AWAY)
