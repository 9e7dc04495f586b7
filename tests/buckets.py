"""Buckets of S3 servers, which in production somebody else makes."""

from contextlib import suppress

from log_aggregator.storage.s3_client import s3_client
from log_aggregator.storage.s3_settings import S3Settings


async def ensure_bucket(settings: S3Settings) -> None:
    """Creates the bucket unless it is there."""
    async with s3_client(settings) as client:
        with suppress(client.exceptions.BucketAlreadyOwnedByYou):
            await client.create_bucket(Bucket=settings.bucket)
