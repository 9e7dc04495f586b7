"""Stream labels: a sorted tuple of (name, value) pairs, and the text and number derived from it."""

import json
from collections.abc import Mapping

import xxhash

Labels = tuple[tuple[str, str], ...]
"""Pairs sorted by name, each name once, no empty value. Hashable: the identity of a stream within a tenant."""


def labels_of(mapping: Mapping[str, str]) -> Labels:
    """The canonical form of a mapping. Empty values are dropped: in Loki an empty label is a missing label."""
    return tuple(sorted((name, value) for name, value in mapping.items() if value))


def format_labels(labels: Labels) -> str:
    """`{a="b", c="d"}`, the text Loki prints for a stream."""
    return "{" + ", ".join(f"{name}={quote(value)}" for name, value in labels) + "}"


def fingerprint(labels: Labels) -> int:
    """A stable 64-bit hash of the labels, for display and placement. Never used as an identity: it may collide."""
    return xxhash.xxh3_64_intdigest("\x00".join(part for pair in labels for part in pair).encode())


def quote(text: str) -> str:
    """A Go-style double-quoted string."""
    return json.dumps(text, ensure_ascii=False)
