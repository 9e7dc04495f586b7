"""The command line in the form of Go's flag package: `-name=value`, `-name value`, `-switch`, with one dash or two."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from log_aggregator.config.document import Place
from log_aggregator.config.environment import node_of
from log_aggregator.config.errors import ConfigError
from log_aggregator.config.keys import IGNORED, RENAMED
from log_aggregator.config.load import Given
from log_aggregator.config.schema import Path, leaf_fields
from log_aggregator.config.sections import Config

_TRUE: Final = frozenset({"1", "t", "true"})
_FALSE: Final = frozenset({"0", "f", "false"})

# Flags about the configuration itself; the value says whether each is a switch.
_OPTIONS: Final = {
    "config.file": False,
    "config.expand-env": True,
    "config.strict": True,
    "verify-config": True,
    "print-config-stderr": True,
    "log-config-reverse-order": True,
    "list-targets": True,
    "version": True,
    "help": True,
    "h": True,
}
# Loki's flags whose names do not follow from their keys.
_LOKIS: Final[Mapping[str, Path]] = {
    "auth.enabled": ("auth_enabled",),
    "auth.no-auth-tenant": ("no_auth_tenant",),
    "common.storage.filesystem.chunk-directory": ("common", "storage", "filesystem", "chunks_directory"),
    "distributor.otlp.default_resource_attributes_as_index_labels": (
        "distributor",
        "otlp_config",
        "default_resource_attributes_as_index_labels",
    ),
    "ingester.chunks-idle-period": ("ingester", "chunk_idle_period"),
    "ingester.max-ignored-stream-errors": ("ingester", "max_returned_stream_errors"),
    "local.chunk-directory": ("storage_config", "filesystem", "directory"),
    "log.level": ("server", "log_level"),
    "querier.max-outstanding-requests-per-tenant": ("frontend", "max_outstanding_per_tenant"),
    "store.retention": ("limits_config", "retention_period"),
    "runtime-config.reload-period": ("runtime_config", "period"),
    "server.http-conn-limit": ("server", "http_listen_conn_limit"),
    "server.http-idle-timeout": ("server", "http_server_idle_timeout"),
    "server.http-read-timeout": ("server", "http_server_read_timeout"),
    "server.http-tls-ca-path": ("server", "http_tls_config", "client_ca_file"),
    "server.http-tls-cert-path": ("server", "http_tls_config", "cert_file"),
    "server.http-tls-client-auth": ("server", "http_tls_config", "client_auth_type"),
    "server.http-tls-key-path": ("server", "http_tls_config", "key_file"),
    "server.http-write-timeout": ("server", "http_server_write_timeout"),
    "server.path-prefix": ("server", "http_path_prefix"),
}
_LOKIS_LIMITS: Final = {
    "compactor": "deletion-mode",
    "distributor": """
        ingestion-burst-size-mb ingestion-rate-limit-mb=ingestion_rate_mb
        ingestion-rate-limit-strategy=ingestion_rate_strategy max-line-size max-line-size-truncate
        max-line-size-truncate-identifier
    """,
    "frontend": "max-cache-freshness=max_cache_freshness_per_query max-querier-bytes-read max-query-bytes-read",
    "ingester": "max-global-streams-per-user per-stream-rate-limit per-stream-rate-limit-burst",
    "limits": """
        block-ingestion-status-code block-ingestion-until max-structured-metadata-entries-count
        max-structured-metadata-size volume-enabled volume-max-series
    """,
    "querier": """
        max-concurrent-tail-requests max-query-lookback max-query-parallelism max-query-range max-query-series
        max-streams-matcher-per-query=max_streams_matchers_per_query split-queries-by-interval
        tsdb-max-query-parallelism
    """,
    "store": "max-query-length",
    "validation": """
        allow-structured-metadata create-grace-period=creation_grace_period discover-log-levels
        increment-duplicate-timestamps=increment_duplicate_timestamp log-level-from-json-max-depth
        max-entries-limit=max_entries_limit_per_query max-label-names-per-series
        max-length-label-name=max_label_name_length max-length-label-value=max_label_value_length reject-old-samples
        reject-old-samples.max-age=reject_old_samples_max_age
    """,
}
_LOKIS_S3: Final = """
    access-key-id buckets=bucketnames endpoint force-path-style=s3forcepathstyle http.ca-file=http_config.ca_file
    http.idle-conn-timeout=http_config.idle_conn_timeout
    http.insecure-skip-verify=http_config.insecure_skip_verify
    http.response-header-timeout=http_config.response_header_timeout http.timeout=http_config.timeout insecure
    max-backoff=backoff_config.max_period max-retries=backoff_config.max_retries min-backoff=backoff_config.min_period
    region secret-access-key session-token signature-version sse.kms-encryption-context sse.kms-key-id sse.type
    storage-class url=s3
"""
_S3_BLOCKS: Final = {"s3": "storage_config.aws", "common.storage.s3": "common.storage.s3"}
_OF_RINGS: Final = """
    availability-zone enable-inet6 final-sleep heartbeat-period heartbeat-timeout join-after lifecycler
    min-ready-duration multi num-tokens observe-period partition-ring prefix readiness-check-ring-health ring store
    tokens-file-path unregister-on-shutdown
"""
# Flags of Loki's that have no key of their name, and mean nothing here: these, and all that have a dot behind them.
_NOT_HERE: Final = {
    "": """
        bloom bloom-gateway-client consul dataobj-consumer dataobj-index-builder dataobj-metastore
        dataobj-storage-bucket-prefix etcd kafka legacy-read-mode log.format multi replication-factor reporting.enabled
        ring shard-streams tsdb
    """,
    "common.storage": "hedge-max-per-second hedge-requests-at hedge-requests-up-to ring",
    "compactor": "client grpc-client jobs ring worker",
    "distributor": "excluded-zones replication-factor ring zone-awareness-enabled",
    "frontend": """
        background compression default-validity embedded-cache index-stats-results-cache instance-addr instance-port
        instant-metric-results-cache label-results-cache max-metadata-cache-freshness max-queriers-per-tenant
        max-query-capacity max-stats-cache-freshness memcached min-sharding-lookback redis series-results-cache
        volume-results-cache
    """,
    "ingester": f"""
        {_OF_RINGS} checkpoint-duration chunks-block-size chunks-retain-period client flush-on-shutdown
        flush-op-backoff-max-period flush-op-backoff-min-period flush-op-backoff-retries kafka-ingestion-enabled wal-dir
        wal-disk-full-threshold wal-enabled wal-replay-memory-ceiling
    """,
    "pattern-ingester": f"""
        {_OF_RINGS} client client-cleanup-period distributor health-check-ingesters remote-timeout sample-interval tee
    """,
    "querier": """
        align-querier-with-step cache-index-stats-results cache-instant-metric-results cache-label-results cache-results
        cache-series-results cache-volume-results compress-http-responses dns-lookup-period frontend-address
        frontend-client frontend-grpc-client id instant-metric-query-split-align max-retries-per-request
        parallelise-shardable-queries scheduler-address scheduler-grpc-client shard-aggregations
        split-ingester-queries-by-interval split-instant-metric-queries-by-interval split-metadata-queries-by-interval
        tsdb-max-bytes-per-shard tsdb-precompute-chunks
    """,
    "s3": "chunk-delimiter disable-dualstack",
    "server": """
        grpc grpc-conn-limit grpc-max-concurrent-streams grpc-max-recv-msg-size-bytes grpc-max-send-msg-size-bytes
        grpc-tls-ca-path grpc-tls-cert-path grpc-tls-client-auth grpc-tls-key-path http-read-header-timeout throughput
    """,
    "store": """
        cardinality-limit chunks-cache chunks-cache-l2 congestion-control hedge-max-per-second hedge-requests-at
        hedge-requests-up-to index-cache-read max-chunk-batch-size max-parallel-get-chunk query-chunk-limit
    """,
}
_IGNORED: Final = frozenset(
    f"{block}.{name}".removeprefix(".") for block, names in _NOT_HERE.items() for name in names.split()
)


@dataclass(frozen=True, slots=True)
class Flags:
    config_files: tuple[str, ...]  # the first that exists is read; empty: look in the usual places
    expand_env: bool
    strict: bool
    verify_config: bool
    print_config: bool
    log_config: bool  # from its last line to the first, as log viewers turn lines round
    list_targets: bool
    version: bool
    help: bool
    given: tuple[Given, ...]  # values of keys


def keys_by_flag() -> dict[str, Path]:
    """Every key's flag is its dotted path, with dashes; some have Loki's own name as well."""
    renamed = [tuple(old.split(".")) for old in RENAMED]
    paths = [*leaf_fields(Config), *renamed]
    return {".".join(path).replace("_", "-"): path for path in paths} | dict(_LOKIS) | _lokis_limits() | _lokis_s3()


def _lokis_limits() -> dict[str, Path]:
    return {
        f"{block}.{name}": ("limits_config", *key)
        for block, names in _LOKIS_LIMITS.items()
        for name, key in _named_keys(names)
    }


def _lokis_s3() -> dict[str, Path]:
    return {
        f"{flag}.{name}": (*block.split("."), *key)
        for flag, block in _S3_BLOCKS.items()
        for name, key in _named_keys(_LOKIS_S3)
    }


def _named_keys(names: str) -> Iterable[tuple[str, Path]]:
    """In a table, the name of a flag is followed by its key where that is not the name with underscores."""
    for name, _, key in (name.partition("=") for name in names.split()):
        yield name, tuple((key or name.replace("-", "_")).split("."))


def parse_flags(arguments: Sequence[str]) -> Flags:
    """Raises ConfigError."""
    keys = keys_by_flag()
    switches = {name for name, is_switch in _OPTIONS.items() if is_switch}
    switches |= {name for name, path in keys.items() if _is_switch(path)}
    options: dict[str, str] = {}
    given: list[Given] = []
    rest = list(arguments)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("-") or flag in ("-", "--"):
            raise ConfigError(f"unexpected argument {flag}")
        name, has_value, value = flag.removeprefix("-").removeprefix("-").partition("=")
        if not _is_known(name, keys):
            hint = difflib.get_close_matches(name, (*_OPTIONS, *keys), n=1)
            raise ConfigError(f"unknown flag -{name}{f'; did you mean -{hint[0]}?' if hint else ''}")
        if not has_value and name in switches:
            value = "true"
        elif not has_value and name not in _OPTIONS and name not in keys and (not rest or rest[0].startswith("-")):
            value = "true"  # of what is ignored, nobody knows which are switches
        elif not has_value:
            if not rest:
                raise ConfigError(f"flag needs a value: -{name}")
            value = rest.pop(0)
        if name in _OPTIONS:
            options[name] = value
        elif name in keys:
            place = Place(f"flag -{name}")
            given.append(Given(keys[name], node_of(keys[name], value, place), place))
    return Flags(
        config_files=tuple(filter(None, options.get("config.file", "").split(","))),
        expand_env=_switch(options, "config.expand-env", default=True),
        strict=_switch(options, "config.strict", default=True),
        verify_config=_switch(options, "verify-config", default=False),
        print_config=_switch(options, "print-config-stderr", default=False),
        log_config=_switch(options, "log-config-reverse-order", default=False),
        list_targets=_switch(options, "list-targets", default=False),
        version=_switch(options, "version", default=False),
        help=_switch(options, "help", default=False) or _switch(options, "h", default=False),
        given=tuple(given),
    )


def _is_known(name: str, keys: Mapping[str, Path]) -> bool:
    """Flags of what is ignored in a file are ignored too."""
    return name in _OPTIONS or name in keys or _begins(name, _IGNORED) or _begins(name.replace("-", "_"), IGNORED)


def _begins(name: str, with_one_of: Iterable[str]) -> bool:
    return any(name == start or name.startswith(f"{start}.") for start in with_one_of)


def _is_switch(path: Path) -> bool:
    field = leaf_fields(Config).get(path)
    return field is not None and field.annotation is bool


def _switch(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = options.get(name, str(default)).lower()
    if value not in _TRUE | _FALSE:
        raise ConfigError(f"flag -{name}: {value!r} is not true or false")
    return value in _TRUE
