"""The configuration in force, as YAML for people."""

import yaml

from log_aggregator.config.sections import Config


def config_yaml(config: Config) -> str:
    """Secrets are masked."""
    return yaml.safe_dump(config.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True)
