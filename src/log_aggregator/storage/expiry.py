"""Rules by which a store itself removes old objects, also while no server of ours runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

OWN_RULES: Final = "log-aggregator "
"""What the ids of our rules begin with."""


@dataclass(frozen=True, slots=True, order=True)
class ExpiryRule:
    """Objects below the prefix go so many days after they were written."""

    prefix: str
    days: int

    @property
    def rule_id(self) -> str:
        return f"{OWN_RULES}{self.prefix}"


class ExpiryRules(Protocol):
    """Raises StoreUnavailable, StorePermissionDenied; StoreRefused where the server does not know such rules."""

    async def apply(self, rules: Sequence[ExpiryRule]) -> bool:
        """Makes these our only rules; whether anything had to be changed."""
        ...

    async def own_rules(self) -> list[ExpiryRule]:
        """Those of ours that the store has."""
        ...
