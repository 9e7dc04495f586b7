"""The server around handlers of the tests' own. One for all tests: Sanic allows no second one in a process."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from sanic.response import HTTPResponse, text

from log_aggregator.clock import SystemClock
from log_aggregator.errors import LogAggregatorError
from log_aggregator.http.metrics import HttpMetrics
from log_aggregator.http.server import Call, HttpServer, HttpSettings, Route

WRITE_TIMEOUT_SECONDS = 0.3
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"

pytestmark = pytest.mark.asyncio(loop_scope="module")


class DatedClock(SystemClock):
    def now_ns(self) -> int:
        return 784_111_777_000_000_000


class Handlers:
    """What is sent behind the first piece of a stream is up to each test."""

    def __init__(self) -> None:
        self.pieces: Callable[[], AsyncIterator[bytes]] | None = None

    async def slow(self, _: Call) -> HTTPResponse:
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(4 * WRITE_TIMEOUT_SECONDS, done.set)
        await done.wait()
        return text("done")

    async def stream(self, call: Call) -> HTTPResponse:
        assert self.pieces is not None
        return await call.stream(b"first", self.pieces(), "text/plain")


@pytest.fixture(scope="module")
def handlers() -> Handlers:
    return Handlers()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(handlers: Handlers) -> AsyncIterator[httpx.AsyncClient]:
    settings = HttpSettings(
        max_body_bytes=1 << 20,
        read_timeout_seconds=10,
        write_timeout_seconds=WRITE_TIMEOUT_SECONDS,
        idle_timeout_seconds=10,
        path_prefix="",
        max_connections=0,
        auth_enabled=False,
        no_auth_tenant="fake",
        several_tenants=False,
        partial_results=False,
        held_body_bytes=1 << 20,
    )
    routes = (
        Route("slow", ("/slow",), ("GET",), handlers.slow, is_query=True),
        Route("stream", ("/stream",), ("GET",), handlers.stream, is_query=True),
    )
    server = HttpServer(routes, (), settings, HttpMetrics(CollectorRegistry()), DatedClock())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        await server.start(listening)
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=10) as client:
            yield client
        await server.drain(2)


async def test_query_may_take_longer_than_the_write_timeout(client: httpx.AsyncClient) -> None:
    assert (await client.get("/slow")).text == "done"


@pytest.mark.parametrize("path", ["/slow", "/none", "/a//none"])
async def test_no_header_of_an_answer_is_empty(client: httpx.AsyncClient, path: str) -> None:
    assert not {"", "None"} & set((await client.get(path)).headers.values())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/slow", 200), ("GET", "/none", 404), ("POST", "/slow", 405), ("GET", "/a//none", 301)],
)
async def test_answer_has_the_time(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.headers.get_list("Date")) == (status, [DATE])


async def test_stream_is_sent_piece_by_piece(client: httpx.AsyncClient, handlers: Handlers) -> None:
    first_is_read = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        await first_is_read.wait()
        yield b""
        yield b"second"

    handlers.pieces = pieces
    async with client.stream("GET", "/stream") as answer:
        received = answer.aiter_raw()
        assert await anext(received) == b"first"
        assert answer.headers.get_list("Date") == [DATE]
        first_is_read.set()
        assert [piece async for piece in received] == [b"second"]


@pytest.mark.parametrize("failure", [LogAggregatorError("the store is down"), ValueError("unforeseen")])
async def test_stream_that_fails_is_cut_off(client: httpx.AsyncClient, handlers: Handlers, failure: Exception) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"second"
        raise failure

    handlers.pieces = pieces
    for _ in range(2):
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await client.get("/stream")
