"""A connection of a client as the server bounds it: how many there are, how slowly they may send.

Sanic's timeouts count from the last byte that came, so that whoever sends one now and then is waited for without end.
Here they count from the first byte of a request, as Go's do. The bodies that are held at a time are bounded together.
"""

from asyncio import Transport
from time import monotonic
from typing import Any, Final

from sanic import Request
from sanic.compat import Header
from sanic.exceptions import BadRequest, RequestTimeout, SanicException
from sanic.http import Http, Stage
from sanic.response import BaseHTTPResponse
from sanic.server.protocols.websocket_protocol import WebSocketProtocol

from log_aggregator.http.tenant import HEADER
from log_aggregator.services.room import Room

MAX_FRAME_BYTES: Final = 64 << 10
"""Of a websocket's client, which has nothing to say."""

_REFUSAL_SECONDS: Final = 1.0
_FULL: Final = b"server.http_listen_conn_limit connections are open: try again later\n"
_REFUSAL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nDate: %b\r\nContent-Length: %d\r\n\r\n%b"
)


class _Http(Http):
    def create_empty_request(self) -> None:
        """What an error before the end of a head is answered to. Its URL may be what was wrong, so it has none."""
        self.url = None
        super().create_empty_request()

    def respond(self, response: BaseHTTPResponse) -> BaseHTTPResponse:
        """All answers come by here, but for that to a connection too many and the start of a websocket."""
        response.headers["Date"] = self.protocol.app.ctx.date()
        return super().respond(response)


class Connection(WebSocketProtocol):
    """One of at most `config.MAX_CONNECTIONS` of the app, 0 for any number."""

    HTTP_CLASS = _Http

    def connection_made(self, transport: Any) -> None:
        limit = self.app.config.MAX_CONNECTIONS
        if 0 < limit <= len(self.connections):
            self.transport = transport
            # Closed before the request was read, the connection would be reset, and the answer lost.
            self.loop.call_later(_REFUSAL_SECONDS, transport.close)
        else:
            super().connection_made(transport)  # type: ignore[no-untyped-call]

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            assert isinstance(self.transport, Transport)
            self.transport.write(_REFUSAL % (self.app.ctx.date().encode(), len(_FULL), _FULL))
            self.transport.close()
            return
        since, http = self._time, self.http
        super().data_received(data)  # type: ignore[no-untyped-call]
        if self.websocket is None and http is not None and http.stage is not Stage.IDLE:
            self._time = since

    def check_timeouts(self) -> None:
        http = self.http
        is_arriving = http is not None and http.stage is Stage.HANDLER and http.request_body
        if is_arriving and self._task is not None and monotonic() - self._time > self.request_timeout:
            http.exception = RequestTimeout("the request took too long to arrive")
            self._task.cancel()
        else:
            super().check_timeouts()  # type: ignore[no-untyped-call]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_refused:
            super().connection_lost(exc)  # type: ignore[no-untyped-call]

    @property
    def _is_refused(self) -> bool:
        return self.conn_info is None


class BodiesFull(SanicException):
    """Said in Loki's words, and what they are about."""

    status_code = 503
    quiet = True

    def __init__(self, room: Room) -> None:
        super().__init__(
            "The server cannot accept more requests at this time. (bodies of requests take "
            f"{room.used_bytes} of {room.capacity_bytes} bytes)"
        )


class BodyRequest(Request):
    """Keeps a body that comes in many small pieces in no more room than in one, and within the app's room for bodies.

    Call `release_body` when it is not needed any more.
    """

    _held_bytes = 0

    def __init__(self, url_bytes: bytes, headers: Header, *arguments: Any, **options: Any) -> None:
        """Raises BadRequest for what a proxy in front may read otherwise: who sent it, or where its body ends."""
        if any(name != name.strip() for name in headers):
            raise BadRequest("a header's name must not have spaces around it")
        if len(headers.getall(HEADER, ())) > 1:
            raise BadRequest(f"more than one {HEADER} header")
        super().__init__(url_bytes, headers, *arguments, **options)

    async def receive_body(self) -> None:
        """Nothing is kept of what comes from somebody whom the handler will refuse. Raises BodiesFull."""
        if self.body or not await self.app.ctx.may_send(self.headers):
            return
        body, stream = bytearray(), self.stream
        assert isinstance(stream, Http)
        try:
            async for piece in stream:
                self._hold(len(piece))
                body += piece
        except BaseException:
            self.release_body()
            raise
        self.body = bytes(body)

    def release_body(self) -> None:
        self._room.give_back(self._sender, self._held_bytes)
        self._held_bytes = 0

    def _hold(self, size_bytes: int) -> None:
        if not self._room.take(self._sender, size_bytes):
            raise BodiesFull(self._room)
        self._held_bytes += size_bytes

    @property
    def _room(self) -> Room:
        room = self.app.ctx.bodies
        assert isinstance(room, Room)
        return room

    @property
    def _sender(self) -> str:
        """The tenant that it names. Whether it may is not known yet, and does not matter here."""
        return str(self.headers.get(HEADER, ""))
