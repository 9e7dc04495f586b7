"""`delete`: asks a server to delete old entries."""

import time
from argparse import Namespace
from urllib.parse import urlencode

from log_aggregator.client.errors import ClientError
from log_aggregator.client.moments import format_moment
from log_aggregator.client.server import Server
from log_aggregator.model.quantity import parse_duration

_SECOND_NS = 1_000_000_000


def delete(options: Namespace) -> int:
    """Everything that the query selects and that is older. Raises ClientError."""
    try:
        age_ns = parse_duration(options.older_than)
    except ValueError as error:
        raise ClientError(f"--older-than {options.older_than}: {error}") from error
    end = (time.time_ns() - age_ns) // _SECOND_NS
    parameters = urlencode([("query", options.query), ("start", "0"), ("end", str(end))])
    Server.of_options(options).post(f"/loki/api/v1/delete?{parameters}", b"", {})
    print(f"entries of {options.query} before {format_moment(end * _SECOND_NS)} are deleted")
    return 0
