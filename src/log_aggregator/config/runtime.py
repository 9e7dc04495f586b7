"""Limits by tenant: Loki's runtime configuration file, read again every period."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge

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


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the files say."""

    limits: Mapping[str, Limits]  # by tenant
    warnings: Sequence[str]
    """Unknown keys, where these are not refused."""


def read_overrides(defaults: Limits, settings: RuntimeSettings, *, strict: bool) -> Overrides:
    """Later files win, key by key. They must exist if the settings name any. Raises ConfigError."""
    values: dict[str, Any] = {}
    warnings: list[str] = []
    for name in filter(None, (name.strip() for name in settings.file.split(","))):
        tenants, unknown = _tenants(Path(name))
        if strict and unknown:
            raise ConfigError("\n".join(unknown))
        warnings += unknown
        for tenant, block in tenants.items():
            limits = validated(Limits, block, over=values.get(tenant, defaults.model_dump()), above=tenant)
            check_selectors(limits, block, name=tenant)
            values[tenant] = limits.model_dump()
    return Overrides({tenant: Limits.model_validate(own) for tenant, own in values.items()}, warnings)


class TenantLimits:
    """Call it for a tenant's limits."""

    def __init__(
        self,
        defaults: Limits,
        settings: RuntimeSettings,
        clock: Clock,
        registry: CollectorRegistry,
        *,
        strict: bool = True,
    ) -> None:
        """Reads the files. Unless `strict`, unknown keys in them are warned of. Raises ConfigError."""
        self._defaults = defaults
        self._period_seconds = settings.period / _SECOND_NS
        self._clock = clock
        self._read = partial(read_overrides, defaults, settings, strict=strict)
        self._overrides = self._read()
        self._is_valid = Gauge(
            "loki_runtime_config_last_reload_successful",
            "Whether the files of runtime_config were valid when they were last read",
            multiprocess_mode="min",
            registry=registry,
        )
        self._is_valid.set(1)
        _warn(self._overrides)

    def __call__(self, tenant: str) -> Limits:
        return self._overrides.limits.get(tenant, self._defaults)

    async def run(self) -> None:
        """Reads the files whenever the period is over; what cannot be read changes nothing. Runs until cancelled."""
        reported = ""
        while True:
            await self._clock.sleep(self._period_seconds)
            try:
                overrides = await asyncio.to_thread(self._read)
            except ConfigError as error:
                self._is_valid.set(0)
                if str(error) != reported:
                    logger.error("the runtime configuration is not valid, the last valid one stays", extra=_of(error))
                reported = str(error)
                continue
            self._is_valid.set(1)
            reported = ""
            if overrides.warnings != self._overrides.warnings:
                _warn(overrides)
            if overrides.limits != self._overrides.limits:
                logger.info("the limits of tenants have changed", extra={"tenants": len(overrides.limits)})
            self._overrides = overrides


def _tenants(file: Path) -> tuple[dict[str, Block], list[str]]:
    """And messages about unknown keys."""
    try:
        document = parse_document(file.read_text(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    strange = [entry for name, entry in document.entries.items() if name not in (_OVERRIDES, *_IGNORED)]
    unknown = [f"{entry.place}: unknown key; overrides is what can be set here" for entry in strange]
    overrides = document.entries.get(_OVERRIDES)
    if overrides is None or plain(overrides.node) is None:
        return {}, unknown
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
    return tenants, unknown + found.unknown


def _warn(overrides: Overrides) -> None:
    for warning in overrides.warnings:
        logger.warning(warning)


def _of(error: ConfigError) -> dict[str, str]:
    return {"error": str(error)}
