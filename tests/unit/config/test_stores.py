"""Which object store, data directory and index period a configuration means."""

from pathlib import Path

import pytest
from config_files import configured

from log_aggregator.config.errors import ConfigError
from log_aggregator.config.stores import data_directory_of, index_period_ns, store_of
from log_aggregator.storage.filesystem import FilesystemSettings
from log_aggregator.storage.s3_settings import S3Settings

DATA = Path("/data")
HOUR = 3600 * 1_000_000_000


@pytest.mark.parametrize(
    ("text", "directory"),
    [
        ("", "/data/chunks"),
        ("storage_config: {filesystem: {directory: /loki/chunks}}", "/loki/chunks"),
        ("common: {storage: {filesystem: {chunks_directory: /loki/chunks}}}", "/loki/chunks"),
        ("storage_config: {object_store: {filesystem: {dir: /loki/chunks}}}", "/loki/chunks"),
        ("storage_config: {boltdb_shipper: {shared_store: filesystem}}", "/data/chunks"),
        (
            """\
            schema_config: {configs: [{from: 2024-01-01, object_store: filesystem}]}
            storage_config: {aws: {bucketnames: unused}}
            """,
            "/data/chunks",
        ),
        (
            """\
            schema_config: {configs: [{object_store: filesystem}]}
            storage_config: {aws: {s3forcepathstyle: true}}
            common: {storage: {s3: {bucketnames: 'chunks,more', access_key_id: k}}}
            """,
            "/data/chunks",
        ),
        (
            """\
            storage_config:
              tsdb_shipper: {shared_store: filesystem}
              object_store: {s3: {region: eu-west-1}}
            """,
            "/data/chunks",
        ),
    ],
)
def test_filesystem_store(tmp_path: Path, text: str, directory: str) -> None:
    store = store_of(configured(tmp_path, text).config, DATA)
    assert store == FilesystemSettings(directory=Path(directory))


@pytest.mark.parametrize(
    ("text", "bucket"),
    [
        ("storage_config: {aws: {bucketnames: b}}", "b"),
        ("storage_config: {aws: {s3: 's3://k:s@host:9000/b'}}", "b"),
        ("common: {storage: {s3: {bucketnames: b}}}", "b"),
        ("storage_config: {object_store: {s3: {bucket_name: b}}}", "b"),
        ("common: {storage: {object_store: {s3: {bucket_name: b}}}}", "b"),
        (
            """\
            schema_config: {configs: [{object_store: filesystem}, {from: 2025-01-01, object_store: s3}]}
            storage_config: {filesystem: {directory: /old}, aws: {bucketnames: b}}
            """,
            "b",
        ),
        (
            """\
            storage_config:
              tsdb_shipper: {shared_store: s3}
              aws: {bucketnames: b}
            """,
            "b",
        ),
        (
            """\
            storage_config:
              use_thanos_objstore: true
              aws: {bucketnames: old}
              object_store: {s3: {bucket_name: b}}
            """,
            "b",
        ),
    ],
)
def test_s3_store(tmp_path: Path, text: str, bucket: str) -> None:
    store = store_of(configured(tmp_path, text).config, DATA)
    assert isinstance(store, S3Settings)
    assert store.bucket == bucket


def test_second_spelling_of_s3_means_the_same(tmp_path: Path) -> None:
    text = """\
        storage_config:
          object_store:
            s3:
              bucket_name: b
              endpoint: minio:9000
              insecure: true
              bucket_lookup_type: path
              max_retries: 7
              http: {insecure_skip_verify: true, idle_conn_timeout: 1m, max_idle_connections: 3}
              sse: {type: SSE-S3}
        """
    store = store_of(configured(tmp_path, text).config, DATA)
    assert isinstance(store, S3Settings)
    assert store.endpoint_url == "http://minio:9000"
    assert store.s3forcepathstyle is True
    assert store.backoff_config.max_retries == 7
    assert store.http_config.insecure_skip_verify is True
    assert store.sse.type == "SSE-S3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "schema_config: {configs: [{object_store: s3}]}",
            "the object store is s3, but neither storage_config.aws nor common.storage.s3 says where",
        ),
        (
            "schema_config: {configs: [{object_store: gcs}]}",
            "schema_config.configs[0].object_store: object store 'gcs' is not supported: use s3 (also for gcs, through "
            "its S3 interoperability) or filesystem",
        ),
    ],
)
def test_store_that_cannot_be_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        store_of(configured(tmp_path, text).config, DATA)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("text", "environment", "directory"),
    [
        ("", "", "data"),
        ("", "/env", "/env"),
        ("common: {path_prefix: /loki}", "/env", "/loki"),
        ("storage_config: {filesystem: {directory: /loki/chunks}}", "", "/loki"),
        ("storage_config: {filesystem: {directory: /loki/chunks}}", "/env", "/env"),
    ],
)
def test_data_directory(tmp_path: Path, text: str, environment: str, directory: str) -> None:
    assert data_directory_of(configured(tmp_path, text).config, {"LOG_AGGREGATOR_DATA": environment}) == Path(directory)


@pytest.mark.parametrize(
    ("text", "period_ns"),
    [
        ("", 24 * HOUR),
        ("schema_config: {configs: [{from: 2024-01-01}]}", 24 * HOUR),
        ("schema_config: {configs: [{index: {period: 168h}}]}", 168 * HOUR),
        ("schema_config: {configs: [{index: {period: 168h}}, {index: {period: 1d}}]}", 24 * HOUR),
    ],
)
def test_index_period(tmp_path: Path, text: str, period_ns: int) -> None:
    assert index_period_ns(configured(tmp_path, text).config) == period_ns


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("auth_enabled: true", ":1:1: schema_config.configs[0]"),
        ("schema_config: {configs: [{from: 2024-01-01}]}", ":1:27: schema_config.configs[0]"),
        ("schema_config: {configs: [{index: {period: 168h}}]}", ":1:44: schema_config.configs[0]"),
        ("schema_config: {configs: [{from: 2024-01-01}, {index: {period: 1d}}]}", ":1:64: schema_config.configs[1]"),
    ],
)
def test_place_of_the_index_period(tmp_path: Path, text: str, place: str) -> None:
    assert configured(tmp_path, text).schema_key.endswith(place)
