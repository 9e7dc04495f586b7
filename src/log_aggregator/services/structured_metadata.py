"""The names and values that structured metadata may have, and how much of it there is."""

from functools import lru_cache
from typing import Final

from log_aggregator.model.labels import clean_name
from log_aggregator.services.level import DETECTED_LEVEL

_BROKEN: Final = "\ufffd"
_CACHED_NAMES: Final = 10_000
_CACHED_LENGTH: Final = 128


def metadata_bytes(metadata: dict[str, str]) -> int:
    """What limits count: names and values in UTF-8, but not the level, which the server adds itself."""
    text = "".join(metadata) + "".join(metadata.values())
    size = len(text) if text.isascii() else len(text.encode())
    if DETECTED_LEVEL in metadata:
        size -= len(DETECTED_LEVEL) + len(metadata[DETECTED_LEVEL].encode())
    return size


def clean_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """With names as label names, without empty values, with spaces for what was broken in values.

    Of two names that become one, the one that had to be changed wins. A name that cannot be made one becomes "".
    """
    if all(map(_is_clean, metadata)) and all(metadata.values()) and _BROKEN not in "".join(metadata.values()):
        return metadata
    repaired = [(name, value.replace(_BROKEN, " ")) for name, value in metadata.items()]
    kept = {name: value for name, value in repaired if value and _is_clean(name)}
    changed = {clean_name(name): value for name, value in repaired if value and not _is_clean(name)}
    return kept | changed


def _is_clean(name: str) -> bool:
    return _is_clean_cached(name) if len(name) <= _CACHED_LENGTH else clean_name(name) == name


@lru_cache(_CACHED_NAMES)
def _is_clean_cached(name: str) -> bool:
    """The same few names come with every entry."""
    return clean_name(name) == name != ""
