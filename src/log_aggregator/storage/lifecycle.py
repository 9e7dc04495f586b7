"""Expiry rules of a bucket, by which S3 itself removes old objects, also while no server of ours runs.

A bucket has one list of rules, which may hold other people's too. Ours are known by their ids; the others are put back
as they were.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from botocore.exceptions import ClientError

from log_aggregator.storage.expiry import OWN_RULES, ExpiryRule
from log_aggregator.storage.s3_client import s3_client
from log_aggregator.storage.s3_errors import our_errors
from log_aggregator.storage.s3_settings import S3Settings

_NO_RULES: Final = "NoSuchLifecycleConfiguration"


class BucketLifecycle:
    """The `ExpiryRules` of a bucket."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings

    async def apply(self, rules: Sequence[ExpiryRule]) -> bool:
        """Makes these our only rules; whether anything had to be changed.

        Between the look at the list and the change, a change by somebody else may be lost: S3 has no condition for it.
        """
        async with s3_client(self._settings) as client:
            present = await self._rules(client)
            wanted = [*(rule for rule in present if not _is_own(rule)), *map(_to_wire, sorted(rules))]
            if _own(present) == sorted(rules):
                return False
            await self._replace(client, wanted)
            return True

    async def own_rules(self) -> list[ExpiryRule]:
        """Those of ours that the bucket has."""
        async with s3_client(self._settings) as client:
            return _own(await self._rules(client))

    async def _rules(self, client: Any) -> list[Mapping[str, Any]]:
        bucket = self._settings.bucket
        with our_errors("get lifecycle rules", bucket):
            try:
                answer = await client.get_bucket_lifecycle_configuration(Bucket=bucket)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == _NO_RULES:
                    return []
                raise
        return list(answer.get("Rules", []))

    async def _replace(self, client: Any, rules: Sequence[Mapping[str, Any]]) -> None:
        bucket = self._settings.bucket
        if rules:
            with our_errors("put lifecycle rules", bucket):
                await client.put_bucket_lifecycle_configuration(
                    Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)}
                )
        else:
            with our_errors("delete lifecycle rules", bucket):
                await client.delete_bucket_lifecycle(Bucket=bucket)


def _is_own(rule: Mapping[str, Any]) -> bool:
    return str(rule.get("ID", "")).startswith(OWN_RULES)


def _own(rules: Sequence[Mapping[str, Any]]) -> list[ExpiryRule]:
    """In order. One of ours that somebody has changed beyond recognition has 0 days."""
    return sorted(
        ExpiryRule(
            str(rule["ID"]).removeprefix(OWN_RULES),
            int(rule.get("Expiration", {}).get("Days", 0)) if _is_in_force(rule) else 0,
        )
        for rule in rules
        if _is_own(rule)
    )


def _is_in_force(rule: Mapping[str, Any]) -> bool:
    prefix = str(rule["ID"]).removeprefix(OWN_RULES)
    return rule.get("Status") == "Enabled" and rule.get("Filter", {}).get("Prefix", rule.get("Prefix")) == prefix


def _to_wire(rule: ExpiryRule) -> Mapping[str, Any]:
    return {
        "ID": rule.rule_id,
        "Status": "Enabled",
        "Filter": {"Prefix": rule.prefix},
        "Expiration": {"Days": rule.days},
    }
