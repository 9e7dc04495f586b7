"""The stage `json label="path"`: one walk over the line for all paths.

In JSON by the book it finds what stands there, so that is read by the decoder of `json_stages`, four times as fast.
The walk knows little of JSON's grammar: it sees strings followed by colons, brackets, and how deep they are. That is
what makes its answers about broken lines; it ends at the first thing it cannot step over, without an error.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from log_aggregator.engine.entry_labels import EntryLabels
from log_aggregator.engine.json_scan import Document, InvalidJson, Value, label_text, unescape
from log_aggregator.engine.json_stages import JSON_ERROR, document_members
from log_aggregator.engine.stage import Process
from log_aggregator.logql.ast import Extraction
from log_aggregator.logql.paths import Path, parse_json_path

_STRUCTURE = re.compile(r'[^"{}\[\]]*+(["{}\[\]])')
_STRUCTURE_OR_COLON = re.compile(r'[^"{}\[:]*+(["{}\[:])')

Found = Callable[[int, Value], None]
Failed = Callable[[str], None]


def compile_json_paths(extractions: Sequence[Extraction]) -> Process:
    """Every label is there, if only with an empty value."""
    names = tuple(extraction.label for extraction in extractions)
    paths = tuple(parse_json_path(extraction.expression) for extraction in extractions)
    tree = _Tree.of(paths)

    def process(line: str, labels: EntryLabels) -> str:
        if not line or labels.satisfied:
            return line
        if line[0] not in '"{[':
            labels.fail_parsing(JSON_ERROR)
            return line
        if (scalars := _scalars(line, tree)) is not None:
            for number, text in scalars.items():
                labels.set(labels.free_name(names[number]), text)
            _complete(labels, names, len(scalars))
            return line
        found = 0

        def take(number: int, value: Value) -> None:
            nonlocal found
            found += 1
            labels.set(labels.free_name(names[number]), _label_value(line, value))

        _Walk(Document(line), paths, take, lambda problem: labels.fail_parsing(JSON_ERROR, problem)).run()
        _complete(labels, names, found)
        return line

    return process


def _complete(labels: EntryLabels, names: Sequence[str], found: int) -> None:
    if found < len(names):
        for name in names:
            if labels.get(name) is None:
                labels.set(name, "")


@dataclass(slots=True)
class _Tree:
    """Paths by their keys, and the numbers of those that end here."""

    numbers: list[int] = field(default_factory=list)
    below: dict[str | int, "_Tree"] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Sequence[Path]) -> "_Tree":
        root = cls()
        for number, path in enumerate(paths):
            tree = root
            for key in path:
                tree = tree.below.setdefault(key, cls())
            tree.numbers.append(number)
        return root


class _NoScalar(Exception):
    """Its text is asked for, or the walk has a way of its own there."""


def _scalars(line: str, tree: _Tree) -> dict[int, str] | None:
    """What stands at the paths, by their numbers, in the order of the line; None if the walk has to find it."""
    members = document_members(line)
    if members is None:
        return None
    found: dict[int, str] = {}
    try:
        _find(members, tree, found)
    except (_NoScalar, RecursionError):
        return None
    return found


def _find(members: Iterable[tuple[str | int, Any]], tree: _Tree, found: dict[int, str]) -> None:
    """Of paths that lead to several values, the first. Raises _NoScalar."""
    for key, value in members:
        own = tree.below.get(key)
        if own is None:
            continue
        for number in own.numbers:
            if number not in found:
                found[number] = _scalar(value)
        if own.below and isinstance(value, str) and isinstance(key, int):
            raise _NoScalar  # the walk looks into a string there
        if own.below and not isinstance(value, str | bool | None):
            _find(enumerate(value) if isinstance(value, list) else value, own, found)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    raise _NoScalar


def _label_value(line: str, value: Value) -> str:
    raw = line[value.start : value.end]
    match value.kind:
        case "null":
            return ""
        case "object":
            return raw
        case _:
            return label_text(raw)


class _Walk:
    """Over one document, reporting each path's value once."""

    def __init__(self, document: Document, paths: Sequence[Path], found: Found, failed: Failed) -> None:
        self._document = document
        self._text = document.text
        self._paths = paths
        self._found = found
        self._failed = failed
        self._open = set(range(len(paths)))
        self._longest = max(map(len, paths))
        self._level = 0
        self._here: list[str | int] = [""] * self._longest

    def run(self) -> None:
        at: int | None = 0
        while at is not None and (found := _STRUCTURE.match(self._text, at)) is not None:
            at = found.end()
            match found[1]:
                case '"':
                    at = self._string(at - 1)
                case "{":
                    self._level += 1
                case "[":
                    at = self._array(at - 1)
                case _:
                    self._level -= 1

    def _string(self, start: int) -> int | None:
        """Where to go on; None where the walk ends."""
        found = _key_or_string(self._document, start, len(self._text))
        if found is None:
            return None
        key, place = found
        if key is None:
            return place
        if self._longest >= self._level:
            if self._level < 1:
                self._failed("Malformed JSON error")
                return None
            self._here[self._level - 1] = key
            self._take_members(place + 1)
            if not self._open:
                return None
        return place + 1

    def _take_members(self, at: int) -> None:
        here = self._here[: self._level]
        for number, path in enumerate(self._paths):
            if number in self._open and list(path) == here:
                self._take(number, at, len(self._text))

    def _take(self, number: int, at: int, end: int) -> None:
        self._open.discard(number)
        try:
            value = self._document.value(at, end)
        except InvalidJson as error:
            self._failed(str(error))
        else:
            self._found(number, value)

    def _array(self, start: int) -> int | None:
        """Where to go on; None where the walk ends."""
        if self._level < 0:
            self._failed("Malformed JSON error")
            return None
        wanted = [
            number
            for number, path in enumerate(self._paths)
            if number in self._open
            and len(path) > self._level
            and isinstance(path[self._level], int)
            and list(path[: self._level]) == self._here[: self._level]
        ]
        if not wanted:
            return self._document.block(start, len(self._text))
        self._level += 1
        values, after = self._document.elements(start, len(self._text))
        for number in wanted:
            index = self._paths[number][self._level - 1]
            if isinstance(index, int) and index < len(values):
                self._take_element(number, values[index])
        return after if self._open else None

    def _take_element(self, number: int, value: Value) -> None:
        rest = self._paths[number][self._level :]
        at = _search(self._document, rest, value.start, value.end)
        if at is None:
            self._open.discard(number)
        elif value.kind == "string":
            self._open.discard(number)
            self._found(number, Value("string", at, value.end, value.after))
        else:
            self._take(number, at, value.end)


def _key_or_string(document: Document, start: int, end: int) -> tuple[str | None, int] | None:
    """The key that begins here and the place of its colon; for a string that is no key, None and the next place.

    None where nothing follows, and where the key has a broken escape.
    """
    after = document.string(start, end)
    place = None if after is None else document.next(after, end)
    if after is None or place is None:
        return None
    if document.text[place] != ":":
        return None, place
    try:
        return unescape(document.text[start + 1 : after - 1]), place
    except InvalidJson:
        return None


def _search(document: Document, path: Path, start: int, end: int) -> int | None:
    """Where in this stretch the value of the path begins; None if it is not found."""
    if not path:
        return start
    level = matched = 0
    last_matched = True
    at = start
    while (found := _STRUCTURE_OR_COLON.match(document.text, at, end)) is not None:
        at = found.end()
        match found[1]:
            case '"':
                string = _key_or_string(document, at - 1, end)
                if string is None:
                    return None
                key, at = string
                if key is None:
                    continue
                if not 1 <= level <= len(path):
                    return None
                last_matched = key == path[level - 1]
                if last_matched and matched == level - 1:
                    matched += 1
                    if matched == len(path):
                        return at + 1
                at += 1
            case "{" if last_matched:
                level += 1
            case "}":
                level -= 1
                if level == matched:
                    matched -= 1
            case "[" if 0 <= level < len(path) and matched == level and isinstance(path[level], int):
                return _search_array(document, path[level:], at - 1, end)
            case "{" | "[":
                after = document.block(at - 1, end)
                if after is None:
                    return None
                at = after
            case _:
                return None
    return None


def _search_array(document: Document, path: Path, start: int, end: int) -> int | None:
    values, _ = document.elements(start, end)
    index = path[0]
    if not isinstance(index, int) or index >= len(values):
        return None
    value = values[index]
    if value.kind == "string":
        return _search(document, path[1:], value.start - 1, value.after)
    return _search(document, path[1:], value.start, value.end)
