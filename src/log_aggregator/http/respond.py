"""Successful answers: JSON as Loki sends it, compressed when the client takes it."""

import gzip
import re
from collections.abc import Iterable
from typing import Any

import msgspec
from sanic import Request
from sanic.response import HTTPResponse, raw

from log_aggregator.services.damage import current_damage

_JSON = "application/json; charset=UTF-8"
# Below this, compression saves no packet.
_MIN_COMPRESSED_BYTES = 1400
_GZIP_LEVEL = 1
_GZIP = re.compile(r"gzip(?:\s*;\s*q=(?!0(?:\.0*)?$)[0-9.]+)?", re.IGNORECASE)

_encoder = msgspec.json.Encoder()


def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding names gzip, and not with a weight of zero, which forbids it."""
    return any(_GZIP.fullmatch(coding.strip()) for coding in accepted.split(","))


def media_types(accept: str) -> Iterable[str]:
    """The types of an Accept header in its own order, parameters left out."""
    return (part.partition(";")[0].strip().lower() for part in accept.split(","))


def json_response(request: Request, body: Any, *, status: int = 200) -> HTTPResponse:
    """Any value that msgspec encodes. An object says what it lacks, as Loki's `warnings` do."""
    damage = current_damage()
    if damage:
        body = {**body, "warnings": damage.warnings()}
    return compressed(request, _encoder.encode(body), _JSON, status=status)


def compressed(request: Request, body: bytes, content_type: str, *, status: int = 200) -> HTTPResponse:
    headers = {"Vary": "Accept-Encoding"}
    if len(body) >= _MIN_COMPRESSED_BYTES and takes_gzip(request.headers.get("accept-encoding", "")):
        body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return raw(body, status=status, headers=headers, content_type=content_type)


def success(data: Any) -> dict[str, Any]:
    """Loki's envelope."""
    return {"status": "success", "data": data}
