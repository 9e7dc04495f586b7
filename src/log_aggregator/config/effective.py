"""The configuration in force, as YAML for people."""

import yaml

from log_aggregator.config.sections import Config


def config_yaml(config: Config, mode: str = "") -> str:
    """All of it; with mode `diffs` what differs from the defaults, with `defaults` those. Secrets are masked."""
    shown = Config() if mode == "defaults" else config
    values = shown.model_dump(mode="json", by_alias=True, exclude_defaults=mode == "diffs")
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
