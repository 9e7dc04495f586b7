"""Writes docs/configuration.md from the sections that the program reads: `uv run docs/generate_configuration.py`.

Names, types and defaults come from the code, meanings from the table below; a test holds the two together.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from log_aggregator.config.environment import variables
from log_aggregator.config.keys import IGNORED, REFUSED, RENAMED
from log_aggregator.config.schema import fields_of, is_list, leaf_fields, section_in
from log_aggregator.config.sections import Config, PeriodSettings
from log_aggregator.model.access import TokenSettings, UserSettings
from log_aggregator.model.limits import BlockedQuery, StreamRetention
from log_aggregator.model.otlp import Action, AttributeRule
from log_aggregator.model.quantity import ByteSize, Duration, Time, format_duration, format_size, format_time
from log_aggregator.model.section import Section
from log_aggregator.storage.s3_settings import S3Settings

TARGET: Final = Path(__file__).with_name("configuration.md")

# Keys that Loki does not have.
OURS: Final = frozenset(
    {
        "workers",
        "redis.url",
        "redis.prefix",
        "redis.lease_seconds",
        "redis.wait_replicas",
        "redis.wait_timeout",
        "auth.users",
        "auth.tokens",
        "auth.open",
        "ingester.max_buffer_bytes",
        "querier.allow_instant_log_queries",
        "querier.fan_out_row_groups",
        "querier.partial_results",
    }
)

# The same block stands in three places.
_S3_PLACES: Final = ("common.storage.s3", "storage_config.aws", "storage_config.object_store.s3")

MEANINGS: Final = {
    "target": "Which roles this process runs: `all`, or a comma-separated choice of `write`, `read`, `backend`. "
    "Loki's finer targets (`distributor`, `querier`, ...) mean the nearest of these",
    "auth_enabled": "Each request must name its tenant in `X-Scope-OrgID`. Loki's default is `true`",
    "no_auth_tenant": "The tenant of all requests where `auth_enabled` is `false`",
    "workers": "Processes. 0: one with the embedded Redis, else one for each core",
    "server.http_listen_address": "Address to listen on; empty: all interfaces",
    "server.http_listen_port": "Port to listen on; 0: any free one",
    "server.http_listen_conn_limit": "Connections at a time, in each process; more are answered 503. 0: no bound",
    "server.http_tls_config.cert_file": "Certificate chain in PEM; with it the server speaks HTTPS. Read again when it "
    "changes",
    "server.http_tls_config.key_file": "Of the certificate, not encrypted",
    "server.http_tls_config.client_auth_type": "Whether clients must have certificates",
    "server.http_tls_config.client_ca_file": "Authorities of client certificates, read once",
    "server.tls_min_version": "Below `VersionTLS12` nothing is spoken",
    "auth.users": "Names with passwords; with users or tokens, each request needs credentials "
    "([security](security.md))",
    "auth.tokens": "Bearer tokens",
    "auth.open": "Routes that need no credentials, of `ready`, `buildinfo`, `metrics` and `root`",
    "server.http_path_prefix": "Path before that of every route, such as `/logs`",
    "server.http_server_read_timeout": "For reading one request",
    "server.http_server_write_timeout": "For answering one request, but for queries (`limits_config.query_timeout`)",
    "server.http_server_idle_timeout": "After which a connection without a request is closed",
    "server.graceful_shutdown_timeout": "For ending after SIGTERM: half for requests under way, half for a last flush",
    "server.log_level": "Of the program's own log, which goes to standard error as logfmt",
    "redis.url": "`redis://`, `rediss://` (TLS), `unix://`, `redis+sentinel://host:port,host:port/master` or "
    "`redis+cluster://host:port,host:port` ([durability](durability.md)). Empty: a Redis-compatible server of the "
    "program's own runs in the data directory, and there can be only one replica. Also `REDIS_URL`",
    "redis.prefix": "What the names of all keys in Redis begin with; installations that share one need different ones",
    "redis.lease_seconds": "Seconds after which another replica takes over the write-ahead log of one that fell silent",
    "redis.wait_replicas": "Replicas of Redis that must have an append before it is acknowledged",
    "redis.wait_timeout": "For these replicas; then the push is answered 503. At most 5 s",
    "common.path_prefix": "The data directory: the embedded Redis and, without S3, chunks. Without it, "
    "`LOG_AGGREGATOR_DATA`, else the parent of a configured chunk directory, else `./data`",
    "common.storage.filesystem.chunks_directory": "Objects as files below this directory; all replicas must mount it",
    "storage_config.filesystem.directory": "Objects as files below this directory; all replicas must mount it",
    "storage_config.object_store.filesystem.dir": "Objects as files below this directory; all replicas must mount it",
    "storage_config.use_thanos_objstore": "Of several places that name a bucket, `storage_config.object_store` wins",
    "storage_config.shared_store": "`s3` or `filesystem`, where no `schema_config` says so. In Loki below "
    "`boltdb_shipper` or `tsdb_shipper`, which is understood too",
    "schema_config.configs": "Periods of storage; the last one counts (below)",
    "distributor.max_recv_msg_size": "The largest body of a request, as it is sent; a larger one is answered 413",
    "distributor.max_decompressed_size": "The largest body of a push once decompressed; a larger one is answered 413",
    "distributor.otlp_config.default_resource_attributes_as_index_labels": "Resource attributes of OpenTelemetry that "
    "become labels where a tenant's `ignore_defaults` does not say otherwise",
    "ingester.chunk_idle_period": "A replica that got no logs for this long flushes",
    "ingester.max_chunk_age": "A replica flushes what is this old. Longer: fewer, larger objects, but more in Redis",
    "ingester.chunk_target_size": "Compressed size of a row group; a flush is due at sixteen of them",
    "ingester.max_returned_stream_errors": "How many refused entries an answer to a push names; 0: all",
    "ingester.max_buffer_bytes": "Lines and metadata that a process may hold unflushed: at half of it a flush begins, "
    "above it pushes wait for one, five seconds at most, and are then answered 503; 0 for a share of the memory that "
    "the process may use",
    "querier.max_concurrent": "Queries at a time, in one process",
    "querier.tail_max_duration": "After which a tail is closed",
    "querier.multi_tenant_queries_enabled": "`X-Scope-OrgID: a|b` reads the logs of both tenants",
    "querier.allow_instant_log_queries": "`/query` with a log query answers with the newest lines of the last hour; "
    "Loki, and `false`, answer with an error",
    "querier.fan_out_row_groups": "Row groups of chunks from which on a metric query asks other replicas for help",
    "querier.partial_results": "Answer without damaged or missing objects and say so in `warnings`; else the "
    "answer is an error that names the object",
    "querier.per_request_limits_enabled": "Whether `X-Loki-Query-Limits` of a request tightens the tenant's limits",
    "frontend.max_outstanding_per_tenant": "Queries of a tenant that may wait; more are answered 429",
    "query_range.cache_results": "Keep results of metric queries over past time, in Redis (at most 64 MB) and in the "
    "process, until what they were computed from changes. Loki's default is `false`",
    "frontend.log_queries_longer_than": "Slower queries are logged; 0: none",
    "frontend.support_parquet_encoding": "Answers as Parquet to clients that ask for it",
    "limits_config.ingestion_rate_strategy": "`global`: the rate is a tenant's over all replicas, counted in Redis; "
    "`local`: of each replica",
    "limits_config.ingestion_rate_mb": "MB of lines that a tenant may push in a second; more is answered 429",
    "limits_config.ingestion_burst_size_mb": "MB that a tenant may push at once",
    "limits_config.max_line_size": "Longer lines are refused; 0: no limit",
    "limits_config.max_line_size_truncate": "Longer lines are cut instead",
    "limits_config.max_line_size_truncate_identifier": "What is put at the end of a line that was cut",
    "limits_config.max_label_names_per_series": "Labels of a stream",
    "limits_config.max_label_name_length": "Bytes of a label's name",
    "limits_config.max_label_value_length": "Bytes of a label's value",
    "limits_config.reject_old_samples": "Whether entries older than `reject_old_samples_max_age` are refused",
    "limits_config.reject_old_samples_max_age": "The age up to which entries are taken",
    "limits_config.creation_grace_period": "How far in the future an entry's timestamp may lie",
    "limits_config.increment_duplicate_timestamp": "An entry with the timestamp of the one before it, but another "
    "line, gets a nanosecond more",
    "limits_config.allow_structured_metadata": "Whether entries may have structured metadata",
    "limits_config.max_structured_metadata_size": "Bytes of an entry's structured metadata",
    "limits_config.max_structured_metadata_entries_count": "Pairs of an entry's structured metadata",
    "limits_config.discover_service_name": "Labels whose value becomes the label `service_name`, the first that a "
    "stream has; empty: none",
    "limits_config.discover_log_levels": "Whether entries get `detected_level`",
    "limits_config.log_level_fields": "Keys of a line that may hold its level; empty: the usual names",
    "limits_config.log_level_from_json_max_depth": "How deep in a JSON line the level is looked for; 0: at any depth",
    "limits_config.otlp_config.resource_attributes.ignore_defaults": "Only `attributes_config` says which resource "
    "attributes of OpenTelemetry become labels",
    "limits_config.otlp_config.resource_attributes.attributes_config": "Rules for resource attributes (below)",
    "limits_config.otlp_config.scope_attributes": "Rules for scope attributes (below)",
    "limits_config.otlp_config.log_attributes": "Rules for attributes of log records (below)",
    "limits_config.otlp_config.severity_text_as_label": "The severity text is also the label `severity_text`",
    "limits_config.enforced_labels": "Labels without which a stream is refused",
    "limits_config.block_ingestion_until": "Pushes are refused until then",
    "limits_config.block_ingestion_status_code": "With which status; 260 or 200 make clients believe in success",
    "limits_config.max_streams_per_user": "Changes nothing: streams are counted over all replicas, see the next one",
    "limits_config.max_global_streams_per_user": "Active streams of a tenant over all replicas, counted in Redis; 0: "
    "no limit",
    "limits_config.per_stream_rate_limit": "Bytes that one stream may take in a second",
    "limits_config.per_stream_rate_limit_burst": "Bytes that one stream may take at once",
    "limits_config.max_entries_limit_per_query": "The largest `limit` of a log query; 0: no limit",
    "limits_config.max_query_length": "The longest range of a query; 0: no limit",
    "limits_config.max_query_lookback": "How far back queries see; what is older does not exist for them; 0: no limit",
    "limits_config.max_query_range": "The longest `[range]` in a query; 0: no limit",
    "limits_config.split_queries_by_interval": "Results are cached for intervals of this length; 0: not at all",
    "limits_config.max_cache_freshness_per_query": "Results of the newest time, of this length, are not cached",
    "limits_config.max_query_series": "Series that a metric query may answer with",
    "limits_config.max_streams_matchers_per_query": "Matchers of a query",
    "limits_config.max_query_parallelism": "0: no queries; other values change nothing",
    "limits_config.tsdb_max_query_parallelism": "0: no queries; other values change nothing",
    "limits_config.max_query_bytes_read": "A query that would read more is refused; 0: no limit",
    "limits_config.max_querier_bytes_read": "Changes nothing: the bytes of a query count as a whole, see the one above",
    "limits_config.query_timeout": "After which a query is answered 504",
    "limits_config.required_labels": "Labels that a query must match on",
    "limits_config.minimum_labels_number": "How many labels a query must match on",
    "limits_config.blocked_queries": "Queries that are refused (below)",
    "limits_config.max_concurrent_tail_requests": "Tails of a tenant at a time",
    "limits_config.volume_enabled": "Whether the volume routes answer",
    "limits_config.volume_max_series": "Series that a volume query may answer with",
    "limits_config.retention_period": "How long logs are kept; 0: for ever. Needs `compactor.retention_enabled`",
    "limits_config.retention_stream": "Other periods for streams that a selector matches (below)",
    "limits_config.deletion_mode": "What delete requests do: nothing, hide lines from queries, or also delete them",
    "compactor.retention_enabled": "Whether anything is deleted: by retention or by request",
    "compactor.compaction_interval": "How often small objects are merged",
    "compactor.retention_delete_delay": "How long objects that are not needed any more stay",
    "compactor.delete_request_cancel_period": "How long a delete request can be taken back",
    "compactor.delete_max_interval": "The longest interval of one delete job",
    "pattern_ingester.enabled": "Whether the pattern routes answer",
    "runtime_config.file": "Limits by tenant, under `overrides`; several files, comma-separated: the later ones win",
    "runtime_config.period": "How often it is read again",
}

S3_MEANINGS: Final = {
    "s3": "Everything in one URL: `s3://key:secret@host:port/bucket`, or `s3://key:secret@region/bucket` for AWS; "
    "the other keys win over it",
    "bucketnames": "The bucket. It must exist, and belong to this installation alone. Only one, unlike in Loki",
    "endpoint": "`host:port` or URL of the store; empty: AWS",
    "region": "Empty: what the environment says",
    "access_key_id": "Empty: credentials of the environment (variables, profile, web identity, instance role)",
    "secret_access_key": "Together with `access_key_id`",
    "session_token": "Of temporary credentials",
    "insecure": "HTTP instead of HTTPS, where `endpoint` does not say",
    "s3forcepathstyle": "Address the bucket by path, as MinIO and Ceph want it; also in the words of "
    "`bucket_lookup_type`: `path`, `auto`, `virtual-hosted`",
    "signature_version": "Only `v4`",
    "storage_class": "Of new objects",
    "sse.type": "Server-side encryption: none, `SSE-S3` or `SSE-KMS`",
    "sse.kms_key_id": "For `SSE-KMS`",
    "sse.kms_encryption_context": "For `SSE-KMS`, as JSON",
    "http_config.timeout": "For one request with its answer; 0: the client's own",
    "http_config.idle_conn_timeout": "After which an unused connection is closed",
    "http_config.response_header_timeout": "For the beginning of an answer; 0: the client's own",
    "http_config.insecure_skip_verify": "Do not check the store's certificate",
    "http_config.ca_file": "Authorities that the store's certificate is checked against",
    "backoff_config.min_period": "The first pause between attempts; each is twice the one before",
    "backoff_config.max_period": "The longest pause between attempts",
    "backoff_config.max_retries": "Attempts, the first one included; 0: until the deadline of the operation",
}

LIST_MEANINGS: Final = {
    UserSettings: {
        "name": "Of the user, without a colon",
        "password_file": "Holds the password; read again when it changes. One of the three must be given",
        "password_env": "An environment variable that holds it",
        "password_hash": "Its hash, as `log-aggregator hash-password` prints it, or `sha256:` with hex digits",
        "tenants": "For whom the user may act; `*`: any. Of no meaning where `auth_enabled` is `false`",
        "scopes": "What the user may do, of `read`, `write`, `admin` and `metrics`",
    },
    TokenSettings: {
        "name": "What messages call the token",
        "token_file": "Holds the token; read again when it changes. One of the three must be given",
        "token_env": "An environment variable that holds it",
        "token_hash": "Its hash: `sha256:` with hex digits",
        "tenants": "As of users",
        "scopes": "As of users",
    },
    PeriodSettings: {
        "from": "Accepted; the last period holds for all times",
        "store": "Accepted without effect: the stored format is this program's own",
        "object_store": "`s3`, `aws` or `filesystem`",
        "schema": "Accepted without effect; structured metadata works under any schema",
        "index.prefix": "Accepted without effect",
        "index.period": "What one directory of the bucket holds; 0: a day. Whole minutes. Not to be changed once there "
        "are logs: a server does not start on a store with logs of another period",
    },
    AttributeRule: {
        "action": "`index_label`, `structured_metadata` or `drop`; the first rule that applies decides",
        "attributes": "Names of attributes",
        "regex": "Or an expression that matches the whole name",
    },
    BlockedQuery: {
        "pattern": "The query, or with `regex` an expression for it; empty: any",
        "regex": "Whether `pattern` is an expression",
        "hash": "The 32-bit FNV-1 hash of the query; 0: any",
        "types": "`metric`, `filter` or `limited`, also as text with commas; empty: any",
        "query_tags": "Of `X-Query-Tags`",
    },
    StreamRetention: {
        "selector": "Which streams",
        "priority": "Where several match, the highest decides",
        "period": "At least a day",
    },
}

_INTRODUCTION: Final = """\
# Configuration

This page is generated: `uv run docs/generate_configuration.py`.

A file in Loki's format, from `-config.file=a.yml,b.yml` (the first that exists), else the first of
`/etc/loki/{cli-config,local-config,config,loki-config}.{yml,yaml}`, else defaults. `${NAME}` and `${NAME:-default}`
in it are replaced by environment variables; `$${` stands for `${`. Over the file stand environment variables, over
those flags:

| | for `ingester.max_chunk_age` |
|---|---|
| file | `ingester: {max_chunk_age: 1h}` |
| environment | `LOKI_INGESTER_MAX_CHUNK_AGE=1h` |
| flag | `-ingester.max-chunk-age=1h` or `--ingester.max-chunk-age 1h` |

Also understood: `REDIS_URL`, `LOKI_LOG_LEVEL`, and Loki's own names of flags, such as `-auth.enabled`, `-log.level`,
`-store.retention`, those of S3 (`-s3.endpoint`) and of limits (`-validation.reject-old-samples`).
`log-aggregator -verify-config` checks a configuration and the files of `runtime_config`; `-print-config-stderr`,
`-log-config-reverse-order` and `GET /config` show the one in force, secrets masked.

*Durations* are written `30s`, `1h30m`, `7d`, in any unit from `ns` to `y`, everywhere; *sizes* `256KB`, `1.5GB`, in
powers of 1024; *times* `2026-01-31T12:00:00Z`.

A key that Loki knows and that means nothing here is accepted and named once at start. An unknown key is refused with
its line and the nearest known one; `-config.strict=false` turns that into a warning, in files of `runtime_config` too.
"""


def document() -> str:
    return "".join(_sections()).rstrip() + "\n"


def _sections() -> Iterator[str]:
    yield _INTRODUCTION
    leaves = {".".join(path): field for path, field in leaf_fields(Config).items()}
    blocks: dict[str, list[str]] = {}
    for name in leaves:
        if not name.startswith(_S3_PLACES):
            blocks.setdefault(name.partition(".")[0] if "." in name else "", []).append(name)
    for block, names in blocks.items():
        yield f"\n## {block or 'At the top'}\n\n{_HEAD}"
        for name in names:
            loki = "no: ours" if name in OURS else "same"
            yield f"| `{name}` | {MEANINGS[name]} | {_kind(leaves[name])} | {_default(leaves[name])} | {loki} |\n"
    places = ", ".join(f"`{place}`" for place in _S3_PLACES)
    yield f"\n## S3\n\nBelow {places}; the first of these that is there counts. All are Loki's.\n\n{_LIST_HEAD}"
    yield from _rows(S3Settings, S3_MEANINGS)
    for section, where in _LISTS.items():
        yield f"\n## Items of {where}\n\n{_LIST_HEAD}"
        yield from _rows(section, LIST_MEANINGS[section])
    yield "\n## Other names\n\nKeys of older Lokis, and keys whose meaning lives elsewhere here.\n\n"
    yield "| key | read as |\n|---|---|\n"
    yield from (f"| `{old}` | `{new}` |\n" for old, new in sorted(RENAMED.items()))
    yield "\n## Refused\n\nUnless empty or false: to ignore these would be dangerous.\n\n| key | why |\n|---|---|\n"
    yield from (f"| `{key}` | {why} |\n" for key, why in sorted(REFUSED.items()))
    yield "\n## Accepted without effect\n\nThey set up what does not exist here (rings, gossip, caches of processes, "
    yield "gRPC), or tune what works differently.\n\n"
    by_block: dict[str, list[str]] = {}
    for key in sorted(IGNORED):
        block, _, name = key.rpartition(".")
        by_block.setdefault(block, []).append(name)
    yield from (
        f"- {f'below `{block}`: ' if block else 'whole blocks: '}{', '.join(f'`{name}`' for name in names)}\n"
        for block, names in by_block.items()
    )
    assert {"LOKI_INGESTER_MAX_CHUNK_AGE", "REDIS_URL", "LOKI_LOG_LEVEL"} <= set(variables())


_HEAD: Final = "| key | meaning | type | default | Loki |\n|---|---|---|---|---|\n"
_LIST_HEAD: Final = "| key | meaning | type | default |\n|---|---|---|---|\n"
_LISTS: Final[dict[type[Section], str]] = {
    UserSettings: "`auth.users`",
    TokenSettings: "`auth.tokens`",
    PeriodSettings: "`schema_config.configs`",
    AttributeRule: "the rules below `otlp_config`",
    BlockedQuery: "`limits_config.blocked_queries`",
    StreamRetention: "`limits_config.retention_stream`",
}


def _rows(section: type[Section], meanings: dict[str, str]) -> Iterator[str]:
    for path, field in leaf_fields(section).items():
        name = ".".join(path)
        yield f"| `{name}` | {meanings[name]} | {_kind(field)} | {_default(field)} |\n"


def _kind(field: FieldInfo) -> str:
    # Bounds of a quantity stand beside what makes it one.
    if quantities := [_QUANTITIES[one] for one in field.metadata if one in _QUANTITIES]:
        return quantities[0]
    annotation = next((inner for inner in get_args(field.annotation) if inner is Path), field.annotation)
    if get_origin(annotation) is Literal:
        return " ".join(f"`{value}`" for value in get_args(annotation) if value)
    if annotation is Action:
        return " ".join(f"`{action}`" for action in Action)
    if is_list(field):
        return "list of blocks" if section_in(annotation) else "list"
    return _KINDS[annotation]


# The validator of an annotated type is what tells durations, sizes and times apart.
_QUANTITIES: Final = {
    get_args(kind)[1]: name for kind, name in ((Duration, "duration"), (ByteSize, "size"), (Time, "time"))
}
_KINDS: Final[dict[Any, str]] = {
    str: "text",
    bool: "boolean",
    int: "number",
    float: "number",
    Path: "path",
    SecretStr: "secret",
    dict[str, str]: "mapping",
}
_FORMATS: Final = {"duration": format_duration, "size": format_size, "time": format_time}


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True, validated_data={})
    assert value is not PydanticUndefined
    if kind := _FORMATS.get(_kind(field)):
        return f"`{kind(value)}`"
    match value:
        case None | "" | () | SecretStr():
            return ""
        case bool():
            return f"`{str(value).lower()}`"
        case tuple():
            return ", ".join(f"`{item}`" for item in value)
        case dict():
            return ""
        case _:
            return f"`{value}`"


def keys_outside_s3() -> set[str]:
    return {name for path in leaf_fields(Config) if not (name := ".".join(path)).startswith(_S3_PLACES)}


def sections_of_lists() -> set[type[Section]]:
    """Every section whose items stand in a list somewhere."""
    found: set[type[Section]] = set()
    waiting: list[type[Section]] = [Config]
    while waiting:
        section = waiting.pop()
        for field in fields_of(section).values():
            inner = section_in(field.annotation)
            if inner is not None:
                waiting.append(inner)
                if is_list(field):
                    found.add(inner)
    return found


if __name__ == "__main__":
    TARGET.write_text(document())
