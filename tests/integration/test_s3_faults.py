"""What the S3 store makes of servers that fail, refuse, dawdle, die and come back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from random import Random

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from buckets import ensure_bucket
from log_aggregator.clock import SystemClock
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.storage.circuit import CircuitBreaker, CircuitPolicy
from log_aggregator.storage.errors import (
    ObjectExists,
    ObjectNotFound,
    RangeOutsideObject,
    StorePermissionDenied,
    StoreRefused,
    StoreUnavailable,
)
from log_aggregator.storage.metered import StoreMetrics
from log_aggregator.storage.probe import ConditionalPut, probe_conditional_put
from log_aggregator.storage.retrying import Retrying, RetryPolicy
from log_aggregator.storage.s3 import MultipartSizes, S3Store, open_s3_store
from log_aggregator.storage.s3_settings import BackoffSettings, HttpSettings, S3Settings, SseSettings
from log_aggregator.storage.stack import open_store
from log_aggregator.storage.store import ByteRange, ObjectStore
from scripted_s3 import Answer, Request, ScriptedS3, refusal
from servers import ACCESS_KEY, SECRET_KEY, MotoServer, SeaweedServer, free_port

MEBIBYTE = 1 << 20
MILLISECOND_NS = 1_000_000
Operation = Callable[[ObjectStore], Awaitable[object]]
# Patient enough for a server that starts again meanwhile; the pauses are what a test may wait for in vain.
PATIENT = RetryPolicy(min_pause_seconds=0.02, max_pause_seconds=0.1, max_attempts=10_000, deadline_seconds=60)


def settings_for(url: str, timeout_ms: int = 10_000, secret: str = SECRET_KEY, bucket: str = "bucket") -> S3Settings:
    return S3Settings(
        endpoint=url,
        bucketnames=bucket,
        region="us-east-1",
        access_key_id=ACCESS_KEY,
        secret_access_key=SecretStr(secret),
        s3forcepathstyle=True,
        http_config=HttpSettings(timeout=timeout_ms * MILLISECOND_NS),
        backoff_config=BackoffSettings(min_period=MILLISECOND_NS, max_period=2 * MILLISECOND_NS),
    )


@asynccontextmanager
async def opened(settings: S3Settings, sizes: MultipartSizes | None = None) -> AsyncIterator[S3Store]:
    store = await open_s3_store(settings, sizes or MultipartSizes())
    try:
        yield store
    finally:
        await store.close()


async def first_keys(store: ObjectStore) -> list[str]:
    return [meta.key async for meta in store.list("a/")]


OPERATIONS: dict[str, Operation] = {
    "get": lambda store: store.get("a/key"),
    "head": lambda store: store.head("a/key"),
    "put": lambda store: store.put("a/key", b"content"),
    "delete": lambda store: store.delete(["a/key", "a/other"]),
    "list": first_keys,
    "list_prefixes": lambda store: store.list_prefixes("a/"),
}


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (500, "InternalError", StoreUnavailable),
        (502, "", StoreUnavailable),
        (503, "SlowDown", StoreUnavailable),
        (429, "TooManyRequests", StoreUnavailable),
        (403, "AccessDenied", StorePermissionDenied),
        (403, "InvalidAccessKeyId", StorePermissionDenied),
        (401, "Unauthorized", StorePermissionDenied),
        (301, "PermanentRedirect", StoreRefused),
        (400, "InvalidRequest", StoreRefused),
        (501, "NotImplemented", StoreRefused),
    ],
)
async def test_failing_answers(status: int, code: str, error: type[LogAggregatorError]) -> None:
    async with ScriptedS3(lambda request: refusal(status, code)) as server, opened(settings_for(server.url)) as store:
        for operation in OPERATIONS.values():
            with pytest.raises(error, match=rf"^\w+ of bucket/a/.*: status {status}") as caught:
                await operation(store)
            assert caught.value.code is ErrorCode.UNAVAILABLE
            assert SECRET_KEY not in str(caught.value)
            assert ACCESS_KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (refusal(404, "NoSuchKey"), ObjectNotFound, "get of bucket/a/key: status 404 NoSuchKey: because"),
        (refusal(404, "NoSuchBucket"), StoreRefused, "get of bucket/a/key: status 404 NoSuchBucket: because"),
        (refusal(416, "InvalidRange"), RangeOutsideObject, "get of bucket/a/key: status 416 InvalidRange: because"),
        (refusal(400, "RequestTimeout"), StoreUnavailable, "get of bucket/a/key: status 400 RequestTimeout: because"),
        (refusal(400, "ExpiredToken"), StorePermissionDenied, "get of bucket/a/key: status 400 ExpiredToken: because"),
        (
            refusal(403, "RequestTimeTooSkewed", ""),
            StoreUnavailable,
            "get of bucket/a/key: status 403 RequestTimeTooSkewed",
        ),
        (
            refusal(403, "InvalidObjectState", ""),
            StoreRefused,
            "get of bucket/a/key: status 403 InvalidObjectState",
        ),
    ],
)
async def test_codes_that_mean_more_than_their_status(
    answer: Answer, error: type[LogAggregatorError], message: str
) -> None:
    async with ScriptedS3(lambda request: answer) as server, opened(settings_for(server.url)) as store:
        with pytest.raises(error) as caught:
            await store.get("a/key")
    assert str(caught.value) == message


async def test_put_that_collides_is_transient_and_one_that_lost_is_not() -> None:
    answers = iter([refusal(409, "ConditionalRequestConflict"), refusal(412, "PreconditionFailed")])
    async with ScriptedS3(lambda request: next(answers)) as server, opened(settings_for(server.url)) as store:
        with pytest.raises(StoreUnavailable):
            await store.put("a/key", b"", if_absent=True)
        with pytest.raises(ObjectExists):
            await store.put("a/key", b"", if_absent=True)


async def test_silent_server_times_out() -> None:
    async with ScriptedS3(lambda request: None) as server, opened(settings_for(server.url, timeout_ms=500)) as store:
        for operation in OPERATIONS.values():
            with pytest.raises(StoreUnavailable, match=r"of bucket/a/.*: TimeoutError$"):
                await operation(store)


async def test_refused_connection_is_unavailable() -> None:
    async with opened(settings_for(f"http://127.0.0.1:{free_port()}")) as store:
        for operation in OPERATIONS.values():
            with pytest.raises(StoreUnavailable, match="Could not connect to the endpoint"):
                await operation(store)


async def test_half_an_object_is_not_returned() -> None:
    half = Answer(200, b"half", missing_bytes=4)
    async with ScriptedS3(lambda request: half) as server, opened(settings_for(server.url)) as store:
        with pytest.raises(StoreUnavailable, match="get of bucket/a/key"):
            await store.get("a/key")


async def test_server_that_ignores_ranges_is_noticed() -> None:
    async with (
        ScriptedS3(lambda request: Answer(200, b"everything")) as server,
        opened(settings_for(server.url)) as store,
    ):
        with pytest.raises(RangeOutsideObject, match=r"10 bytes for \[2, 4\)"):
            await store.get("a/key", ByteRange(2, 4))


async def test_answer_of_something_else_than_s3_is_unavailable() -> None:
    page = Answer(200, b"<html>Welcome to the <b>proxy</html>", headers=(("Content-Type", "text/html"),))
    async with ScriptedS3(lambda request: page) as server, opened(settings_for(server.url)) as store:
        with pytest.raises(StoreUnavailable, match="list of bucket/a/"):
            await first_keys(store)


async def test_retries_until_the_server_recovers() -> None:
    answers = iter([refusal(503, "SlowDown"), refusal(500, "InternalError"), Answer(200, b"content")])
    metrics = StoreMetrics(CollectorRegistry())
    async with ScriptedS3(lambda request: next(answers)) as server:
        store = await open_store(settings_for(server.url), metrics, SystemClock())
        assert await store.get("a/key") == b"content"
        await store.close()
        assert [request.target for request in server.requests] == ["/bucket/a/key"] * 3


async def test_bad_credentials_cause_no_storm() -> None:
    policy = CircuitPolicy(refusals=3, cool_down_seconds=3600)
    async with ScriptedS3(lambda request: refusal(403, "AccessDenied")) as server:
        async with opened(settings_for(server.url)) as inner:
            store = Retrying(CircuitBreaker(inner, policy, SystemClock()), PATIENT, SystemClock(), Random(0))
            for _ in range(20):
                with pytest.raises(StorePermissionDenied):
                    await store.put("a/key", b"content")
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("conditional", "found"),
    [(Answer(200), ConditionalPut.IGNORED), (refusal(501, "NotImplemented"), ConditionalPut.REFUSED)],
)
async def test_probe_finds_servers_without_conditional_put(conditional: Answer, found: ConditionalPut) -> None:
    def answer(request: Request) -> Answer:
        return conditional if "if-none-match" in request.headers else Answer(200)

    async with ScriptedS3(answer) as server, opened(settings_for(server.url)) as store:
        assert await probe_conditional_put(store, "a/") is found
        assert [request.method for request in server.requests] == ["PUT", "PUT", "DELETE"]


STARTED = Answer(200, b"<R><Bucket>bucket</Bucket><Key>a/key</Key><UploadId>42</UploadId></R>")
TWO_PARTS = MultipartSizes(threshold_bytes=4, part_bytes=4)


def is_abort(request: Request) -> bool:
    return request.method == "DELETE" and "uploadId=42" in request.target


async def test_upload_that_fails_is_aborted() -> None:
    def answer(request: Request) -> Answer:
        if request.method == "POST":
            return STARTED
        if "partNumber=2" in request.target:
            return refusal(500, "InternalError")
        return Answer(200, headers=(("ETag", '"1"'),))

    async with ScriptedS3(answer) as server, opened(settings_for(server.url), TWO_PARTS) as store:
        with pytest.raises(StoreUnavailable, match="put of bucket/a/key: status 500 InternalError"):
            await store.put("a/key", b"12345678")
        assert is_abort(server.requests[-1])


async def test_upload_that_is_cancelled_is_aborted() -> None:
    def answer(request: Request) -> Answer | None:
        if request.method == "POST":
            return STARTED
        return None if request.method == "PUT" else Answer(204)

    async with ScriptedS3(answer) as server, opened(settings_for(server.url), TWO_PARTS) as store:
        put = asyncio.create_task(store.put("a/key", b"12345678"))
        await server.wait_for_request(lambda request: request.method == "PUT")
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        assert is_abort(server.requests[-1])


async def test_puts_carry_encryption_and_storage_class() -> None:
    def settings(url: str) -> S3Settings:
        sse = SseSettings(type="SSE-KMS", kms_key_id="the-key", kms_encryption_context='{"a": "b"}')
        return settings_for(url).model_copy(update={"sse": sse, "storage_class": "STANDARD_IA"})

    async with ScriptedS3(lambda request: Answer(200)) as server, opened(settings(server.url)) as store:
        await store.put("a/key", b"content")
        headers = server.requests[0].headers
    assert headers["x-amz-server-side-encryption"] == "aws:kms"
    assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "the-key"
    assert headers["x-amz-server-side-encryption-context"] == "eyJhIjogImIifQ=="
    assert headers["x-amz-storage-class"] == "STANDARD_IA"


async def test_plain_puts_ask_for_nothing_special() -> None:
    async with ScriptedS3(lambda request: Answer(200)) as server, opened(settings_for(server.url)) as store:
        await store.put("a/key", b"content")
        headers = server.requests[0].headers
    assert not [name for name in headers if name.startswith(("x-amz-server-side", "x-amz-storage", "x-amz-checksum"))]


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoServer]:
    with MotoServer() as server:
        yield server


@pytest.fixture(scope="module")
def seaweed() -> Iterator[SeaweedServer]:
    with SeaweedServer() as server:
        yield server


async def test_put_waits_for_a_server_that_restarts(moto: MotoServer) -> None:
    settings = settings_for(moto.url)
    await ensure_bucket(settings)
    async with opened(settings) as inner:
        store = Retrying(inner, PATIENT, SystemClock(), Random(0))
        await store.put("a/before", b"1")
        moto.kill()
        with pytest.raises(StoreUnavailable):
            await inner.get("a/before")
        waiting = asyncio.create_task(store.get("a/before"))
        await asyncio.to_thread(moto.restart)
        with pytest.raises((ObjectNotFound, StoreRefused)):  # it has forgotten its bucket
            await waiting
        await ensure_bucket(settings)
        await store.put("a/after", b"2")
        assert await store.get("a/after") == b"2"


async def test_paused_server_times_out_and_recovers(moto: MotoServer) -> None:
    await ensure_bucket(settings_for(moto.url))
    async with opened(settings_for(moto.url)) as patient:
        await patient.put("a/key", b"1")
    async with opened(settings_for(moto.url, timeout_ms=300)) as store:
        moto.pause()
        try:
            with pytest.raises(StoreUnavailable, match="TimeoutError"):
                await store.get("a/key")
        finally:
            moto.resume()
        assert await Retrying(store, PATIENT, SystemClock(), Random(0)).get("a/key") == b"1"


async def test_missing_bucket_is_not_a_missing_object(moto: MotoServer) -> None:
    async with opened(settings_for(moto.url, bucket="nowhere")) as store:
        with pytest.raises(StoreRefused, match="NoSuchBucket"):
            await store.get("a/key")
        with pytest.raises(StoreRefused, match="NoSuchBucket"):
            await store.put("a/key", b"")
        with pytest.raises(StoreRefused, match="NoSuchBucket"):
            await first_keys(store)


async def test_wrong_secret_is_permission_denied(seaweed: SeaweedServer) -> None:
    await ensure_bucket(settings_for(seaweed.url))
    async with opened(settings_for(seaweed.url, secret="not-the-secret")) as store:
        for operation in OPERATIONS.values():
            with pytest.raises(StorePermissionDenied, match="status 403") as caught:
                await operation(store)
            assert "not-the-secret" not in str(caught.value)


async def test_objects_survive_the_kill_of_a_real_server(seaweed: SeaweedServer) -> None:
    settings = settings_for(seaweed.url)
    await ensure_bucket(settings)
    async with opened(settings) as inner:
        store = Retrying(inner, PATIENT, SystemClock(), Random(0))
        for number in range(20):
            await store.put(f"kill/{number}", b"%d" % number)
        seaweed.kill()
        with pytest.raises(StoreUnavailable):
            await inner.get("kill/0")
        waiting = asyncio.create_task(store.put("kill/20", b"20"))
        await asyncio.to_thread(seaweed.restart)
        await waiting
        for number in range(21):
            assert await store.get(f"kill/{number}") == b"%d" % number
