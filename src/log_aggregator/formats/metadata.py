"""Structured metadata as canonical JSON text: equal metadata has equal text."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

_encoder = msgspec.json.Encoder(order="sorted")


def format_metadata(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """For each row `{"name":"value",...}` sorted by name, or "" where there is none."""
    if not rows:
        return []
    # JSON escapes line feeds, so one call for all rows can be cut at them.
    texts = _encoder.encode_lines(rows).decode().split("\n")
    return ["" if text == "{}" else text for text in texts[:-1]]


_decoder = msgspec.json.Decoder(dict[str, str])
_NONE: Mapping[str, str] = {}


@lru_cache(maxsize=65_536)
def parse_metadata(text: str) -> Mapping[str, str]:
    """The inverse of `format_metadata`. Callers must not change what they get: equal texts share one mapping."""
    return _decoder.decode(text) if text else _NONE
