"""Stream labels: a sorted tuple of (name, value) pairs, and the text and number derived from it."""

import json
import re
from collections.abc import Mapping
from typing import Final

import xxhash

_INVALID_RUN: Final = re.compile(r"[^A-Za-z0-9]+")

Labels = tuple[tuple[str, str], ...]
"""Pairs sorted by name, each name once, no empty value. Hashable: the identity of a stream within a tenant."""


def labels_of(mapping: Mapping[str, str]) -> Labels:
    """The canonical form of a mapping. Empty values are dropped: in Loki an empty label is a missing label."""
    return tuple(sorted((name, value) for name, value in mapping.items() if value))


def format_labels(labels: Labels) -> str:
    """`{a="b", c="d"}`, the text Loki prints for a stream."""
    return "{" + ", ".join(f"{name}={quote(value)}" for name, value in labels) + "}"


def clean_name(name: str) -> str:
    """Every run of characters that are no ASCII letters or digits becomes one underscore, even where it was several.

    Names that begin and end with two underscores keep them. "" if nothing but underscores would be left.
    """
    if len(name) >= 4 and name.startswith("__") and name.endswith("__"):
        cleaned = f"__{_INVALID_RUN.sub('_', name[2:-2])}__"
    else:
        cleaned = _INVALID_RUN.sub("_", name)
    if not cleaned.strip("_"):
        return ""
    return f"key_{cleaned}" if cleaned[0].isdigit() else cleaned


def fingerprint(labels: Labels) -> int:
    """A stable 64-bit hash of the labels, for display and placement. Never used as an identity: it may collide."""
    return xxhash.xxh3_64_intdigest("\x00".join(part for pair in labels for part in pair).encode())


def quote(text: str) -> str:
    """A Go-style double-quoted string."""
    return json.dumps(text, ensure_ascii=False)
