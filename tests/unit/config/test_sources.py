"""The environment and the command line, laid over the file."""

from pathlib import Path

import pytest
from config_files import DAY, configured, value_at

from log_aggregator.config.errors import ConfigError
from log_aggregator.config.files import configure
from log_aggregator.config.flags import keys_by_flag, parse_flags
from log_aggregator.config.keys import RENAMED
from log_aggregator.config.schema import leaf_fields
from log_aggregator.config.sections import Config


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("LOKI_LOG_LEVEL", "debug", "server.log_level", "debug"),
        ("LOKI_SERVER_LOG_LEVEL", "debug", "server.log_level", "debug"),
        ("LOKI_SERVER_HTTP_LISTEN_PORT", "3200", "server.http_listen_port", 3200),
        ("LOKI_AUTH_ENABLED", "true", "auth_enabled", True),
        ("LOKI_LIMITS_CONFIG_RETENTION_PERIOD", "30d", "limits_config.retention_period", 30 * DAY),
        ("LOKI_LIMITS_CONFIG_ENFORCED_LABELS", "a,b", "limits_config.enforced_labels", ("a", "b")),
        ("LOKI_LIMITS_CONFIG_ENFORCED_LABELS", "[a]", "limits_config.enforced_labels", ("a",)),
        ("LOKI_LIMITS_CONFIG_DISCOVER_SERVICE_NAME", "", "limits_config.discover_service_name", ()),
        ("LOKI_STORAGE_CONFIG_AWS_BUCKETNAMES", "b", "storage_config.aws.bucketnames", "b"),
        ("LOKI_TABLE_MANAGER_RETENTION_PERIOD", "1d", "limits_config.retention_period", DAY),
        ("LOKI_WORKERS", "4", "workers", 4),
    ],
)
def test_variable_sets_its_key(name: str, text: str, key: str, value: object) -> None:
    assert value_at(configure(parse_flags([]), {name: text}).config, key) == value


def test_redis_url_is_read_from_its_usual_variable() -> None:
    config = configure(parse_flags([]), {"REDIS_URL": "redis://r:1"}).config
    assert config.redis.url.get_secret_value() == "redis://r:1"


def test_list_of_blocks_in_a_variable_is_yaml() -> None:
    environment = {"LOKI_SCHEMA_CONFIG_CONFIGS": "[{from: 2024-01-01, object_store: s3, index: {period: 12h}}]"}
    (period,) = configure(parse_flags([]), environment).config.schema_config.configs
    assert (period.object_store, period.index.period) == ("s3", DAY // 2)


def test_variable_that_sets_nothing_is_noted() -> None:
    configuration = configure(parse_flags([]), {"LOKI_COLOUR": "red", "OTHER": "x"})
    assert configuration.notes == ["the environment variable LOKI_COLOUR sets nothing that is known here"]


@pytest.mark.parametrize(
    "name",
    [
        "LOKI_SERVICE_HOST",
        "LOKI_SERVICE_PORT",
        "LOKI_PORT",
        "LOKI_PORT_3100_TCP_ADDR",
        "LOKI_READ_SERVICE_PORT_HTTP",
        "LOKI_ADDR",
        "LOKI_CA_CERT_PATH",
    ],
)
def test_variables_of_kubernetes_and_of_clients_are_no_concern(name: str) -> None:
    assert configure(parse_flags([]), {name: "tcp://10.0.0.1:3100"}).notes == []


def test_flag_wins_over_environment_and_environment_over_file(tmp_path: Path) -> None:
    text = "server: {http_listen_port: 1, log_level: error, http_path_prefix: /file}"
    environment = {"LOKI_SERVER_HTTP_LISTEN_PORT": "2", "LOKI_LOG_LEVEL": "warn"}
    server = configured(tmp_path, text, "-server.http-listen-port=3", environment=environment).config.server
    assert (server.http_listen_port, server.log_level, server.http_path_prefix) == (3, "warn", "/file")


@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        (["-target=read"], "target", "read"),
        (["--target", "read"], "target", "read"),
        (["-workers", "3"], "workers", 3),
        (["-log.level=debug"], "server.log_level", "debug"),
        (["-server.http-listen-port", "3200"], "server.http_listen_port", 3200),
        (["-auth.enabled"], "auth_enabled", True),
        (["-auth.enabled=false"], "auth_enabled", False),
        (["-querier.max-concurrent=9"], "querier.max_concurrent", 9),
        (["-limits-config.retention-period=1d"], "limits_config.retention_period", DAY),
        (["-store.retention=1d"], "limits_config.retention_period", DAY),
        (["-distributor.max-line-size=2KB"], "limits_config.max_line_size", 2048),
        (["-distributor.ingestion-rate-limit-mb=9"], "limits_config.ingestion_rate_mb", 9),
        (["-validation.reject-old-samples.max-age=1d"], "limits_config.reject_old_samples_max_age", DAY),
        (["-validation.reject-old-samples", "-workers=2"], "limits_config.reject_old_samples", True),
        (["-memberlist.join=dns+loki:7946", "-workers=2"], "workers", 2),
        (["-memberlist.join", "dns+loki:7946", "-workers=2"], "workers", 2),
        (["-tracing.enabled", "-workers=2", "-legacy-read-mode=false"], "workers", 2),
        (["-server.http-tls-client-auth=NoClientCert"], "server.http_tls_config.client_auth_type", "NoClientCert"),
        (
            ["-common.storage.filesystem.chunk-directory=/loki/chunks"],
            "common.storage.filesystem.chunks_directory",
            Path("/loki/chunks"),
        ),
        (["-ingester.chunks-idle-period=5m"], "ingester.chunk_idle_period", DAY // 288),
        (["-server.http-read-timeout=1m"], "server.http_server_read_timeout", DAY // 1440),
        (["-local.chunk-directory=/chunks"], "storage_config.filesystem.directory", Path("/chunks")),
        (["-s3.buckets=b", "-s3.force-path-style"], "storage_config.aws.s3forcepathstyle", True),
        (["-s3.buckets=b", "-s3.http.ca-file=/ca"], "storage_config.aws.http_config.ca_file", "/ca"),
        (["-s3.buckets=b", "-s3.sse.type=SSE-S3"], "storage_config.aws.sse.type", "SSE-S3"),
        (["-common.storage.s3.url=s3://k:s@host/b"], "common.storage.s3.bucketnames", ""),
        (["-server.grpc-max-recv-msg-size-bytes=104857600", "-workers=2"], "workers", 2),
        (["-querier.cache-results=true", "-frontend.memcached.hostname=m", "-workers=2"], "workers", 2),
        # As Loki's chart writes them for zones
        (["-ingester.availability-zone=zone-a", "-ingester.unregister-on-shutdown=false", "-workers=2"], "workers", 2),
        (["-distributor.zone-awareness-enabled", "-ingester.tokens-file-path", "/loki/tokens"], "target", "all"),
        (["-ring.store=inmemory", "-ingester.partition-ring.multi.mirror-enabled", "-workers=2"], "workers", 2),
    ],
)
def test_flag_sets_its_key(arguments: list[str], key: str, value: object) -> None:
    assert value_at(configure(parse_flags(arguments), {}).config, key) == value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-targt=read"], "unknown flag -targt; did you mean -target?"),
        (["-colour"], "unknown flag -colour"),
        (["-ring.store=inmemory", "-rings.store=x"], "unknown flag -rings.store"),
        (["-target"], "flag needs a value: -target"),
        (["-config.strict=perhaps"], "flag -config.strict: 'perhaps' is not true or false"),
        (["-target=all", "read"], "unexpected argument read"),
    ],
)
def test_wrong_command_line_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_flags(arguments)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("arguments", "environment", "place"),
    [
        (["-workers=few"], {}, "flag -workers"),
        ([], {"LOKI_WORKERS": "few"}, "LOKI_WORKERS"),
    ],
)
def test_wrong_value_says_where_it_came_from(arguments: list[str], environment: dict[str, str], place: str) -> None:
    with pytest.raises(ConfigError) as raised:
        configure(parse_flags(arguments), environment)
    assert str(raised.value) == (
        f"{place}: workers: input should be a valid integer, unable to parse string as an integer (got 'few')"
    )


def test_every_flag_sets_a_key_that_is_there() -> None:
    known = leaf_fields(Config)
    assert [flag for flag, path in keys_by_flag().items() if path not in known and ".".join(path) not in RENAMED] == []


def test_switches_need_no_value() -> None:
    flags = parse_flags(["-verify-config", "-print-config-stderr", "-config.strict=false"])
    assert (flags.verify_config, flags.print_config, flags.strict, flags.expand_env) == (True, True, False, True)
