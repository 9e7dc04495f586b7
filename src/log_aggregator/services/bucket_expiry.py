"""Retention in the bucket's own rules: a second pair of hands for whole tenants, which works while no server runs."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from log_aggregator.errors import LogAggregatorError
from log_aggregator.formats.keys import chunks_prefix, index_prefix
from log_aggregator.model.limits import Limits
from log_aggregator.services.retention import Retention
from log_aggregator.storage.expiry import ExpiryRule, ExpiryRules

logger = logging.getLogger(__name__)

_DAY_NS: Final = 86_400 * 1_000_000_000
# S3 takes 1000 rules a bucket, ours are two a tenant, and others may want some.
_MAX_TENANTS: Final = 400
_LONGEST_DAYS: Final = 36_500


class BucketExpiry:
    """Where the server refuses such rules, the janitor works alone; that is said once."""

    def __init__(self, lifecycle: ExpiryRules, limits_of: Callable[[str], Limits]) -> None:
        self._lifecycle = lifecycle
        self._limits_of = limits_of
        self._complaint = ""

    async def apply(self, tenants: Sequence[str]) -> None:
        """Lets the bucket expire what the janitor would remove anyway, a day or more later."""
        rules = [rule for tenant in sorted(tenants)[:_MAX_TENANTS] for rule in self._rules(tenant)]
        try:
            changed = await self._lifecycle.apply(rules)
            found = await self._lifecycle.own_rules() if changed else rules
        except LogAggregatorError as error:
            if rules and str(error) != self._complaint:
                logger.warning("the bucket has no expiry rules of ours", extra={"error": str(error)})
            self._complaint = str(error)
            return
        self._complaint = ""
        if changed:
            logger.info(
                "expiry rules of the bucket", extra={"rules": [f"{rule.prefix} {rule.days}d" for rule in found]}
            )

    def _rules(self, tenant: str) -> list[ExpiryRule]:
        limits = self._limits_of(tenant)
        # S3 counts from when an object was written. What is in it is older, or ahead by no more than the grace period.
        age_ns = Retention(limits).longest_ns + limits.creation_grace_period + _DAY_NS
        days = -(-age_ns // _DAY_NS)
        if days > _LONGEST_DAYS:
            return []
        return [ExpiryRule(prefix, days) for prefix in (chunks_prefix(tenant), index_prefix(tenant))]
