"""Keys of the file: honoured, renamed, ignored, refused, unknown."""

import os
from pathlib import Path

import pytest
from config_files import DAY, HOUR, MINUTE, configured, value_at

from log_aggregator.config.effective import config_yaml
from log_aggregator.config.errors import ConfigError
from log_aggregator.config.files import configure
from log_aggregator.config.flags import parse_flags
from log_aggregator.config.keys import IGNORED, REFUSED, RENAMED
from log_aggregator.config.schema import leaf_fields
from log_aggregator.config.sections import Config

SEED = (Path(__file__).parent / "seed.yml").read_text()


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("auth_enabled: true", "auth_enabled", True),
        ("auth_enabled: yes", "auth_enabled", True),
        ("server: {http_listen_port: 3200}", "server.http_listen_port", 3200),
        ("server: {log_level: warn}", "server.log_level", "warn"),
        ("ingester: {chunk_idle_period: 3m}", "ingester.chunk_idle_period", 3 * MINUTE),
        ("ingester: {max_chunk_age: 1d}", "ingester.max_chunk_age", DAY),
        ("ingester: {chunk_target_size: 4MB}", "ingester.chunk_target_size", 4 << 20),
        ("limits_config: {max_line_size: 512KB}", "limits_config.max_line_size", 512 << 10),
        ("limits_config: {ingestion_rate_mb: 16}", "limits_config.ingestion_rate_mb", 16.0),
        ("limits_config: {discover_service_name: []}", "limits_config.discover_service_name", ()),
        ("limits_config: {enforced_labels: [a, 1]}", "limits_config.enforced_labels", ("a", "1")),
        ("limits_config: {block_ingestion_until: 1970-01-02T00:00:00Z}", "limits_config.block_ingestion_until", DAY),
        # Older spellings
        ("retention_period: 7d", "limits_config.retention_period", 7 * DAY),
        ("table_manager: {retention_period: 30d}", "limits_config.retention_period", 30 * DAY),
        ("table_manager: {retention_deletes_enabled: true}", "compactor.retention_enabled", True),
        ("chunk_store_config: {max_look_back_period: 1w}", "limits_config.max_query_lookback", 7 * DAY),
        ("ingester: {max_streams_per_user: 10000}", "limits_config.max_global_streams_per_user", 10_000),
        ("querier: {query_timeout: 2m}", "limits_config.query_timeout", 2 * MINUTE),
        ("querier: {engine: {timeout: 2m}}", "limits_config.query_timeout", 2 * MINUTE),
        ("limits_config: {per_tenant_override_config: a.yml}", "runtime_config.file", "a.yml"),
        ("server: {http_path_prefix: /logs}", "server.http_path_prefix", "/logs"),
        ("server: {http_path_prefix: /logs/}", "server.http_path_prefix", "/logs"),
        ("server: {http_path_prefix: /}", "server.http_path_prefix", ""),
        # Whole numbers as templates write them
        ("limits_config: {max_global_streams_per_user: 1e+06}", "limits_config.max_global_streams_per_user", 1_000_000),
        ("ingester: {chunk_target_size: 1.572864e+06}", "ingester.chunk_target_size", 1_572_864),
        ("limits_config: {ingestion_rate_mb: 1e+01}", "limits_config.ingestion_rate_mb", 10.0),
        ("no_auth_tenant: 1e+06", "no_auth_tenant", "1e+06"),
        # What is empty is off
        ("server: {http_tls_config: {cert_file: '', key_file: ''}}", "server.http_tls_config.cert_file", None),
        ("server: {http_tls_config: {client_ca_file: ''}}", "server.http_tls_config.client_ca_file", None),
        ("common: {path_prefix: ''}", "common.path_prefix", None),
        (
            "common: {storage: {filesystem: {chunks_directory: ''}}}",
            "common.storage.filesystem.chunks_directory",
            None,
        ),
        (
            "storage_config: {object_store: {s3: {bucket_name: b, storage_class: ''}}}",
            "storage_config.object_store.s3.storage_class",
            "STANDARD",
        ),
        # Null says nothing
        ("server:", "server.http_listen_port", 3100),
        ("server: {http_listen_port: null}", "server.http_listen_port", 3100),
        ("", "server.http_listen_port", 3100),
        # Anchors and merges
        ("server: &s {log_level: warn}\nfrontend: {}", "server.log_level", "warn"),
        ("server: {<<: {log_level: warn, http_listen_port: 1}, http_listen_port: 2}", "server.http_listen_port", 2),
    ],
)
def test_key_has_its_value(tmp_path: Path, text: str, key: str, value: object) -> None:
    assert value_at(configured(tmp_path, text).config, key) == value


def test_our_spelling_wins_over_the_older_one(tmp_path: Path) -> None:
    text = """\
        querier: {query_timeout: 2m}
        limits_config: {query_timeout: 3m}
        """
    assert configured(tmp_path, text).config.limits_config.query_timeout == 3 * MINUTE


def test_file_of_the_seed_is_accepted_as_it_stands(tmp_path: Path) -> None:
    configuration = configured(tmp_path, SEED)
    config = configuration.config
    assert config.auth_enabled is False
    assert config.ingester.chunk_idle_period == 3 * MINUTE
    assert config.ingester.max_chunk_age == HOUR
    assert config.limits_config.max_global_streams_per_user == 10_000
    assert config.limits_config.query_timeout == MINUTE
    assert config.limits_config.retention_period == 30 * DAY
    assert config.compactor.retention_enabled is False
    assert config.querier.max_concurrent == 20
    assert list(configuration.notes) == [
        "keys without an effect here: index_cache_validity, ingester.chunk_retain_period, ingester.lifecycler, "
        "storage_config.boltdb_shipper",
        "schema_config: store and schema are accepted, the stored format is this program's own",
        "a retention period is set, but nothing is deleted unless compactor.retention_enabled is true",
    ]


@pytest.mark.parametrize(("idle", "age", "streams", "concurrent"), [("5m", "2h", 50_000, 50), ("1m", "30m", 1_000, 5)])
def test_tuning_profiles_of_the_seed_are_accepted(
    tmp_path: Path, idle: str, age: str, streams: int, concurrent: int
) -> None:
    text = f"""\
        ingester:
          chunk_idle_period: {idle}          # comment
          max_chunk_age: {age}
          max_streams_per_user: {streams}
        querier:
          max_concurrent: {concurrent}
        """
    config = configured(tmp_path, text).config
    assert config.limits_config.max_global_streams_per_user == streams
    assert config.querier.max_concurrent == concurrent


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour: red", "1:1: unknown key colour"),
        ("sever: {}", "1:1: unknown key sever; did you mean server?"),
        (
            "ingester:\n  chunk_idle_periods: 3m",
            "2:3: unknown key ingester.chunk_idle_periods; did you mean ingester.chunk_idle_period?",
        ),
        (
            "ingester:\n  max_streams_per_users: 1",
            "2:3: unknown key ingester.max_streams_per_users; did you mean ingester.max_streams_per_user?",
        ),
        (
            "server:\n  ingestion_rate_mb: 1",
            "2:3: unknown key server.ingestion_rate_mb; did you mean limits_config.ingestion_rate_mb?",
        ),
        (
            "schema_config:\n  configs:\n    - from: 2024-01-01\n      obect_store: s3",
            "4:7: unknown key schema_config.configs.obect_store; did you mean schema_config.configs.object_store?",
        ),
        ("a: 1\na: 2", "2:1: a stands here twice, first at {file}:1:1"),
        ("a: [1", "1:6: expected ',' or ']', but got '<stream end>'"),
        ("- a", "1:1: not a YAML mapping"),
        (
            "querier:\n  max_concurrent: many",
            "2:19: querier.max_concurrent: input should be a valid integer, unable to parse string as an integer "
            "(got 'many')",
        ),
        (
            "querier: {max_concurrent: 1.5e+00}",
            "1:27: querier.max_concurrent: input should be a valid integer, unable to parse string as an integer "
            "(got '1.5e+00')",
        ),
        (
            "ingester: {max_chunk_age: 1e+09}",
            "1:27: ingester.max_chunk_age: not a duration; write a number with a unit, such as 30s, 1h30m or 7d "
            "(got '1e+09')",
        ),
        ("querier: {max_concurrent: 0}", "1:27: querier.max_concurrent: input should be greater than 0 (got '0')"),
        (
            "ingester:\n  max_chunk_age: 30",
            "2:18: ingester.max_chunk_age: not a duration; write a number with a unit, such as 30s, 1h30m or 7d "
            "(got '30')",
        ),
        (
            "limits_config: {max_line_size: big}",
            "1:32: limits_config.max_line_size: not a size; write bytes or a number with a unit, such as 256KB, "
            "4MB or 1.5GB (got 'big')",
        ),
        (
            "server:\n  log_level: loud",
            "2:14: server.log_level: input should be 'debug', 'info', 'warn' or 'error' (got 'loud')",
        ),
        ("server: {http_path_prefix: logs}", "1:28: server.http_path_prefix: must begin with / (got 'logs')"),
        ("limits_config: {enforced_labels: a}", "1:34: limits_config.enforced_labels: must be a list (got 'a')"),
        ("no_auth_tenant: [a]", "1:1: no_auth_tenant: must be plain text"),
        (
            "target: reads",
            "1:9: target: unrecognised target 'reads': use one of all, write, read, backend, distributor, ingester, "
            "querier, query-frontend, query-scheduler, index-gateway, pattern-ingester, compactor, ruler, "
            "table-manager (got 'reads')",
        ),
        ("server: 1", "1:9: server: must be a mapping (got '1')"),
        (
            "storage_config:\n  filesystem: {}",
            "2:3: storage_config.filesystem.directory: field required",
        ),
        (
            "storage_config:\n  aws:\n    endpoint: x",
            "2:3: storage_config.aws: at least one bucket name must be specified",
        ),
        (
            "schema_config: {configs: [{object_store: s3}]}\ncommon: {storage: {s3: {region: x}}}",
            "2:20: common.storage.s3: at least one bucket name must be specified",
        ),
        (
            "storage_config: {use_thanos_objstore: true, aws: {bucketnames: a}, object_store: {s3: {region: x}}}",
            "1:83: storage_config.object_store.s3: at least one bucket name must be specified",
        ),
        ("storage_config: {aws: {s3: 's3://k:secret@[::1/b'}}", "1:28: storage_config.aws.s3: not a URL"),
        (
            "storage_config: {aws: {bucketnames: 'a,b'}}",
            "1:18: storage_config.aws: bucketnames: only one bucket is supported",
        ),
        (
            "storage_config: {aws: {bucketnames: a, access_key_id: k}}",
            "1:18: storage_config.aws: must supply both an Access Key ID and Secret Access Key or neither",
        ),
        (
            "limits_config:\n  retention_stream:\n  - selector: '{a=\"b\"}'\n    period: 1h",
            "4:13: limits_config.retention_stream[0].period: the shortest retention period is 24h (got '1h')",
        ),
        (
            "limits_config: {query_timeout: -1s}",
            "1:32: limits_config.query_timeout: input should be greater than or equal to 0 (got '-1s')",
        ),
        (
            "limits_config:\n  retention_stream:\n  - selector: '{a'\n    period: 24h",
            "3:15: limits_config.retention_stream[0].selector: parse error at line 1, col 3: syntax error: "
            "unexpected $end, expecting = or =~ or !~ or != (got '{a')",
        ),
        (
            "redis: {url: 'localhost:6379'}",
            "1:14: redis.url: must begin with redis://, rediss:// or unix://, or for several servers with "
            "redis+sentinel:// or redis+cluster:// (rediss+ for TLS)",
        ),
        ("redis: {url: 'redis://:secret@a:b'}", "1:14: redis.url: the port is no number from 0 to 65535"),
        ("redis: {url: 'redis://a:99999/0'}", "1:14: redis.url: the port is no number from 0 to 65535"),
        (
            "common: {storage: {gcs: {bucket_name: b}}}",
            "1:20: common.storage.gcs is not supported: only s3 (also for gcs, through its S3 interoperability) and "
            "filesystem are supported",
        ),
        (
            "storage_config: {aws: {s3: s3://h/b, sse_encryption: true}}",
            "1:38: storage_config.aws.sse_encryption is not supported: write it as sse: {type: SSE-S3}",
        ),
        (
            "server:\n  http_tls_config: {cert_file: a}",
            "2:3: server.http_tls_config: cert_file and key_file must be given together",
        ),
    ],
)
def test_problem_says_where_it_is(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        configured(tmp_path, text)
    file = tmp_path / "loki.yml"
    assert str(raised.value) == f"{file}:{message.replace('{file}', str(file))}"


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        configured(tmp_path, "colour: red\nserver: {shape: round}")
    assert [line.partition(": ")[2] for line in str(raised.value).splitlines()] == [
        "unknown key colour",
        "unknown key server.shape",
    ]


def test_unknown_key_is_a_warning_if_not_strict(tmp_path: Path) -> None:
    configuration = configured(tmp_path, "colour: red\nauth_enabled: true", "-config.strict=false")
    assert configuration.notes == [f"{tmp_path / 'loki.yml'}:1:1: unknown key colour"]
    assert configuration.config.auth_enabled is True


@pytest.mark.parametrize(
    "key",
    [
        "limits_config.enable_multi_variant_queries",  # in the file that Loki 3.6 and 3.7 come with
        "limits_config.ruler_remote_write_url",  # in all references from 2.4 to 3.7
        "limits_config.bloom_false_positive_rate",
        "limits_config.max_scan_task_parallelism",
        "limits_config.policy_override_limits",  # in no reference
        "limits_config.sort_schema",  # likewise
        "querier.engine_v2",
        "query_range.split_queries_by_day",
        "storage_config.bigtable",
        "kafka_ingester",
        "http_prefix",  # in the file of Loki 2.8 for Docker
    ],
)
def test_key_that_a_release_of_loki_knew_is_ignored_though_later_ones_dropped_it(tmp_path: Path, key: str) -> None:
    *blocks, name = key.split(".")
    text = "".join(f"{block}: {{" for block in blocks) + f"{name}: {{a: 1}}" + "}" * len(blocks)
    assert configured(tmp_path, text).notes == [f"keys without an effect here: {key}"]


def test_refused_key_that_is_off_is_accepted(tmp_path: Path) -> None:
    assert configured(tmp_path, "lbac: {enabled: false}").notes == []


def test_problems_never_show_a_secret(tmp_path: Path) -> None:
    text = "storage_config: {aws: {bucketnames: b, secret_access_key: [hunter2]}}"
    with pytest.raises(ConfigError) as raised:
        configured(tmp_path, text)
    assert "secret_access_key" in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_shown_configuration_masks_secrets_and_reads_back(tmp_path: Path) -> None:
    text = """\
        storage_config:
          aws: {s3: "s3://key:hunter2@host:9000/bucket", access_key_id: k, secret_access_key: hunter2}
        redis: {url: "redis://:hunter2@host"}
        ingester: {chunk_idle_period: 90s}
        """
    shown = config_yaml(configured(tmp_path, text).config)
    assert "hunter2" not in shown
    # A mask is no URL of a Redis: that one must be given anew.
    again = configured(tmp_path, shown, environment={"REDIS_URL": "redis://:hunter2@host"}).config
    assert again.ingester.chunk_idle_period == 90 * 1_000_000_000
    assert config_yaml(again) == shown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("server: {log_level: '${LEVEL}'}", "warn"),
        ("server: {log_level: '${NONE:-error}'}", "error"),
        ("server: {log_level: '${EMPTY:-error}'}", "error"),
        ("server: {log_level: '${NONE:=debug}'}", "debug"),
    ],
)
def test_variables_are_expanded(tmp_path: Path, text: str, value: str) -> None:
    environment = {"LEVEL": "warn", "EMPTY": ""}
    assert configured(tmp_path, text, environment=environment).config.server.log_level == value


def test_dollar_before_a_reference_keeps_it(tmp_path: Path) -> None:
    configuration = configured(tmp_path, "no_auth_tenant: '$${LEVEL}$$-${LEVEL}'", environment={"LEVEL": "x"})
    assert configuration.config.no_auth_tenant == "${LEVEL}$$-x"


def test_variables_stay_if_expansion_is_off(tmp_path: Path) -> None:
    text = "no_auth_tenant: '${LEVEL}'"
    config = configured(tmp_path, text, "-config.expand-env=false", environment={"LEVEL": "x"}).config
    assert config.no_auth_tenant == "${LEVEL}"


def test_first_existing_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "second.yml").write_text("no_auth_tenant: second")
    flags = f"-config.file={tmp_path / 'none.yml'},{tmp_path / 'second.yml'},{tmp_path / 'loki.yml'}"
    configuration = configured(tmp_path, "no_auth_tenant: third", flags)
    assert configuration.config.no_auth_tenant == "second"
    assert configuration.file == tmp_path / "second.yml"


def test_pipe_is_read_as_a_file(tmp_path: Path) -> None:
    """Shells make one of `-config.file=<(envsubst < loki.yml)`."""
    reading, writing = os.pipe()
    os.write(writing, b"no_auth_tenant: piped")
    os.close(writing)
    configuration = configure(parse_flags([f"-config.file={tmp_path},/dev/fd/{reading}"]), {})
    os.close(reading)
    assert configuration.config.no_auth_tenant == "piped"


def test_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^-config.file: none of these files exists: /no/a.yml, /no/b.yml$"):
        configured(tmp_path, "", "-config.file=/no/a.yml,/no/b.yml")


def test_tables_of_keys_agree_with_the_sections() -> None:
    ours = {".".join(path) for path in leaf_fields(Config)}
    assert not ours & IGNORED
    assert not ours & set(REFUSED)
    assert not ours & set(RENAMED)
    blocks = {".".join(path[:depth]) for path in leaf_fields(Config) for depth in range(1, len(path))}
    assert set(RENAMED.values()) <= ours | blocks
