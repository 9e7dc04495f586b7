"""Where data lies: which object store, which data directory, which index period. Decided as Loki decides."""

from collections.abc import Mapping
from pathlib import Path

from log_aggregator.config.errors import ConfigError
from log_aggregator.config.sections import Config
from log_aggregator.storage.filesystem import FilesystemSettings
from log_aggregator.storage.s3_settings import S3Settings

_DEFAULT_DATA_DIRECTORY = Path("data")
_DATA_VARIABLE = "LOG_AGGREGATOR_DATA"
_DAY_NS = 86_400 * 1_000_000_000
_S3_KINDS = frozenset({"s3", "aws"})


def store_of(config: Config, data_directory: Path) -> S3Settings | FilesystemSettings:
    """The settings of the object store in use. Raises ConfigError."""
    kind, key = _kind(config)
    if kind in _S3_KINDS:
        return _s3(config)
    if kind == "filesystem":
        return FilesystemSettings(directory=_configured_directory(config) or data_directory / "chunks")
    raise ConfigError(
        f"{key}: object store '{kind}' is not supported: use s3 (also for gcs, through its S3 "
        "interoperability) or filesystem"
    )


def s3_in_use(config: Config) -> tuple[str, S3Settings] | None:
    """The block that says where the object store is, and its key, if that is one of S3."""
    return _configured_s3(config) if _kind(config)[0] in _S3_KINDS else None


def data_directory_of(config: Config, environment: Mapping[str, str]) -> Path:
    """The one directory for everything that is kept on this machine.

    Without a path prefix, what the environment names counts; then the parent of a configured chunk directory, since
    that is where the operator has mounted a volume.
    """
    if config.common.path_prefix is not None:
        return config.common.path_prefix
    if named := environment.get(_DATA_VARIABLE):
        return Path(named)
    chunks = _configured_directory(config)
    return chunks.parent if chunks is not None else _DEFAULT_DATA_DIRECTORY


def index_period_ns(config: Config) -> int:
    """Of the newest schema period."""
    periods = config.schema_config.configs
    return (periods[-1].index.period if periods else 0) or _DAY_NS


def _kind(config: Config) -> tuple[str, str]:
    """And the key that says so, "" where none does."""
    periods = config.schema_config.configs
    if periods and periods[-1].object_store:
        return periods[-1].object_store, f"schema_config.configs[{len(periods) - 1}].object_store"
    if config.storage_config.shared_store:
        return config.storage_config.shared_store, "storage_config.shared_store"
    return ("s3" if _configured_s3(config) is not None else "filesystem"), ""


def _s3(config: Config) -> S3Settings:
    found = _configured_s3(config)
    if found is None:
        raise ConfigError("the object store is s3, but neither storage_config.aws nor common.storage.s3 says where")
    return found[1]


def _configured_s3(config: Config) -> tuple[str, S3Settings] | None:
    """And its key."""
    storage = config.storage_config
    places = [
        ("storage_config.aws", storage.aws),
        ("common.storage.s3", config.common.storage.s3),
        ("storage_config.object_store.s3", storage.object_store.s3),
    ]
    if storage.use_thanos_objstore:
        places.reverse()
    return next(((key, settings) for key, settings in places if settings is not None), None)


def _configured_directory(config: Config) -> Path | None:
    storage, common = config.storage_config, config.common.storage
    if storage.filesystem is not None:
        return storage.filesystem.directory
    if common.filesystem is not None and common.filesystem.chunks_directory is not None:
        return common.filesystem.chunks_directory
    thanos = storage.object_store.filesystem
    return thanos.dir if thanos is not None else None
