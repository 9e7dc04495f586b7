"""Live tails on running servers: two replicas with one Redis and one store, slow readers, flushes, and ends."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.frames import Opcode

from servers import LogAggregator, RedisServer
from waiting import until

CONFIG = """
limits_config:
  discover_service_name: []
  discover_log_levels: false
  max_concurrent_tail_requests: 3
  ingestion_rate_mb: 1000
  ingestion_burst_size_mb: 1000
  per_stream_rate_limit: 1GB
  per_stream_rate_limit_burst: 1GB
"""
DEADLINE_SECONDS = 20.0
Start = Callable[..., LogAggregator]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    directory = tmp_path_factory.mktemp("tail")
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())

        def started(*flags: str) -> LogAggregator:
            """With a directory for itself, and chunks where the others have them."""
            chunks = f"-common.storage.filesystem.chunks-directory={directory / 'chunks'}"
            shared = (f"-redis.url={redis.url}", "-redis.lease-seconds=1", chunks)
            return stack.enter_context(LogAggregator("-workers=1", *shared, *flags, config=CONFIG))

        yield started


@pytest.fixture(scope="module")
def here(start: Start) -> LogAggregator:
    return start()


@pytest.fixture(scope="module")
def there(start: Start) -> LogAggregator:
    return start()


@pytest.fixture
def app(request: pytest.FixtureRequest) -> str:
    """Each test has a stream for itself."""
    return str(request.node.name)


async def push(server: LogAggregator, app: str, *lines: str, metadata: dict[str, str] | None = None) -> None:
    now_ns = time.time_ns()
    values: list[list[Any]] = [[str(now_ns + number), line] for number, line in enumerate(lines)]
    if metadata is not None:
        values = [[*value, metadata] for value in values]
    async with httpx.AsyncClient(base_url=server.url) as client:
        body = {"streams": [{"stream": {"app": app}, "values": values}]}
        answer = await client.post("/loki/api/v1/push", json=body, timeout=DEADLINE_SECONDS)
    assert answer.status_code == 204, answer.text


async def flush(server: LogAggregator) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.post("/flush", timeout=DEADLINE_SECONDS)).status_code == 204


def tail(server: LogAggregator, query: str, path: str = "/loki/api/v1/tail", **options: Any) -> connect:
    headers = options.pop("headers", None)
    connection = options.pop("connection", {})
    url = httpx.URL(f"{server.url}{path}", params={"query": query, **options})
    return connect(str(url).replace("http", "ws", 1), additional_headers=headers, **connection)


async def frames(connection: ClientConnection) -> AsyncIterator[dict[str, Any]]:
    while True:
        yield json.loads(await asyncio.wait_for(connection.recv(), DEADLINE_SECONDS))


async def lines_until(connection: ClientConnection, last: str) -> list[str]:
    found: list[str] = []
    async for frame in frames(connection):
        found += [value[1] for stream in frame["streams"] for value in stream["values"]]
        if last in found:
            return found
    raise AssertionError


async def close_reason(connection: ClientConnection) -> tuple[int, str]:
    async with asyncio.timeout(DEADLINE_SECONDS):
        await connection.wait_closed()
    assert connection.close_code is not None
    return connection.close_code, connection.close_reason or ""


async def test_shows_the_newest_of_the_past_and_then_what_any_replica_accepts(
    here: LogAggregator, there: LogAggregator, app: str
) -> None:
    await push(there, app, "old 1", "old 2", "old 3")
    async with tail(here, f'{{app="{app}"}}', limit=2) as connection:
        assert await lines_until(connection, "old 3") == ["old 2", "old 3"]
        await push(there, app, "from there")
        await lines_until(connection, "from there")
        await push(here, app, "from here")
        await lines_until(connection, "from here")


async def test_arrives_within_a_second(here: LogAggregator, there: LogAggregator, app: str) -> None:
    async with tail(here, f'{{app="{app}"}}') as connection:
        await push(there, app, "first")
        await lines_until(connection, "first")
        seconds = []
        for number in range(5):
            pushed = time.monotonic()
            await push(there, app, f"line {number}")
            await lines_until(connection, f"line {number}")
            seconds.append(time.monotonic() - pushed)
        assert min(seconds) < 1  # the machine may be busy at times


async def test_filters_and_parsers_apply(here: LogAggregator, app: str) -> None:
    async with tail(here, f'{{app="{app}"}} |= "yes" | logfmt | n > 1 | line_format "{{{{.n}}}}"') as connection:
        await push(here, app, "yes n=1", "no n=2", "yes n=3")
        async for frame in frames(connection):
            (stream,) = frame["streams"]
            assert stream["stream"] == {"app": app, "n": "3"}
            assert [value[1] for value in stream["values"]] == ["3"]
            return


async def test_labels_are_categorized_on_request(here: LogAggregator, app: str) -> None:
    flags = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
    async with tail(here, f'{{app="{app}"}} | logfmt', headers=flags) as connection:
        await push(here, app, "n=1", metadata={"trace": "t"})
        async for frame in frames(connection):
            (stream,) = frame["streams"]
            assert frame["encodingFlags"] == ["categorize-labels"]
            assert stream["stream"] == {"app": app}
            assert stream["values"][0][2] == {"structuredMetadata": {"trace": "t"}, "parsed": {"n": "1"}}
            return


async def test_legacy_route_has_its_own_shape(here: LogAggregator, app: str) -> None:
    async with tail(here, f'{{app="{app}"}}', "/api/prom/tail") as connection:
        await push(here, app, "a line")
        async for frame in frames(connection):
            (stream,) = frame["streams"]
            assert stream["labels"] == f'{{app="{app}"}}'
            assert [entry["line"] for entry in stream["entries"]] == ["a line"]
            return


async def test_delay_holds_entries_back_and_orders_them(here: LogAggregator, app: str) -> None:
    await push(here, app, "past")
    async with tail(here, f'{{app="{app}"}}', delay_for=1) as connection:
        await lines_until(connection, "past")
        pushed = time.monotonic()
        await asyncio.gather(*(push(here, app, f"line {number}") for number in range(5)))
        async for frame in frames(connection):
            times = [int(value[0]) for stream in frame["streams"] for value in stream["values"]]
            assert time.monotonic() - pushed >= 1
            assert times == sorted(times)
            return


@pytest.mark.parametrize(
    ("query", "options", "message"),
    [
        ("{bad", {}, "parse error at line 1, col 5: syntax error: unexpected $end, expecting = or =~ or !~ or !="),
        ('{app="x"}', {"delay_for": 6}, "delay_for can't be greater than 5"),
        ('{app="x"}', {"limit": 0}, "limit must be a positive value"),
        (
            '{app="x"}',
            {"start": "x"},
            "could not parse 'start' parameter: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
    ],
)
async def test_bad_requests_are_refused_before_the_upgrade(
    here: LogAggregator, query: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with tail(here, query, **options):
            pass
    assert refused.value.response.status_code == 400
    assert len(refused.value.response.headers.get_all("Date")) == 1
    assert (refused.value.response.body or b"").decode().splitlines()[0] == message


async def test_upgrade_has_the_time_once(here: LogAggregator) -> None:
    async with tail(here, '{app="x"}') as connection:
        assert connection.response is not None
        assert len(connection.response.headers.get_all("Date")) == 1


async def test_a_request_without_upgrade_is_refused(here: LogAggregator) -> None:
    async with httpx.AsyncClient(base_url=here.url) as client:
        assert (await client.get("/loki/api/v1/tail", params={"query": '{app="x"}'})).status_code == 400


async def test_metric_queries_are_closed(here: LogAggregator) -> None:
    async with tail(here, 'rate({app="x"}[1m])') as connection:
        assert await close_reason(connection) == (1011, "only log selector is supported")


async def test_tails_of_a_tenant_are_limited(there: LogAggregator, app: str) -> None:
    """No other test has tails there, whose ends might come late."""
    async with AsyncExitStack() as stack:
        query = f'{{app="{app}"}}'
        allowed = [await stack.enter_async_context(tail(there, query)) for _ in range(3)]
        refused = await stack.enter_async_context(tail(there, query))
        expected = "max concurrent tail requests limit exceeded, count > limit (4 > 3)"
        assert await close_reason(refused) == (1011, expected)
        await push(there, app, "a line")
        assert [await lines_until(one, "a line") for one in allowed] == [["a line"]] * 3


async def test_tails_end_after_a_while(start: Start, app: str) -> None:
    server = start("-querier.tail-max-duration=100ms")
    async with tail(server, f'{{app="{app}"}}') as connection:
        assert await close_reason(connection) == (1011, "reached tail max duration limit")


async def test_pings(here: LogAggregator, app: str) -> None:
    pings = asyncio.Event()

    class Pinged(ClientConnection):
        def process_event(self, event: Any) -> None:
            if getattr(event, "opcode", None) is Opcode.PING:
                pings.set()
            super().process_event(event)

    async with tail(here, f'{{app="{app}"}}', connection={"create_connection": Pinged}):
        await asyncio.wait_for(pings.wait(), DEADLINE_SECONDS)


async def test_nothing_is_lost_or_shown_twice_while_flushes_run(
    here: LogAggregator, there: LogAggregator, app: str
) -> None:
    expected = [f"{server} {number}" for number in range(30) for server in ("here", "there")]
    async with tail(here, f'{{app="{app}"}}') as connection:
        reading = asyncio.create_task(lines_until(connection, "the end"))

        async def pushing(name: str, server: LogAggregator) -> None:
            for number in range(30):
                await push(server, app, f"{name} {number}")
                if number % 10 == 9:
                    await flush(server)

        await asyncio.gather(pushing("here", here), pushing("there", there))
        await push(here, app, "the end")
        found = await reading
    assert sorted(found) == sorted([*expected, "the end"])


async def test_a_replica_that_starts_is_followed_and_one_that_is_killed_is_taken_over(
    here: LogAggregator, start: Start, app: str
) -> None:
    async with tail(here, f'{{app="{app}"}}') as connection, httpx.AsyncClient(base_url=here.url) as client:
        await push(here, app, "before")
        assert await lines_until(connection, "before") == ["before"]
        logs_before = await logs(client)
        other = start()
        await push(other, app, "new log")
        other.kill()
        assert await lines_until(connection, "new log") == ["new log"]

        async def is_taken_over() -> bool:
            return await logs(client) == logs_before

        await until(is_taken_over)
        await push(here, app, "after")
        assert await lines_until(connection, "after") == ["after"]


async def logs(client: httpx.AsyncClient) -> set[str]:
    return set(re.findall(r"holds write-ahead log (\w+)", (await client.get("/ring")).text))


async def test_slow_reader_is_told_what_was_dropped_and_goes_on(here: LogAggregator, app: str) -> None:
    slow = {"max_queue": 1, "compression": None}
    async with tail(here, f'{{app="{app}"}}', connection=slow) as connection:
        await push(here, app, "begin")
        assert await lines_until(connection, "begin") == ["begin"]
        for number in range(30):
            await push(here, app, *(f"{number} {line} {'x' * 1000}" for line in range(1000)))
        dropped: list[dict[str, Any]] = []
        shown = 0
        async for frame in frames(connection):
            shown += sum(len(stream["values"]) for stream in frame["streams"])
            dropped += frame.get("dropped_entries", [])
            if dropped:
                break
        assert 0 < shown < 30_000
        assert dropped[0]["labels"] == {"app": app}
        assert int(dropped[0]["timestamp"]) > 0
        await push(here, app, "the end")
        await lines_until(connection, "the end")


async def test_shutdown_closes_tails(start: Start, app: str) -> None:
    server = start()
    async with tail(server, f'{{app="{app}"}}') as connection:
        await push(server, app, "a line")
        await lines_until(connection, "a line")
        begun = time.monotonic()
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        assert (await close_reason(connection))[0] == 1001
        await stopping
        assert time.monotonic() - begun < 5
