"""The S3 client library set up for our use: one attempt per call, bounded waits, no checksums that we do not need."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from log_aggregator.storage.s3_settings import S3Settings

# Ranged reads of one query and the parts of a flush share the pool; more requests at once wait their turn.
POOL_CONNECTIONS = 64
_CONNECT_SECONDS = 5.0
# Between two pieces of an answer. S3's slow first bytes take a second or two.
_READ_SECONDS = 30.0
_SECOND_NS = 1_000_000_000


def s3_client(settings: S3Settings) -> AbstractAsyncContextManager[Any]:
    """Opens connections lazily; gives them back at the end of the context."""
    http = settings.http_config
    token = settings.session_token.get_secret_value()
    session = get_session()
    session.register("before-call.s3.HeadBucket", _do_not_redirect)
    client: AbstractAsyncContextManager[Any] = session.create_client(
        "s3",
        endpoint_url=settings.endpoint_url,
        region_name=settings.region_name,
        aws_access_key_id=settings.access_key or None,
        aws_secret_access_key=settings.secret_key.get_secret_value() or None,
        aws_session_token=token or None,
        verify=False if http.insecure_skip_verify else (http.ca_file or None),
        config=AioConfig(
            connector_args={"keepalive_timeout": http.idle_conn_timeout / _SECOND_NS},
            max_pool_connections=POOL_CONNECTIONS,
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=http.response_header_timeout / _SECOND_NS if http.response_header_timeout else _READ_SECONDS,
            # The retrying wrapper does it, with our clock and metrics.
            retries={"total_max_attempts": 1, "mode": "standard"},
            # Chunks and index objects carry their own checksums. Some servers return the whole object's checksum with
            # a range, and signing the payload costs half of the throughput.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={
                "addressing_style": "path" if settings.s3forcepathstyle else "auto",
                "payload_signing_enabled": False,
            },
        ),
    )
    return client


def _do_not_redirect(context: dict[str, Any], **_: object) -> None:
    """The client asks for a redirected bucket's region by HeadBucket, and for ever if that is redirected as well."""
    context["s3_redirect"]["redirected"] = True
