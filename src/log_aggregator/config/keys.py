"""What becomes of keys that Loki knows and this program does not have under that name.

Renamed: older spellings, and keys whose meaning lives elsewhere. Refused: to ignore them would be dangerous. Ignored:
they set up what does not exist here (rings, gossip, caches of processes), or tune what works differently.
Source: Loki's configuration references since 2.4 and its upgrade notes. What a release knew stays here when later ones
drop it, since files outlive releases.
"""

from collections.abc import Mapping
from typing import Final

_S3_CHANGES: Final = {
    "bucket_name": "bucketnames",
    "http.tls_ca_path": "http_config.ca_file",
    "http.idle_conn_timeout": "http_config.idle_conn_timeout",
    "http.response_header_timeout": "http_config.response_header_timeout",
    "http.insecure_skip_verify": "http_config.insecure_skip_verify",
    "bucket_lookup_type": "s3forcepathstyle",
    "max_retries": "backoff_config.max_retries",
}

RENAMED: Final[Mapping[str, str]] = {
    "retention_period": "limits_config.retention_period",
    "table_manager.retention_period": "limits_config.retention_period",
    "table_manager.retention_deletes_enabled": "compactor.retention_enabled",
    "chunk_store_config.max_look_back_period": "limits_config.max_query_lookback",
    "ingester.max_streams_per_user": "limits_config.max_global_streams_per_user",
    "querier.query_timeout": "limits_config.query_timeout",
    "querier.engine.timeout": "limits_config.query_timeout",
    "query_scheduler.max_outstanding_requests_per_tenant": "frontend.max_outstanding_per_tenant",
    "query_range.split_queries_by_interval": "limits_config.split_queries_by_interval",
    "limits_config.max_entries_limit": "limits_config.max_entries_limit_per_query",
    "limits_config.per_tenant_override_config": "runtime_config.file",
    "limits_config.per_tenant_override_period": "runtime_config.period",
    "storage_config.boltdb_shipper.shared_store": "storage_config.shared_store",
    "storage_config.tsdb_shipper.shared_store": "storage_config.shared_store",
    "common.storage.object_store": "storage_config.object_store",
    **{
        f"storage_config.object_store.s3.{old}": f"storage_config.object_store.s3.{new}"
        for old, new in _S3_CHANGES.items()
    },
}

_ONLY_S3 = "only s3 (also for gcs, through its S3 interoperability) and filesystem are supported"
_NO_PREFIX = "give this installation a bucket or directory of its own"

REFUSED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        [f"common.storage.{kind}" for kind in ("gcs", "azure", "alibabacloud", "bos", "cos", "swift")], _ONLY_S3
    ),
    "lbac": "label based access control is not supported",
    **dict.fromkeys(
        [f"server.http_tls_config.{name}" for name in ("cert", "key", "client_ca")], "name a file, as in cert_file"
    ),
    **dict.fromkeys(
        ["storage_config.aws.sse_encryption", "common.storage.s3.sse_encryption"], "write it as sse: {type: SSE-S3}"
    ),
    "storage_config.object_prefix": _NO_PREFIX,
    "storage_config.object_store.storage_prefix": _NO_PREFIX,
}
"""Unless their value is empty or false."""

_IGNORED_BLOCKS: Final = """
    analytics ballast_bytes block_builder block_scheduler bloom_build bloom_compactor bloom_gateway chunk_store_config
    compactor_client compactor_grpc_client dataobj dataobj_explorer frontend_worker http_prefix index_cache_validity
    index_gateway ingest_limits ingest_limits_frontend ingest_limits_frontend_client ingester_client ingester_rf1
    ingester_rf1_client internal_server kafka_config kafka_ingester legacy_read_target memberlist metastore
    metastore_client metrics_namespace operational_config overrides_exporter partition_ring profiling querier_rf1
    query_engine query_scheduler ruler ruler_storage shutdown_delay table_manager tenant_limits_allow_publish tracing
    ui use_buffered_logger use_sync_logger
"""

_IGNORED_KEYS: Final[Mapping[str, str]] = {
    "server": """
        cluster_validation create_new_traces grpc_collect_max_streams_by_conn grpc_listen_address
        grpc_listen_conn_limit grpc_listen_network grpc_listen_port grpc_server_keepalive_time
        grpc_server_keepalive_timeout grpc_server_max_concurrent_streams grpc_server_max_connection_age
        grpc_server_max_connection_age_grace grpc_server_max_connection_idle grpc_server_max_recv_msg_size
        grpc_server_max_send_msg_size grpc_server_min_time_between_pings grpc_server_num_workers
        grpc_server_ping_without_stream_allowed grpc_server_read_buffer_size grpc_server_recv_buffer_pools_enabled
        grpc_server_stats_tracking_enabled grpc_server_write_buffer_size grpc_tls_config
        http_listen_network http_log_closed_connections_without_response_enabled http_server_read_header_timeout
        log_format log_request_at_info_level_enabled log_request_exclude_headers_list log_request_headers
        log_source_ips_enabled log_source_ips_full log_source_ips_header log_source_ips_regex proxy_protocol_enabled
        register_instrumentation report_grpc_codes_in_instrumentation_label_enabled tls_cipher_suites
        trace_request_exclude_headers_list trace_request_headers
    """,
    "common": """
        compactor_address compactor_grpc_address instance_addr instance_enable_ipv6 instance_interface_names
        persist_tokens replication_factor ring scratch_path
    """,
    "common.storage": "congestion_control hedging",
    "common.storage.filesystem": "rules_directory",
    "storage_config": """
        alibabacloud alibabacloud_storage_config azure bigtable bloom_shipper boltdb boltdb_shipper bos cassandra
        congestion_control cos disable_broad_index_queries gcs grpc_store hedging index_cache_validity
        index_queries_cache_config max_chunk_batch_size max_parallel_get_chunk named_stores swift tsdb_shipper
    """,
    "storage_config.aws": "chunk_delimiter congestion_control disable_dualstack dynamodb native_aws_auth_enabled",
    "common.storage.s3": "chunk_delimiter congestion_control disable_dualstack native_aws_auth_enabled",
    "storage_config.object_store": "alibaba azure bos cos gcs named_stores swift",
    "storage_config.object_store.s3": """
        dualstack_enabled http list_objects_version native_aws_auth_enabled part_size
        send_content_md5 sts_endpoint trace
    """,
    "schema_config.configs": "chunks row_shards",
    "schema_config.configs.index": "path_prefix tags",
    "distributor": """
        circuit_breaker client_cleanup_period dataobj_tee default_policy_stream_mappings health_check_ingesters
        ingest_limits_dry_run_enabled ingest_limits_enabled ingester_writes_enabled kafka_config kafka_writes_enabled
        max_inflight_bytes otlp_attribute_logging push_worker_count rate_store remote_timeout ring
        tenant_topic write_failures_logging
    """,
    "ingester": """
        autoforget_unhealthy chunk_block_size chunk_encoding chunk_retain_period concurrent_flushes
        delegate_stream_limits_enabled flush_check_period flush_op_backoff flush_op_timeout index_shards kafka_ingestion
        lifecycler max_dropped_streams max_transfer_retries owned_streams_check_interval
        query_store_max_look_back_period shutdown_marker_path sync_min_utilization sync_period unordered_writes wal
    """,
    "querier": """
        dataobj_storage_lag dataobj_storage_start engine engine_v2 extra_query_delay query_ingester_only
        query_ingesters_within query_partition_ingesters query_store_only
    """,
    "frontend": """
        address compress_responses downstream_url encoding graceful_shutdown_timeout grpc_client_config
        instance_enable_ipv6 instance_interface_names log_query_request_headers max_body_size max_cache_freshness port
        querier_forget_delay query_stats_enabled scheduler_address scheduler_dns_lookup_period
        scheduler_worker_concurrency tail_proxy_url tail_tls_config
    """,
    "query_range": """
        align_queries_with_step cache_index_stats_results cache_instant_metric_results cache_label_results
        cache_series_results cache_volume_results enable_v2_engine_router forward_headers_list
        index_stats_results_cache instant_metric_query_split_align instant_metric_results_cache label_results_cache
        max_retries min_sharding_lookback parallelise_shardable_queries required_query_response_format results_cache
        series_results_cache shard_aggregations split_queries_by_day volume_results_cache
    """,
    "compactor": """
        allow_deletes apply_retention_interval backup_delete_request_store_db_type compactor_ring delete_batch_size
        delete_request_store delete_request_store_db_type delete_request_store_key_prefix
        deletion_marker_object_store_prefix deletion_mode horizontal_scaling_mode jobs_config max_compaction_parallelism
        retention_backoff_config retention_delete_worker_count retention_table_timeout shared_store
        shared_store_key_prefix skip_latest_n_tables tables_to_compact upload_parallelism worker_config
        working_directory
    """,
    "pattern_ingester": """
        chunk_duration client_config concurrent_flushes connection_timeout flush_check_period lifecycler
        max_allowed_line_length max_chunk_age max_clusters max_eviction_ratio metric_aggregation pattern_persistence
        pattern_sample_interval retain_for tee_config volume_threshold
    """,
    "runtime_config": """
        http_client_cluster_validation http_client_disable_keep_alives http_client_timeout
    """,
    "limits_config": """
        allow_deletes block_ingestion_policy_until bloom_block_encoding bloom_build_builder_response_timeout
        bloom_build_max_builders bloom_build_task_max_retries bloom_compactor_enable_compaction
        bloom_compactor_max_block_size bloom_compactor_max_bloom_size bloom_compactor_shard_size
        bloom_creation_enabled bloom_false_positive_rate bloom_gateway_cache_key_interval
        bloom_gateway_enable_filtering bloom_gateway_shard_size bloom_max_block_size bloom_max_bloom_size
        bloom_ngram_length bloom_ngram_skip bloom_planning_strategy bloom_prefetch_blocks
        bloom_split_series_keyspace_by bloom_task_target_series_chunk_size cardinality_limit
        dataobj_index_compaction_enabled dataobj_log_compaction_enabled debug_engine_streams debug_engine_tasks
        discover_generic_fields enable_multi_variant_queries enforce_metric_name
        engine_results_cache_time_bucket_interval index_gateway_max_capacity index_gateway_shard_size
        ingestion_partitions_tenant_shard_size max_chunks_per_query max_metadata_cache_freshness
        max_queriers_per_tenant max_queriers_per_user max_query_capacity max_scan_task_parallelism
        max_stats_cache_freshness metric_aggregation_enabled min_sharding_lookback
        pattern_ingester_tokenizable_json_fields_append pattern_ingester_tokenizable_json_fields_default
        pattern_ingester_tokenizable_json_fields_delete pattern_persistence_enabled pattern_persistence_granularity
        pattern_rate_threshold policy_enforced_labels policy_override_limits policy_stream_mapping
        query_ready_index_num_days query_split_duration recent_metadata_query_window ruler_alertmanager_config
        ruler_enable_wal_cleanup ruler_enable_wal_replay ruler_evaluation_delay_duration
        ruler_max_rule_groups_per_tenant ruler_max_rules_per_rule_group ruler_remote_evaluation_max_response_size
        ruler_remote_evaluation_timeout ruler_remote_write_config ruler_remote_write_disabled
        ruler_remote_write_headers ruler_remote_write_queue_batch_send_deadline ruler_remote_write_queue_capacity
        ruler_remote_write_queue_max_backoff ruler_remote_write_queue_max_samples_per_send
        ruler_remote_write_queue_max_shards ruler_remote_write_queue_min_backoff ruler_remote_write_queue_min_shards
        ruler_remote_write_queue_retry_on_ratelimit ruler_remote_write_relabel_configs ruler_remote_write_sigv4_config
        ruler_remote_write_timeout ruler_remote_write_url ruler_tenant_shard_size s3_sse_kms_encryption_context
        s3_sse_kms_key_id s3_sse_type shard_aggregations shard_streams simulated_push_latency sort_schema
        split_ingester_queries_by_interval split_instant_metric_queries_by_interval split_metadata_queries_by_interval
        split_recent_metadata_queries_by_interval tsdb_max_bytes_per_shard tsdb_precompute_chunks
        tsdb_sharding_strategy unordered_writes use_owned_stream_count
    """,
}

IGNORED: Final = frozenset(_IGNORED_BLOCKS.split()) | {
    f"{block}.{key}" for block, keys in _IGNORED_KEYS.items() for key in keys.split()
}
"""Dotted paths, without the indices of lists; what is below them is ignored with them."""
