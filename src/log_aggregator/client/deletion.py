"""`delete`: asks a server to delete old entries."""

import time
from argparse import Namespace
from urllib.parse import urlencode

from log_aggregator.client.errors import ClientError, Refused
from log_aggregator.client.server import Server
from log_aggregator.model.quantity import format_rfc3339, parse_duration

_SECOND_NS = 1_000_000_000
_NOT_FOUND = 404
_BEGINNING = "1970-01-01T00:00:00Z"  # a Loki takes seconds of ten digits only


def delete(options: Namespace) -> int:
    """Everything that the query selects and that is older. Raises ClientError."""
    try:
        age_ns = parse_duration(options.older_than)
    except ValueError as error:
        raise ClientError(f"--older-than {options.older_than}: {error}") from error
    end = (time.time_ns() - age_ns) // _SECOND_NS
    parameters = urlencode([("query", options.query), ("start", _BEGINNING), ("end", str(end))])
    try:
        Server.of_options(options).post(f"/loki/api/v1/delete?{parameters}", b"", {})
    except Refused as error:
        if error.status != _NOT_FOUND:
            raise
        # Such a server, like a Loki, does not have the route at all.
        raise ClientError(f"{error}: the server deletes nothing unless compactor.retention_enabled is true") from error
    print(f"entries of {options.query} before {format_rfc3339(end * _SECOND_NS)} are deleted")
    return 0
