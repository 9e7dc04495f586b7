"""Objects in a bucket of S3 or of a server that speaks its protocol."""

import asyncio
import base64
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from log_aggregator.clock import timeout
from log_aggregator.errors import LogAggregatorError
from log_aggregator.storage.errors import RangeOutsideObject
from log_aggregator.storage.s3_client import s3_client
from log_aggregator.storage.s3_errors import our_errors
from log_aggregator.storage.s3_settings import S3Settings, SseSettings
from log_aggregator.storage.store import ByteRange, ObjectMeta, check_key, check_prefix

_SECOND_NS = 1_000_000_000
_MICROSECOND_NS = 1_000
_MEBIBYTE = 1 << 20
# Of one delete or one multipart upload.
_CONCURRENT_REQUESTS = 8
_ABORT_SECONDS = 5.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MultipartSizes:
    """An object larger than `threshold_bytes` is put in parts of `part_bytes`. S3 wants 5 MiB to 5 GiB a part."""

    threshold_bytes: int = 64 * _MEBIBYTE
    part_bytes: int = 8 * _MEBIBYTE


_SIZES = MultipartSizes()
Result = TypeVar("Result")


class S3Store:
    """Each call is one attempt: wrap it in `Retrying`. Made by `open_s3_store`."""

    def __init__(self, client: Any, resources: AsyncExitStack, settings: S3Settings, sizes: MultipartSizes) -> None:
        self._client = client
        self._resources = resources
        self._bucket = settings.bucket
        self._timeout_seconds = settings.http_config.timeout / _SECOND_NS or None
        self._of_new_objects = _of_new_objects(settings)
        self._sizes = sizes

    async def get(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        which = {} if byte_range is None else {"Range": f"bytes={byte_range.start}-{byte_range.end - 1}"}
        async with self._request("get", check_key(key)):
            response = await self._client.get_object(Bucket=self._bucket, Key=key, **which)
            async with response["Body"] as body:
                data: bytes = await body.read()
        if byte_range is not None and len(data) != byte_range.length:
            # A server cuts the range off at the object's end.
            raise RangeOutsideObject(
                f"get of {self._bucket}/{key}: {len(data)} bytes for [{byte_range.start}, {byte_range.end})"
            )
        return data

    async def head(self, key: str) -> ObjectMeta:
        async with self._request("head", check_key(key)):
            response = await self._client.head_object(Bucket=self._bucket, Key=key)
        return ObjectMeta(key, response["ContentLength"], _to_ns(response["LastModified"]))

    async def put(self, key: str, data: bytes | memoryview, *, if_absent: bool = False) -> None:
        # A condition on an upload in parts is too new for most servers, and one request may carry 5 GiB.
        if len(data) > self._sizes.threshold_bytes and not if_absent:
            await self._put_in_parts(check_key(key), memoryview(data))
        else:
            await self._put_at_once(check_key(key), bytes(data), {"IfNoneMatch": "*"} if if_absent else {})

    async def delete(self, keys: Sequence[str]) -> None:
        # One request per key: not every server that speaks S3 knows the request for many, and S3 does not bill either.
        slots = asyncio.Semaphore(_CONCURRENT_REQUESTS)
        await _all_of(self._delete_one(check_key(key), slots) for key in keys)

    async def list_prefixes(self, prefix: str) -> Sequence[str]:
        pages = self._pages(check_prefix(prefix), Delimiter="/")
        return sorted([child["Prefix"] async for page in pages for child in page.get("CommonPrefixes", [])])

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectMeta]:
        # All keys before the first is given out: SeaweedFS lists in the order of a directory walk, and its StartAfter
        # follows that order. Python compares strings by code point, which is the order of their UTF-8 bytes.
        found = [item async for page in self._pages(check_prefix(prefix)) for item in page.get("Contents", [])]
        for item in sorted(found, key=_key):
            if _key(item) > after:
                yield ObjectMeta(_key(item), item["Size"], _to_ns(item["LastModified"]))

    async def close(self) -> None:
        await self._resources.aclose()

    @asynccontextmanager
    async def _request(self, operation: str, key: str) -> AsyncIterator[None]:
        with our_errors(operation, f"{self._bucket}/{key}"):
            async with timeout(self._timeout_seconds):
                yield

    async def _pages(self, prefix: str, **options: str) -> AsyncIterator[Mapping[str, Any]]:
        token: dict[str, str] = {}
        while True:
            async with self._request("list", prefix):
                page = await self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **options, **token)
            yield page
            if not page["IsTruncated"]:
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    async def _delete_one(self, key: str, slots: asyncio.Semaphore) -> None:
        async with slots, self._request("delete", key):
            await self._client.delete_object(Bucket=self._bucket, Key=key)

    async def _put_at_once(self, key: str, data: bytes, condition: Mapping[str, str]) -> None:
        async with self._request("put", key):
            await self._client.put_object(Bucket=self._bucket, Key=key, Body=data, **self._of_new_objects, **condition)

    async def _put_in_parts(self, key: str, data: memoryview) -> None:
        async with self._request("put", key):
            started = await self._client.create_multipart_upload(Bucket=self._bucket, Key=key, **self._of_new_objects)
        upload = {"Bucket": self._bucket, "Key": key, "UploadId": started["UploadId"]}
        try:
            slots = asyncio.Semaphore(_CONCURRENT_REQUESTS)
            starts = range(0, len(data), self._sizes.part_bytes)
            parts = await _all_of(
                self._put_part(upload, number, data[start : start + self._sizes.part_bytes], slots)
                for number, start in enumerate(starts, 1)
            )
            async with self._request("put", key):
                await self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            # Also when cancelled: parts without an object are stored, and billed, for ever.
            with suppress(LogAggregatorError):
                await self._abort(key, upload)
            raise

    async def _put_part(
        self, upload: Mapping[str, str], number: int, data: memoryview, slots: asyncio.Semaphore
    ) -> Mapping[str, str | int]:
        async with slots, self._request("put", upload["Key"]):
            response = await self._client.upload_part(**upload, PartNumber=number, Body=bytes(data))
        return {"PartNumber": number, "ETag": response["ETag"]}

    async def _abort(self, key: str, upload: Mapping[str, str]) -> None:
        async with self._request("put", key), timeout(_ABORT_SECONDS):
            await self._client.abort_multipart_upload(**upload)


async def open_s3_store(settings: S3Settings, sizes: MultipartSizes = _SIZES) -> S3Store:
    """A store in the bucket, which must exist. Does not connect yet; close it."""
    async with AsyncExitStack() as resources:
        client = await resources.enter_async_context(s3_client(settings))
        return S3Store(client, resources.pop_all(), settings, sizes)


def _of_new_objects(settings: S3Settings) -> dict[str, str]:
    """What a put says about the object besides its bytes."""
    encryption = {
        "": {},
        "SSE-S3": {"ServerSideEncryption": "AES256"},
        "SSE-KMS": {"ServerSideEncryption": "aws:kms", **_kms(settings.sse)},
    }[settings.sse.type]
    # Servers other than Amazon's may refuse even the name of the default class.
    storage_class = {} if settings.storage_class == "STANDARD" else {"StorageClass": settings.storage_class}
    return {**encryption, **storage_class}


def _kms(sse: SseSettings) -> dict[str, str]:
    key = {"SSEKMSKeyId": sse.kms_key_id} if sse.kms_key_id else {}
    if not sse.kms_encryption_context:
        return key
    return {**key, "SSEKMSEncryptionContext": base64.b64encode(sse.kms_encryption_context.encode()).decode()}


def _key(item: Mapping[str, Any]) -> str:
    key: str = item["Key"]
    return key


def _to_ns(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * _MICROSECOND_NS


async def _all_of(coroutines: Iterable[Coroutine[None, None, Result]]) -> list[Result]:
    """Their results. The first failure cancels the others and is raised by itself, for a caller that may retry."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
