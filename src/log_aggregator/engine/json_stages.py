"""The stages json (all fields) and unpack."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, NoReturn

from log_aggregator.engine.entry_labels import (
    EXTRACTED,
    LONGEST_NAME,
    REPLACEMENT,
    EntryLabels,
    join_names,
    joined,
    sanitise,
)
from log_aggregator.engine.json_scan import Document, InvalidJson, label_text, unescape
from log_aggregator.logql.template.strconv import SPACE

JSON_ERROR: Final = "JSONParserErr"
PACKED_ENTRY: Final = "_entry"
_MAX_DEPTH: Final = 100

Members = Iterator[tuple[str, Any]]
"""Of an object: strings (numbers are their text), booleans, iterators for objects; None and lists are skipped."""


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(object_pairs_hook=iter, parse_float=str, parse_int=str, parse_constant=_refuse)
# Numbers are not told as texts, as `unpack` wants only strings.
_DECODER_OF_STRINGS = json.JSONDecoder(object_pairs_hook=iter, parse_constant=_refuse)
# Escapes of surrogates, and of U+FFFD.
_OWN_RULES = re.compile(r"\\u(?:[dD][89a-fA-F]|[fF]{3}[dD])")


def extract_json(line: str, labels: EntryLabels) -> str | None:
    if labels.satisfied:
        return line
    try:
        if not labels.extract_all(_fields(_members(line), labels)):
            return None
    except InvalidJson as error:
        labels.fail_parsing(JSON_ERROR, str(error))
    return line


def document_members(line: str, decoder: json.JSONDecoder = _DECODER) -> Members | None:
    """None for all but an object by the book. Surrogates and U+FFFD have rules of their own."""
    if REPLACEMENT in line or ("\\u" in line and _OWN_RULES.search(line)):
        return None
    try:
        document = decoder.decode(line)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, Iterator) else None


def _members(line: str) -> Members:
    """The fast way for JSON by the book, the lenient one for all else."""
    return document_members(line) or _lenient_members(Document(line), 0, len(line))


def _lenient_members(document: Document, at: int, end: int) -> Members:
    for key, value in document.members(at, end):
        match value.kind:
            case "object":
                yield key, _lenient_members(document, value.start, value.end)
            case "array" | "null":
                yield key, None
            case _:
                yield key, document.label_value(value)


def _fields(members: Members, labels: EntryLabels) -> Iterator[tuple[str, str]]:
    """Scalars by the names of labels, from the first to the last, at any reasonable depth. Raises InvalidJson."""
    demand = labels.demand
    pending = [("", members)]
    while pending:
        prefix, members = pending[-1]
        is_nested = len(pending) > 1
        for key, value in members:
            # What join_names does, without the call: there is one for each field of each line.
            name = joined(prefix, key) if len(prefix) + len(key) <= LONGEST_NAME else join_names(prefix, key)
            if isinstance(value, str):
                text = value
            elif isinstance(value, bool):
                text = "true" if value else "false"
            elif value is None or isinstance(value, list) or len(name) >= LONGEST_NAME:
                continue
            elif demand.wants_prefix(name):
                pending.append((name, value))
                break
            else:
                continue
            if is_nested and key[-1:] in SPACE and labels.free_name(name) != name:
                # It is the key that gets the suffix: which tells where it is empty or ends in white space.
                name = join_names(prefix, key + EXTRACTED)
            if name:
                yield name, text
        else:
            pending.pop()


def all_fields(line: str) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """The keys that lead to each field that `extract_json` finds, its name before it is told from others, its text.

    Raises InvalidJson, behind what is before the fault; also where objects are too deep to remember the keys to them.
    """
    pending: list[tuple[tuple[str, ...], str, Members]] = [((), "", _members(line))]
    while pending:
        path, prefix, members = pending[-1]
        for key, value in members:
            name = join_names(prefix, key)
            if isinstance(value, bool):
                yield (*path, key), name, "true" if value else "false"
            elif isinstance(value, str):
                yield (*path, key), name, value
            elif isinstance(value, Iterator) and len(name) < LONGEST_NAME:
                if len(path) >= _MAX_DEPTH:
                    raise InvalidJson("too deep")
                pending.append(((*path, key), name, value))
                break
        else:
            pending.pop()


def field_paths(line: str) -> dict[str, tuple[str, ...]]:
    """The keys that lead to each field that `extract_json` finds, by its name."""
    paths: dict[str, tuple[str, ...]] = {}
    with suppress(InvalidJson):  # as the stage: what is before the fault counts
        for path, name, _ in all_fields(line):
            paths.setdefault(name, path)
    return paths


def unpack(line: str, labels: EntryLabels) -> str | None:
    """Only what has a packed entry is unpacked."""
    if not line or labels.satisfied:
        return line
    if line[0] != "{":
        labels.fail_parsing(JSON_ERROR, "expecting json object(6), but it is not")
        return line
    entry: str | None = None
    found: list[tuple[str, str]] = []
    try:
        for key, text in _strings(line):
            if key == PACKED_ENTRY:
                entry = text
            elif labels.is_open(name := labels.free_name(key)):
                found.append((sanitise(name), text))
    except InvalidJson as error:
        labels.fail_parsing(JSON_ERROR, str(error))
        return line
    if entry is None:
        return line
    for name, text in found:
        labels.set(name, text)
        if not labels.holds(name):
            return None
    return entry


def _strings(line: str) -> Iterator[tuple[str, str]]:
    """The members of an object that are strings. Raises InvalidJson, behind what is before the fault."""
    if (members := document_members(line, _DECODER_OF_STRINGS)) is not None:
        return ((key, value) for key, value in members if isinstance(value, str))
    return _lenient_strings(Document(line))


def _lenient_strings(document: Document) -> Iterator[tuple[str, str]]:
    for key, value in document.members(0, len(document.text)):
        if value.kind == "string":
            raw = document.text[value.start : value.end]
            yield key, unescape(raw) if key == PACKED_ENTRY else label_text(raw)
