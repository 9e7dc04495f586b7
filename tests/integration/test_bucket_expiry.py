"""Expiry rules of a bucket: ours follow the limits, other people's stay."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from buckets import ensure_bucket
from log_aggregator.model.limits import Limits
from log_aggregator.services.bucket_expiry import BucketExpiry
from log_aggregator.storage.expiry import ExpiryRule
from log_aggregator.storage.lifecycle import BucketLifecycle
from log_aggregator.storage.s3_client import s3_client
from log_aggregator.storage.s3_settings import S3Settings
from servers import LogAggregator, MotoServer

DAY_NS = 86_400 * 1_000_000_000
FOREIGN: dict[str, Any] = {
    "ID": "theirs",
    "Status": "Enabled",
    "Filter": {"Prefix": "reports/"},
    "Expiration": {"Days": 3},
}


@pytest.fixture(scope="module")
def server() -> Iterator[MotoServer]:
    with MotoServer() as started:
        yield started


@pytest.fixture
async def settings(server: MotoServer, request: pytest.FixtureRequest) -> S3Settings:
    made = S3Settings.model_validate(server.settings(f"bucket-{abs(hash(request.node.name))}"))
    await ensure_bucket(made)
    return made


async def rules_of(settings: S3Settings) -> list[Any]:
    async with s3_client(settings) as client:
        answer = await client.get_bucket_lifecycle_configuration(Bucket=settings.bucket)
    found: list[Any] = answer["Rules"]
    return found


async def put_rules(settings: S3Settings, *rules: dict[str, Any]) -> None:
    async with s3_client(settings) as client:
        await client.put_bucket_lifecycle_configuration(
            Bucket=settings.bucket, LifecycleConfiguration={"Rules": list(rules)}
        )


async def test_rules_are_made_changed_and_removed(settings: S3Settings) -> None:
    lifecycle = BucketLifecycle(settings)
    assert await lifecycle.own_rules() == []
    assert await lifecycle.apply([ExpiryRule("one/chunks/", 7), ExpiryRule("two/chunks/", 30)])
    assert await lifecycle.own_rules() == [ExpiryRule("one/chunks/", 7), ExpiryRule("two/chunks/", 30)]
    assert not await lifecycle.apply([ExpiryRule("two/chunks/", 30), ExpiryRule("one/chunks/", 7)])
    assert await lifecycle.apply([ExpiryRule("one/chunks/", 8)])
    assert await lifecycle.own_rules() == [ExpiryRule("one/chunks/", 8)]
    assert await lifecycle.apply([])
    assert await lifecycle.own_rules() == []


async def test_rules_of_others_stay_as_they_are(settings: S3Settings) -> None:
    await put_rules(settings, FOREIGN)
    lifecycle = BucketLifecycle(settings)
    await lifecycle.apply([ExpiryRule("one/chunks/", 7)])
    before = [rule for rule in await rules_of(settings) if rule["ID"] == "theirs"]
    await lifecycle.apply([])
    assert await rules_of(settings) == before
    assert before[0]["Expiration"] == FOREIGN["Expiration"]


async def test_a_rule_of_ours_that_was_switched_off_is_restored(settings: S3Settings) -> None:
    lifecycle = BucketLifecycle(settings)
    await lifecycle.apply([ExpiryRule("one/chunks/", 7)])
    (rule,) = await rules_of(settings)
    await put_rules(settings, rule | {"Status": "Disabled"})
    assert await lifecycle.apply([ExpiryRule("one/chunks/", 7)])
    assert await lifecycle.own_rules() == [ExpiryRule("one/chunks/", 7)]


async def test_each_tenant_expires_no_sooner_than_its_limits_say(settings: S3Settings) -> None:
    limits = {
        "week": Limits(retention_period=7 * DAY_NS),
        "for-ever": Limits(),
        "streams": Limits.model_validate(
            {"retention_period": "24h", "retention_stream": [{"selector": '{a="b"}', "period": "72h"}]}
        ),
    }
    await BucketExpiry(BucketLifecycle(settings), limits.__getitem__).apply(list(limits))
    # A day for the future that pushes may reach into, rounded up, and a day to be sure.
    assert await BucketLifecycle(settings).own_rules() == [
        ExpiryRule("streams/chunks/", 5),
        ExpiryRule("streams/index/", 5),
        ExpiryRule("week/chunks/", 9),
        ExpiryRule("week/index/", 9),
    ]


async def test_the_rules_in_force_are_shown(server: MotoServer, settings: S3Settings) -> None:
    await put_rules(settings, FOREIGN)
    await BucketLifecycle(settings).apply([ExpiryRule("one/chunks/", 7)])
    config = json.dumps({"common": {"storage": {"s3": server.settings(settings.bucket)}}})
    with LogAggregator(config=config) as replica:
        async with httpx.AsyncClient(base_url=replica.url) as client:
            answer = await client.get("/compactor/lifecycle")
    assert answer.json() == {"rules": [{"id": "log-aggregator one/chunks/", "prefix": "one/chunks/", "days": 7}]}


def test_files_have_no_rules() -> None:
    with LogAggregator() as server:
        assert httpx.get(f"{server.url}/compactor/lifecycle").json() == {"rules": []}
