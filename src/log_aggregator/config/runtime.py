"""Limits by tenant: Loki's runtime configuration file, read again every period."""

import asyncio
import logging
from pathlib import Path
from typing import Any, Final

from log_aggregator.clock import Clock
from log_aggregator.config.document import Block, Scalar, parse_document, plain
from log_aggregator.config.errors import ConfigError
from log_aggregator.config.load import Findings, check_selectors, sift, validated
from log_aggregator.config.sections import RuntimeSettings
from log_aggregator.model.limits import Limits

logger = logging.getLogger(__name__)

_SECOND_NS: Final = 1_000_000_000
_OVERRIDES: Final = "overrides"
# Other things that Loki can change at run time, none of which exist here.
_IGNORED: Final = frozenset({"configs", "multi_kv_config"})


class TenantLimits:
    """Call it for a tenant's limits."""

    def __init__(self, defaults: Limits, settings: RuntimeSettings, clock: Clock) -> None:
        """Reads the files, which must exist if the settings name any. Raises ConfigError."""
        self._defaults = defaults
        self._settings = settings
        self._clock = clock
        self._overrides = self._read()

    def __call__(self, tenant: str) -> Limits:
        return self._overrides.get(tenant, self._defaults)

    async def run(self) -> None:
        """Reads the files whenever the period is over; what cannot be read changes nothing. Runs until cancelled."""
        reported = ""
        while True:
            await self._clock.sleep(self._settings.period / _SECOND_NS)
            try:
                overrides = await asyncio.to_thread(self._read)
            except ConfigError as error:
                if str(error) != reported:
                    logger.error("the runtime configuration is not valid, the last valid one stays", extra=_of(error))
                reported = str(error)
                continue
            reported = ""
            if overrides != self._overrides:
                logger.info("the limits of tenants have changed", extra={"tenants": len(overrides)})
                self._overrides = overrides

    def _read(self) -> dict[str, Limits]:
        """Later files win, key by key."""
        overrides: dict[str, Any] = {}
        for name in filter(None, (name.strip() for name in self._settings.file.split(","))):
            for tenant, block in _tenants(Path(name)).items():
                limits = validated(Limits, block, over=overrides.get(tenant, self._defaults.model_dump()), above=tenant)
                check_selectors(limits, block, name=tenant)
                overrides[tenant] = limits.model_dump()
        return {tenant: Limits.model_validate(values) for tenant, values in overrides.items()}


def _tenants(file: Path) -> dict[str, Block]:
    try:
        document = parse_document(file.read_text(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    if strange := [entry for name, entry in document.entries.items() if name not in (_OVERRIDES, *_IGNORED)]:
        raise ConfigError(f"{strange[0].place}: unknown key; overrides is what can be set here")
    overrides = document.entries.get(_OVERRIDES)
    if overrides is None or plain(overrides.node) is None:
        return {}
    if not isinstance(overrides.node, Block):
        raise ConfigError(f"{overrides.place}: overrides must be a mapping from tenants to limits")
    found = Findings()
    tenants = {}
    for tenant, entry in overrides.node.entries.items():
        block = Block({}, entry.place) if entry.node == Scalar(None, entry.node.place) else entry.node
        if not isinstance(block, Block):
            raise ConfigError(f"{entry.place}: the limits of {tenant} must be a mapping")
        sift(block, Limits, ("limits_config",), found)
        tenants[tenant] = block
    if found.unknown:
        raise ConfigError("\n".join(found.unknown))
    return tenants


def _of(error: ConfigError) -> dict[str, str]:
    return {"error": str(error)}
