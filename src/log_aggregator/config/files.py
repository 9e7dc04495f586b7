"""Which file is read, and everything from there to the `Loaded` configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from log_aggregator.config.document import Block, Place, parse_document
from log_aggregator.config.environment import from_environment
from log_aggregator.config.errors import ConfigError
from log_aggregator.config.expansion import expand
from log_aggregator.config.flags import Flags
from log_aggregator.config.load import Loaded, load
from log_aggregator.config.sections import Config

# The last name is what a ConfigMap gives that was made from `loki-config.yml`.
_USUAL: Final = tuple(
    Path("/etc/loki") / f"{name}.{suffix}"
    for name in ("cli-config", "local-config", "config", "loki-config")
    for suffix in ("yml", "yaml")
)


@dataclass(frozen=True, slots=True)
class Configuration:
    config: Config
    file: Path | None  # None: defaults
    notes: Sequence[str]
    """For the operator, one line each."""
    schema_key: str  # as in Loaded
    strict: bool  # unknown keys are refused, in runtime files too


def configure(flags: Flags, environment: Mapping[str, str]) -> Configuration:
    """Raises ConfigError."""
    file = _file(flags.config_files)
    from_variables, strange = from_environment(environment)
    loaded = load(
        _document(file, environment if flags.expand_env else None),
        [*from_variables, *flags.given],
        strict=flags.strict,
    )
    notes = [
        *loaded.warnings,
        *(f"the environment variable {name} sets nothing that is known here" for name in strange),
        *_notes(loaded),
    ]
    return Configuration(loaded.config, file, notes, loaded.schema_key, flags.strict)


def _file(named: Sequence[str]) -> Path | None:
    candidates = tuple(map(Path, named)) or _USUAL
    found = next((path for path in candidates if path.exists() and not path.is_dir()), None)  # a pipe is read as well
    if found is None and named:
        raise ConfigError(f"-config.file: none of these files exists: {', '.join(named)}")
    return found


def _document(file: Path | None, environment: Mapping[str, str] | None) -> Block:
    """Expands variables if an environment is given."""
    if file is None:
        return Block({}, Place("defaults"))
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    return parse_document(text if environment is None else expand(text, environment), str(file))


def _notes(loaded: Loaded) -> list[str]:
    config, notes = loaded.config, []
    if loaded.ignored:
        notes.append("keys without an effect here: " + ", ".join(sorted(set(loaded.ignored))))
    periods = config.schema_config.configs
    if any(period.store or period.schema_ for period in periods):
        notes.append("schema_config: store and schema are accepted, the stored format is this program's own")
    if len({period.index.period for period in periods}) > 1:
        notes.append("schema_config: the newest index.period holds for all times")
    limits = config.limits_config
    if (limits.retention_period or limits.retention_stream) and not config.compactor.retention_enabled:
        notes.append("a retention period is set, but nothing is deleted unless compactor.retention_enabled is true")
    return notes
