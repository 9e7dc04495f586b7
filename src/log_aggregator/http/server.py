"""The HTTP server: routes, tenants, errors, metrics and draining, around handlers that know none of these.

One Sanic server in this process's own event loop; Sanic's worker manager is not used (docs/architecture.md, processes).
"""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar
from urllib.parse import parse_qs

from sanic import HTTPResponse, Request, Sanic
from sanic.application.state import ApplicationServerInfo
from sanic.exceptions import MethodNotAllowed, NotFound, PayloadTooLarge, SanicException
from sanic.http.constants import HTTP
from sanic.http.http1 import Http
from sanic.response import text

from log_aggregator.clock import Clock, timeout
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.http.access import Access
from log_aggregator.http.auth import CHALLENGE, Caller, Unauthenticated
from log_aggregator.http.connection import MAX_FRAME_BYTES, BodyRequest, Connection
from log_aggregator.http.date import AnswerDate
from log_aggregator.http.errors import error_line, error_response, first_error, let_go, status_of
from log_aggregator.http.hints import with_hint
from log_aggregator.http.metrics import HttpMetrics
from log_aggregator.http.params import InvalidParameter, Params, check_encoding
from log_aggregator.http.paths import clean_url
from log_aggregator.http.refusal_log import RefusalLog
from log_aggregator.http.socket import PING_SECONDS, Conversation, Socket, is_upgrade, upgraded
from log_aggregator.http.tenant import tenant_of
from log_aggregator.http.tls import HANDSHAKE_SECONDS, ServerTls
from log_aggregator.services.damage import damage_left_out
from log_aggregator.services.room import Room

logger = logging.getLogger(__name__)

_SWITCHING = 101
CLIENT_GONE = 499  # as Loki logs a request whose client went away
_NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
_POLL_SECONDS = 0.02
_MAX_HEADER_BYTES = 64 << 10  # the parser below Sanic reads no longer URL
_MAX_MESSAGE = 32 << 10  # Loki's messages repeat what was wrong, however long it is
_MAX_FORM_BYTES = 10 << 20  # as Go reads forms
_MAX_FORM_FIELDS = 10_000
_app_numbers = count()  # Sanic wants each app of a process to have a name of its own


@dataclass(frozen=True, slots=True)
class Call:
    """A request as a handler sees it."""

    request: Request
    params: Params
    tenant: str
    path: dict[str, str]  # the parameters of the route

    async def stream(self, first: bytes, pieces: AsyncIterable[bytes], content_type: str) -> HTTPResponse:
        """Sends the pieces as they come and returns what has been sent. A failure is seen as a body that is cut off."""
        response: Any = await self.request.respond(HTTPResponse(content_type=content_type, headers=_NO_SNIFFING))
        transport: Any = self.request.transport
        try:
            if first:
                await response.send(first)
            async for piece in pieces:
                if piece:
                    await response.send(piece)
            await response.eof()
        except BaseException:
            transport.abort()
            raise
        assert isinstance(response, HTTPResponse)
        return response


class FormTooLarge(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.TOO_LARGE


class NotAWebsocket(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.INVALID

    def __init__(self) -> None:
        super().__init__("Bad Request: this route is a websocket, and the client asks for no upgrade")


Handler = Callable[[Call], Awaitable[HTTPResponse]]
ErrorAnswer = Callable[[Request, str, int], HTTPResponse]
"""How a route says that a request failed, from a message and a status."""


def _as_text(_: Request, message: str, status: int) -> HTTPResponse:
    return error_response(message, status)


@dataclass(frozen=True, slots=True)
class Route:
    """A handler under its paths. `name` is the `route` of metrics; `tenant` whether the request needs one.

    With `several_tenants`, the tenant of a call may stand for several, where the configuration allows it. What
    `partial` answers in JSON, where there is room to say what is missing.
    """

    name: str
    paths: tuple[str, ...]
    methods: tuple[str, ...]
    handler: Handler
    tenant: bool = True
    several_tenants: bool = False
    is_query: bool = False
    is_push: bool = False
    partial: bool = False
    error: ErrorAnswer | None = None

    @classmethod
    def reading(cls, name: str, handler: Handler, *paths: str) -> "Route":
        """One that tells what is stored, of several tenants too."""
        return cls(name, paths, ("GET", "POST"), handler, several_tenants=True, partial=True)

    def answer_error(self, request: Request, message: str, status: int) -> HTTPResponse:
        """A query that fails is told so without a newline at the end, as in Loki."""
        if self.error is not None:
            return self.error(request, message, status)
        return error_response(message, status) if self.partial else error_line(message, status)


@dataclass(frozen=True, slots=True)
class SocketRoute:
    """Like a route, but what the handler returns is talked over a websocket. Until then, errors are HTTP answers."""

    name: str
    paths: tuple[str, ...]
    handler: Callable[[Call], Awaitable[Conversation]]


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Sizes in bytes, times in seconds."""

    max_body_bytes: int
    read_timeout_seconds: float
    write_timeout_seconds: float
    idle_timeout_seconds: float
    path_prefix: str
    max_connections: int  # 0: no bound
    auth_enabled: bool
    no_auth_tenant: str
    several_tenants: bool
    partial_results: bool
    held_body_bytes: int  # of all requests at a time


class HttpServer:
    """Serves routes on a listening socket until it is drained."""

    def __init__(
        self,
        routes: Sequence[Route],
        sockets: Sequence[SocketRoute],
        settings: HttpSettings,
        metrics: HttpMetrics,
        clock: Clock,
        access: Access | None = None,
        tls: ServerTls | None = None,
    ) -> None:
        self._settings = settings
        self._access = access
        self._tls = tls
        self._metrics = metrics
        self._clock = clock
        self._refusals = RefusalLog(clock)
        self._draining = False
        self._open_sockets: set[Socket] = set()
        self._server: Any = None  # Sanic's AsyncioServer, whose methods have no types
        self._app: Sanic[Any, Any] = Sanic(
            f"log-aggregator-{next(_app_numbers)}",
            configure_logging=False,
            strict_slashes=True,
            request_class=BodyRequest,
        )
        self._app.ctx.date = AnswerDate(clock)
        self._app.ctx.may_send = self._may_send
        self._app.ctx.bodies = Room(settings.held_body_bytes)
        # Sanic allows no more than 16 KB, whatever its configuration says.
        Http.HEADER_CEILING = _MAX_HEADER_BYTES
        self._app.config.update(
            ACCESS_LOG=False,
            REQUEST_MAX_HEADER_SIZE=_MAX_HEADER_BYTES,
            REQUEST_BUFFER_SIZE=_MAX_HEADER_BYTES + 4096,  # of which Sanic leaves 4096 unused
            REQUEST_MAX_SIZE=settings.max_body_bytes,
            REQUEST_TIMEOUT=settings.read_timeout_seconds,
            RESPONSE_TIMEOUT=settings.write_timeout_seconds,
            KEEP_ALIVE_TIMEOUT=settings.idle_timeout_seconds,
            WEBSOCKET_PING_INTERVAL=PING_SECONDS,
            WEBSOCKET_MAX_SIZE=MAX_FRAME_BYTES,
            MAX_CONNECTIONS=settings.max_connections,
        )
        for route in routes:
            for number, path in enumerate(route.paths):
                self._app.add_route(
                    self._wrapped(route),
                    settings.path_prefix + path,
                    methods=route.methods,
                    name="_".join((route.name, *route.methods, str(number))),
                    unquote=True,
                )
        self._app.enable_websocket()
        for socket_route in sockets:
            for number, path in enumerate(socket_route.paths):
                self._app.add_route(
                    self._wrapped_socket(socket_route),
                    settings.path_prefix + path,
                    methods=("GET",),
                    name=f"{socket_route.name}_{number}",
                )
        self._app.error_handler.add(Exception, _refused)

    async def start(self, listening: socket.socket) -> None:
        arguments: dict[str, Any] = {"start_serving": False}
        if self._tls is not None:
            arguments["ssl_handshake_timeout"] = HANDSHAKE_SECONDS
        # Without knowing that it speaks one version of HTTP only, Sanic puts an empty Alt-Svc into each answer.
        self._app.state.server_info = [ApplicationServerInfo({"version": HTTP.VERSION_1})]
        server: Any = await self._app.create_server(
            sock=listening,
            ssl=None if self._tls is None else self._tls.context,
            # As many as may wait, asyncio accepts at a time; with no descriptor left, it logs a failure and plans to go
            # on in a second for each of them, so that failures and plans grow without end.
            backlog=1,
            protocol=Connection,
            return_asyncio_server=True,
            asyncio_server_kwargs=arguments,
        )
        await server.startup()
        await server.before_start()
        await server.after_start()
        await server.start_serving()
        listening.listen(socket.SOMAXCONN)
        self._server = server

    async def drain(self, deadline_seconds: float) -> None:
        """Accepts nothing more, and waits for what is under way."""
        self._draining = True
        self._server.close()
        try:
            async with timeout(deadline_seconds):
                await self._close_connections()
        except TimeoutError:
            logger.warning("requests are cut off by the shutdown", extra={"connections": len(self._server.connections)})
        for connection in list(self._server.connections):
            connection.abort()
        await self._server.before_stop()
        await self._server.after_stop()

    async def _close_connections(self) -> None:
        for websocket in self._open_sockets:
            websocket.leave()
        while self._server.connections:
            for connection in list(self._server.connections):
                if connection.websocket is None:
                    connection.close_if_idle()
            await self._clock.sleep(_POLL_SECONDS)

    def _wrapped(self, route: Route, *, ws: bool = False) -> Callable[..., Coroutine[Any, Any, HTTPResponse | None]]:
        async def serve(request: Request, **path: str) -> HTTPResponse | None:
            begun = time.perf_counter()
            inflight = self._metrics.inflight.labels(request.method, route.name)
            inflight.inc()
            status = CLIENT_GONE
            try:
                async with self._given_time(route, request):
                    response = await self._answer(route, request, path)
                status = response.status
            finally:
                assert isinstance(request, BodyRequest)
                request.release_body()
                inflight.dec()
                seconds = time.perf_counter() - begun
                self._metrics.observe(request.method, route.name, status, seconds, is_query=route.is_query, ws=ws)
            if request.responded:
                return None  # a stream, which has been sent
            if self._draining:
                response.headers["Connection"] = "close"
            return response

        return serve

    @asynccontextmanager
    async def _given_time(self, route: Route, request: Request) -> AsyncIterator[None]:
        """Lets a query take the time that its tenant's limits give it: the write timeout is for clients that do not
        read. Sanic counts from the last write, so something is written: nothing.
        """
        if not route.is_query:
            yield
            return

        protocol: Any = request.protocol

        async def keep() -> None:
            with suppress(SanicException, asyncio.CancelledError):  # the client has gone
                while True:
                    await asyncio.sleep(self._settings.write_timeout_seconds / 3)
                    await protocol.send(b"")

        keeping = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeping.cancel()

    def _wrapped_socket(self, route: SocketRoute) -> Callable[..., Coroutine[Any, Any, HTTPResponse | None]]:
        async def agree(call: Call) -> HTTPResponse:
            """Answers requests that are refused; one that is not leaves its conversation, and is answered later."""
            call.request.ctx.conversation = await route.handler(call)
            if not is_upgrade(call.request.headers):
                raise NotAWebsocket
            return HTTPResponse(status=_SWITCHING)

        plain = self._wrapped(Route(route.name, route.paths, ("GET",), agree, error=_as_text), ws=True)

        async def serve(request: Request, **path: str) -> HTTPResponse | None:
            response = await plain(request, **path)
            if response is None or response.status != _SWITCHING:
                return response
            async with upgraded(request) as websocket:
                self._open_sockets.add(websocket)
                try:
                    await websocket.talk(request.ctx.conversation)
                finally:
                    self._open_sockets.discard(websocket)
            return None

        # So Sanic knows that None is no mistake.
        serve.is_websocket = True  # type: ignore[attr-defined]
        return serve

    async def _answer(self, route: Route, request: Request, path: dict[str, str]) -> HTTPResponse:
        if self._draining:
            return route.answer_error(request, "the server is shutting down", 503)
        given, tenant = Params(), ""
        try:
            caller = await self._admitted(route, request)
            tenant = self._tenant(route, request, caller) if route.tenant else ""
            given = Params() if route.is_push else _params(request)
            with damage_left_out(allowed=route.partial and self._settings.partial_results):
                return await route.handler(Call(request, given, tenant, path))
        except Exception as raised:
            answer = self._error_answer(route, request, given, tenant, first_error(raised))
            let_go(raised)
            return answer

    def _error_answer(
        self, route: Route, request: Request, given: Params, tenant: str, error: BaseException
    ) -> HTTPResponse:
        if not isinstance(error, LogAggregatorError):
            self._metrics.panics.inc()
            logger.error("request failed", extra={"route": route.name}, exc_info=error)
            return route.answer_error(request, "internal error", 500)
        status = status_of(error)
        if route.is_push:
            self._refusals.refused(route.name, tenant, status, str(error))
        elif status >= 500:
            logger.warning("request failed", extra={"route": route.name, "status": status, "error": str(error)})
        queries = [query for name in ("query", "match", "match[]") for query in given.all(name)]
        response = route.answer_error(request, with_hint(error, queries)[:_MAX_MESSAGE], status)
        if isinstance(error, Unauthenticated):
            response.headers["WWW-Authenticate"] = CHALLENGE
        return response

    async def _may_send(self, headers: Mapping[str, str]) -> bool:
        """Whether a request's body is worth reading."""
        return self._access is None or await self._access.knows(headers.get("authorization", ""))

    async def _admitted(self, route: Route, request: Request) -> Caller | None:
        """None where nobody has to say who they are. Raises Unauthenticated, NotAllowed."""
        if self._access is None:
            return None
        authorization = request.headers.get("authorization", "")
        return await self._access.admit(route.name, tenant=route.tenant, authorization=authorization)

    def _tenant(self, route: Route, request: Request, caller: Caller | None) -> str:
        """Raises NoTenant, InvalidTenant, NotAllowed."""
        settings = self._settings
        several = route.several_tenants and settings.several_tenants
        implied = "" if caller is None else caller.implied_tenant
        tenant = tenant_of(
            request.headers, settings.auth_enabled, settings.no_auth_tenant, several=several, implied=implied
        )
        # Where there is one tenant for all, whoever may call may act for it.
        if caller is not None and settings.auth_enabled:
            caller.check_tenant(tenant)
        return tenant


def _params(request: Request) -> Params:
    form = {}
    if request.method == "POST" and "form-urlencoded" in request.headers.get("content-type", ""):
        form = _form(request.body)
    check_encoding(request.query_string)
    # As a plain mapping: `get` of Sanic's own gives only the first value.
    return Params(form, dict(request.get_args(keep_blank_values=True)))


def _form(body: bytes) -> dict[str, list[str]]:
    if len(body) > _MAX_FORM_BYTES:
        raise FormTooLarge(f"http: request body too large: a form may have {_MAX_FORM_BYTES} bytes")
    text = body.decode(errors="replace")
    check_encoding(text)
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=_MAX_FORM_FIELDS)
    except ValueError as error:
        raise InvalidParameter(f"a form may have {_MAX_FORM_FIELDS} fields") from error


def _refused(request: Request, error: Exception) -> HTTPResponse:
    """What Sanic itself refuses, or fails to route. A push path answers other methods as unknown, as in Loki.

    Like Loki, points at the clean form of a path that is unknown because it has slashes too many or dots.
    """
    is_unrouted = isinstance(error, NotFound | MethodNotAllowed) or not isinstance(error, SanicException)
    if is_unrouted and (clean := clean_url(request.raw_url)):
        return text("", status=301, headers={"Location": clean})
    if not isinstance(error, SanicException):
        logger.error("request failed", exc_info=error)
        return error_line("internal error", 500)
    if isinstance(error, NotFound):
        return error_line("404 page not found", 404)
    if isinstance(error, MethodNotAllowed):
        is_push = request.path.rpartition("/")[2] == "push"
        return error_line("404 page not found", 404) if is_push else error_line("", 405)
    if isinstance(error, PayloadTooLarge) and "header" in str(error):
        return error_line(f"URL and headers exceed {_MAX_HEADER_BYTES} bytes: send a long query by POST", 400)
    if isinstance(error, PayloadTooLarge):
        return error_line(
            f"request body too large: more than {request.app.config.REQUEST_MAX_SIZE} bytes, which is "
            "distributor.max_recv_msg_size or what the memory of the server allows",
            413,
        )
    return error_line(str(error), error.status_code or 500)
