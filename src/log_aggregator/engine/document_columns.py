"""Fields of JSON lines that have no shape, because their keys come in ever different order, or are too many.

They are known if each has one place in the line where it may come from, and it is a member's key: then it stands behind
the text of the key, once an expression has told that the line is JSON by the book. Lines that are nested deeper than
expressions can tell are read by a decoder that keeps nothing but these members, in a part of the time that the json
stage takes.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from operator import attrgetter
from typing import Any, Final

import msgspec
import polars as pl

from log_aggregator.engine.entry_labels import EXTRACTED, REPLACEMENT
from log_aggregator.engine.fields import OWN_RULES, Fields, unescaped_json
from log_aggregator.engine.shapes import ESCAPE, PLAIN
from log_aggregator.model.columns import constant, where

_SPACE: Final = r"[ \t\r\n]*"
# Keys that are empty, or begin or end in what is stripped from names, or have escapes.
_ODD_KEYS: Final = rf'[\s"]"{_SPACE}:|[{{,]{_SPACE}"\s|\\"?[^"]*"{_SPACE}:'
# Those that may be labels of errors, alone or as the first of several.
_SIGN_IN_KEY: Final = '[^A-Za-z0-9"]'
_KEYS_OF_ERRORS: Final = (
    rf'"{_SIGN_IN_KEY}{{2}}(?:error(?:{_SIGN_IN_KEY}details)?|preserve(?:{_SIGN_IN_KEY}error)?)(?:{_SIGN_IN_KEY}{{2}})?"'
    rf'|"{_SIGN_IN_KEY}"{_SPACE}:{_SPACE}\{{'
)
# Those that are none of these.
_KEY: Final = r'"[^A-Za-z0-9\s"\\\x00-\x1f]?[A-Za-z0-9](?:[^"\\\x00-\x1f]*[^\s"\\\x00-\x1f])?"'
_STRING: Final = rf'"(?:{PLAIN}|{ESCAPE})*"'
_NUMBER: Final = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_SCALAR: Final = rf"(?:{_STRING}|{_NUMBER}|true|false|null)"


def _several(element: str) -> str:
    """Any number of these, with commas between them."""
    return rf"{_SPACE}(?:{element}{_SPACE}(?:,{_SPACE}{element}{_SPACE})*)?"


def _member(depth: int) -> str:
    """One in whose value so many objects are in each other at most. Objects in arrays would take far longer."""
    objects = rf"|\{{{_several(_member(depth - 1))}\}}" if depth else ""
    return rf"{_KEY}{_SPACE}:{_SPACE}(?:{_SCALAR}|\[{_several(_SCALAR)}\]{objects})"


_MEMBER: Final = _member(3)
_DOCUMENT: Final = rf"^{_SPACE}\{{{_several(_MEMBER)}\}}{_SPACE}$"
_SAMPLE_LINES: Final = 64
_LEAST_SHARE: Final = 0.75
# Each takes a pass over the lines.
_MOST_KEYS: Final = 12
_LAST_INDEX: Final = 9
# Beside a label of the stream, a field is named so; it must not be there already.
_EXTRACTED: Final = EXTRACTED.lstrip("_") + '"'
_SIGN: Final = "[^A-Za-z0-9]"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*")
_ABSENT: Final = msgspec.Raw(b"null")

Path = tuple[str | int, ...]
"""The keys that lead to a member, and perhaps the index of an element of its array."""
_Decode = Callable[[str], msgspec.Struct]
_Get = Callable[[msgspec.Struct], str]


def fields_of_documents(lines: pl.Series, names: Sequence[str]) -> Fields:
    """`shape` is 1 for lines in which the fields of these names are known, else 0.

    They are those of the json stage without extractions.
    """
    if not _are_plain(names):
        return _nothing_known(len(lines), names)
    told = _told_at_most_once(lines, names)
    told &= ~lines.str.contains(_EXTRACTED, literal=True)
    for name in names:
        if "_" in name:
            # Other signs become `_`, and so does what is between the keys of an object in an object.
            *objects, _ = accumulate(name.split("_"), lambda left, right: f"{left}{_SIGN}{right}")
            keys = lines.str.count_matches('"' + name.replace("_", _SIGN) + '"')
            told &= keys == lines.str.count_matches(f'"{name}"', literal=True)
            told &= ~lines.str.contains(rf'(?:{"|".join(objects)}){_SIGN}*"{_SPACE}:{_SPACE}\{{')
    rows, members = _members(lines, told, {name: (name,) for name in names}, f"{_ODD_KEYS}|{_KEYS_OF_ERRORS}")
    return _fields(len(lines), rows, members)


def extracted_members(lines: pl.Series, paths: Mapping[str, Path]) -> Fields:
    """As `fields_of_documents`, of a stage that extracts what these paths lead to, by label."""
    ways = [_keys(path) for path in paths.values()]
    keys = list(chain.from_iterable(ways))
    is_ambiguous = any(way != own and way[: len(own)] == own for own in ways for way in ways)
    is_far = any(isinstance(key, int) and key > _LAST_INDEX for path in paths.values() for key in path)
    if not _are_plain(keys) or is_ambiguous or is_far:
        return _nothing_known(len(lines), list(paths))
    told = _told_at_most_once(lines, sorted(set(keys))) & lines.str.starts_with("{")
    rows, members = _members(lines, told, paths, None)
    are_scalars = constant(True, len(rows), pl.Boolean)
    for texts in members.values():
        are_scalars &= ~_are_nested(texts)  # such a label is the text as it stands there
    known = {label: texts.filter(are_scalars) for label, texts in members.items()}
    return _fields(len(lines), rows.filter(are_scalars), known)


def _are_plain(keys: Sequence[str]) -> bool:
    """Whether these are few enough, and labels of these names can come from few other keys."""
    return len(keys) <= _MOST_KEYS and all(map(_NAME.fullmatch, keys))


def _nothing_known(height: int, names: Sequence[str]) -> Fields:
    return _fields(height, pl.Series([], dtype=pl.UInt32), {name: pl.Series([], dtype=pl.String) for name in names})


def _told_at_most_once(lines: pl.Series, names: Sequence[str]) -> pl.Series:
    """In which lines each of the names stands once at most between quotes; keys with escapes may mean it, too."""
    told = ~(lines.str.contains(REPLACEMENT, literal=True) | lines.str.contains(OWN_RULES))
    for name in names:
        told &= lines.str.count_matches(f'"{name}"') <= 1  # in a third of the time that it takes as a literal
    return told


def _members(
    lines: pl.Series, told: pl.Series, paths: Mapping[str, Path], odd: str | None
) -> tuple[pl.Series, Mapping[str, pl.Series]]:
    """Of the rows that are JSON by the book, what the paths lead to, as it stands there, or `null`.

    Not of those with `odd` keys: the decoder does not see them.
    """
    rows = told.arg_true()
    lines = lines.gather(rows)
    is_document = _are_documents(lines)
    for key, opening in {(key, _opening(below)) for path in paths.values() for key, below in pairwise(path)}:
        is_document &= ~lines.str.contains(rf'"{key}"{_SPACE}:{_SPACE}[^{opening} \t\r\n]')
    left = ~is_document & ~lines.str.contains(r"\u", literal=True)
    if odd is not None and left.any():
        left &= ~lines.str.contains(odd)
    are_read, read = _decoded(lines.filter(left), list(paths.values()))
    documents = lines.filter(is_document)
    members = {label: pl.concat([_behind_keys(documents, path), read[path]]) for label, path in paths.items()}
    return rows.gather(pl.concat([is_document.arg_true(), left.arg_true().filter(are_read)])), members


def _are_documents(lines: pl.Series) -> pl.Series:
    """Which lines the expression tells of; if it does of few, the decoder is as quick with those."""
    some = lines.gather_every(max(1, len(lines) // _SAMPLE_LINES))
    if not some.str.contains(_DOCUMENT).sum() > _LEAST_SHARE * len(some):
        return constant(False, len(lines), pl.Boolean)
    return lines.str.contains(_DOCUMENT)


def _behind_keys(documents: pl.Series, path: Path) -> pl.Series:
    """What the path leads to, in lines that have each of its keys once, and not in strings."""
    way = rf"\{{{_SPACE}(?:{_MEMBER}{_SPACE},{_SPACE})*"
    keys = _keys(path)
    leads = documents.str.contains(f"^{_SPACE}" + "".join(f'{way}"{key}"{_SPACE}:{_SPACE}' for key in keys))
    before = "".join(rf"\[{_SPACE}(?:{_SCALAR}{_SPACE},{_SPACE}){{{index}}}" for index in path[len(keys) :])
    texts = documents.str.extract(rf'"{keys[-1]}"{_SPACE}:{_SPACE}{before}({_STRING}|[^"\s,}}\]]+)')
    return where(leads, texts).fill_null("null")


def _keys(path: Path) -> list[str]:
    return [key for key in path if isinstance(key, str)]


def _opening(below: str | int) -> str:
    """How the value begins that has it."""
    return r"\[" if isinstance(below, int) else "{"


def _decoded(lines: pl.Series, paths: Sequence[Path]) -> tuple[pl.Series, Mapping[Path, pl.Series]]:
    """Which of the lines are JSON by the book, and what the paths lead to in these."""
    decode, getters = _decoder(tuple(paths))
    found: list[list[str] | None] = []
    for line in lines:
        try:
            document = decode(line)
        except (msgspec.MsgspecError, RecursionError):
            found.append(None)
        else:  # at once: what stands there holds the whole line
            found.append([get(document) for get in getters])
    texts = [one for one in found if one is not None]
    members = {path: pl.Series([own[n] for own in texts], dtype=pl.String) for n, path in enumerate(paths)}
    return pl.Series([one is not None for one in found], dtype=pl.Boolean), members


def _fields(height: int, rows: pl.Series, members: Mapping[str, pl.Series]) -> Fields:
    """Of so many lines, of which these rows have these members."""
    nothing = constant(None, height, pl.String)
    values = {name: nothing.clone().scatter(rows, _labels(texts)) for name, texts in members.items()}
    return Fields(constant(0, height, pl.UInt16).scatter(rows, 1), values)


@lru_cache(maxsize=64)
def _decoder(paths: tuple[Path, ...]) -> tuple[_Decode, Sequence[_Get]]:
    """Of an object, nothing but what these paths lead to, with what gets that for each of them."""
    keys = sorted({key for path in paths for key in _keys(path)})
    attribute_of = {key: f"member{number}" for number, key in enumerate(keys)}
    getters = [_getter(path, attribute_of) for path in paths]
    return msgspec.json.Decoder(_struct([tuple(_keys(path)) for path in paths], attribute_of)).decode, getters


def _getter(path: Path, attribute_of: Mapping[str, str]) -> _Get:
    keys = _keys(path)
    member = attrgetter(".".join(attribute_of[key] for key in keys))
    if len(keys) == len(path):
        return lambda document: bytes(member(document)).decode()
    (index,) = path[len(keys) :]
    assert isinstance(index, int)
    return lambda document: _element(bytes(member(document)), index)


def _element(array: bytes, index: int) -> str:
    """What is not there is null. Of what is no array, the text, as if it were found, of an object."""
    if array == b"null":
        return "null"
    if not array.startswith(b"["):
        return "{}"
    elements = msgspec.json.decode(array, type=list[msgspec.Raw])
    return bytes(elements[index]).decode() if index < len(elements) else "null"


def _struct(paths: Sequence[Sequence[str]], attribute_of: Mapping[str, str]) -> type[msgspec.Struct]:
    """Of the members that the paths begin with; one that they go on in is a structure itself, empty if missing."""
    members: list[tuple[str, type, Any]] = []
    for key in dict.fromkeys(path[0] for path in paths):
        below = [path[1:] for path in paths if path[0] == key]
        if not all(below):
            members.append((attribute_of[key], msgspec.Raw, _ABSENT))
        else:
            inner = _struct(below, attribute_of)
            members.append((attribute_of[key], inner, msgspec.field(default_factory=inner)))
    rename = {attribute: key for key, attribute in attribute_of.items()}
    return msgspec.defstruct("Members", members, rename=rename, gc=False)


def _labels(texts: pl.Series) -> pl.Series:
    """Values of JSON as labels have them, null for what gives none."""
    has_none = _are_nested(texts) | (texts == "null")
    strings = where(texts.str.starts_with('"'), texts.str.slice(1).str.strip_suffix('"'))
    inner = unescaped_json(strings)
    return where(~has_none, inner.zip_with(inner.is_not_null(), texts))


def _are_nested(texts: pl.Series) -> pl.Series:
    """Which values of JSON are objects or arrays."""
    return texts.str.starts_with("{") | texts.str.starts_with("[")
