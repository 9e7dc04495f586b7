"""The blocks of Loki's configuration file that this program honours, and its own. Names and defaults are Loki's.

Durations are in nanoseconds, sizes in bytes. Source: Loki's configuration reference.
"""

from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from log_aggregator.config.roles import Role
from log_aggregator.http.tls import MinVersion, TlsSettings
from log_aggregator.model.access import AuthSettings
from log_aggregator.model.limits import Limits
from log_aggregator.model.otlp import DEFAULT_INDEX_LABELS
from log_aggregator.model.quantity import ByteSize, Duration
from log_aggregator.model.section import OptionalPath, Section
from log_aggregator.storage.filesystem import FilesystemSettings
from log_aggregator.storage.s3_settings import S3Settings

_SECOND_NS = 1_000_000_000
_MINUTE_NS = 60 * _SECOND_NS
_HOUR_NS = 60 * _MINUTE_NS

_ONE_REDIS: Final = ("redis", "rediss", "unix")
_SEVERAL_REDIS: Final = ("redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")

LogLevel = Literal["debug", "info", "warn", "error"]


def _path_prefix(prefix: str) -> str:
    """Without a slash at the end: the routes begin with one."""
    prefix = prefix.rstrip("/")
    if prefix and not prefix.startswith("/"):
        raise ValueError("must begin with /")
    return prefix


class ServerSettings(Section):
    http_listen_address: str = ""  # all interfaces
    http_listen_port: int = Field(default=3100, ge=0, le=65535)  # 0: any free port
    http_listen_conn_limit: int = Field(default=0, ge=0)  # 0: none
    http_path_prefix: Annotated[str, AfterValidator(_path_prefix)] = ""
    http_tls_config: TlsSettings = TlsSettings()
    tls_min_version: MinVersion = ""
    http_server_read_timeout: Duration = 30 * _SECOND_NS
    http_server_write_timeout: Duration = 30 * _SECOND_NS
    http_server_idle_timeout: Duration = 120 * _SECOND_NS
    graceful_shutdown_timeout: Duration = 30 * _SECOND_NS
    log_level: LogLevel = "info"


def _known_redis(url: SecretStr) -> SecretStr:
    """The messages repeat nothing of a URL, which may hold a password."""
    parts = urlsplit(url.get_secret_value())
    if parts.geturl() and parts.scheme not in (*_ONE_REDIS, *_SEVERAL_REDIS):
        raise ValueError(
            "must begin with redis://, rediss:// or unix://, or for several servers with redis+sentinel:// or "
            "redis+cluster:// (rediss+ for TLS)"
        )
    if parts.scheme in _ONE_REDIS:
        try:
            _ = parts.port
        except ValueError:
            raise ValueError("the port is no number from 0 to 65535") from None
    return url


class RedisSettings(Section):
    """Our own block. Without a URL, a Redis-compatible server is started in the data directory."""

    url: Annotated[SecretStr, AfterValidator(_known_redis)] = SecretStr("")
    prefix: str = "log-aggregator"
    lease_seconds: float = Field(default=15.0, gt=0)
    wait_replicas: int = Field(default=0, ge=0)
    wait_timeout: Duration = Field(default=_SECOND_NS, gt=0, le=5 * _SECOND_NS)


class CommonFilesystemSettings(Section):
    chunks_directory: OptionalPath = None


class CommonStorageSettings(Section):
    s3: S3Settings | None = None
    filesystem: CommonFilesystemSettings | None = None


class CommonSettings(Section):
    path_prefix: OptionalPath = None
    storage: CommonStorageSettings = CommonStorageSettings()


class ThanosFilesystemSettings(Section):
    dir: Path


class ObjectStoreSettings(Section):
    """The second spelling of a store, which Loki took over from Thanos."""

    s3: S3Settings | None = None
    filesystem: ThanosFilesystemSettings | None = None


class StorageSettings(Section):
    aws: S3Settings | None = None
    filesystem: FilesystemSettings | None = None
    object_store: ObjectStoreSettings = ObjectStoreSettings()
    use_thanos_objstore: bool = False
    shared_store: str = ""  # of boltdb_shipper or tsdb_shipper


class IndexPeriodSettings(Section):
    prefix: str = ""
    period: Duration = 0  # 0: a day


class PeriodSettings(Section):
    """`store` and `schema` name formats that are not ours, and change nothing."""

    from_: str = Field(default="", alias="from")
    store: str = ""
    object_store: str = ""
    schema_: str = Field(default="", alias="schema")
    index: IndexPeriodSettings = IndexPeriodSettings()


class SchemaSettings(Section):
    configs: tuple[PeriodSettings, ...] = ()


class GlobalOtlpSettings(Section):
    default_resource_attributes_as_index_labels: tuple[str, ...] = DEFAULT_INDEX_LABELS


class DistributorSettings(Section):
    max_recv_msg_size: ByteSize = 100 << 20
    max_decompressed_size: ByteSize = 5000 << 20
    otlp_config: GlobalOtlpSettings = GlobalOtlpSettings()


class IngesterSettings(Section):
    chunk_idle_period: Duration = 30 * _MINUTE_NS
    max_chunk_age: Duration = 2 * _HOUR_NS
    chunk_target_size: ByteSize = 1_572_864
    max_returned_stream_errors: int = Field(default=10, ge=0)
    max_buffer_bytes: ByteSize = 0  # ours; 0: a share of the memory that there is, at most 512 MB


class QuerierSettings(Section):
    max_concurrent: int = Field(default=4, gt=0)
    tail_max_duration: Duration = _HOUR_NS
    multi_tenant_queries_enabled: bool = False
    per_request_limits_enabled: bool = False
    fan_out_row_groups: int = Field(default=16, gt=0)  # ours
    partial_results: bool = False  # ours
    allow_instant_log_queries: bool = True  # ours: Loki answers such queries with an error


class QueryRangeSettings(Section):
    cache_results: bool = True  # Loki's default is false; ours can show no outdated answer


class FrontendSettings(Section):
    max_outstanding_per_tenant: int = Field(default=2048, gt=0)
    log_queries_longer_than: Duration = 0
    support_parquet_encoding: bool = False


class CompactorSettings(Section):
    retention_enabled: bool = False
    compaction_interval: Duration = 10 * _MINUTE_NS
    retention_delete_delay: Duration = 2 * _HOUR_NS
    delete_request_cancel_period: Duration = 24 * _HOUR_NS
    delete_max_interval: Duration = 24 * _HOUR_NS


class PatternIngesterSettings(Section):
    enabled: bool = False


class RuntimeSettings(Section):
    file: str = ""  # or several, comma-separated; the later ones win
    period: Duration = 10 * _SECOND_NS


def _known_target(target: str) -> str:
    Role.of_target(target)
    return target


class Config(Section):
    """Everything that can be configured."""

    target: Annotated[str, AfterValidator(_known_target)] = "all"
    auth_enabled: bool = False
    no_auth_tenant: str = "fake"
    workers: int = Field(default=0, ge=0)  # ours; 0: one in embedded mode, else one per core
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()  # ours
    redis: RedisSettings = RedisSettings()
    common: CommonSettings = CommonSettings()
    storage_config: StorageSettings = StorageSettings()
    schema_config: SchemaSettings = SchemaSettings()
    distributor: DistributorSettings = DistributorSettings()
    ingester: IngesterSettings = IngesterSettings()
    querier: QuerierSettings = QuerierSettings()
    frontend: FrontendSettings = FrontendSettings()
    query_range: QueryRangeSettings = QueryRangeSettings()
    limits_config: Limits = Limits()
    compactor: CompactorSettings = CompactorSettings()
    pattern_ingester: PatternIngesterSettings = PatternIngesterSettings()
    runtime_config: RuntimeSettings = RuntimeSettings()
