"""The names and values that structured metadata may have, and how much of it there is."""

from typing import Final

from log_aggregator.model.labels import clean_name
from log_aggregator.services.level import DETECTED_LEVEL

_BROKEN: Final = "\ufffd"
_KNOWN_NAMES: Final = 10_000
_KNOWN_LENGTH: Final = 128
_known_clean: Final[set[str]] = set()
"""The same few names come with every entry."""


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
    are_clean = _known_clean.issuperset(metadata) or all(map(_is_clean, metadata))
    if are_clean and all(metadata.values()) and _BROKEN not in "".join(metadata.values()):
        return metadata
    repaired = [(name, value.replace(_BROKEN, " ")) for name, value in metadata.items()]
    kept = {name: value for name, value in repaired if value and _is_clean(name)}
    changed = {clean_name(name): value for name, value in repaired if value and not _is_clean(name)}
    return kept | changed


def _is_clean(name: str) -> bool:
    if name in _known_clean:
        return True
    is_clean = clean_name(name) == name != ""
    if is_clean and len(name) <= _KNOWN_LENGTH:
        if len(_known_clean) >= _KNOWN_NAMES:
            _known_clean.clear()
        _known_clean.add(name)
    return is_clean
