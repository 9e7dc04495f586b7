"""RE2's regular expressions as those of the columnar engine, which are Rust's.

Both are linear in time and agree on most of the syntax. They differ in what `\\d`, `\\w`, `\\s` and `\\b` know of
Unicode, and in what must be escaped within a class. Whatever is not surely understood here is left to RE2.
Sources: RE2's syntax page, and the documentation of the Rust crate `regex`.
"""

import re
from collections.abc import Collection, Sequence
from functools import lru_cache

import polars as pl

_CLASSES = {
    "d": "0-9",
    "w": "0-9A-Za-z_",
    "s": r"\t\n\f\r ",
}
_SAME_ESCAPES = frozenset("nrtfvaAz")
_FLAGS = re.compile(r"\(\?([imsU]*(?:-[imsU]+)?)([:)])")
_NAMED = re.compile(r"\(\?P?<([A-Za-z0-9_]+)>")
_REPEAT = re.compile(r"\{(?:0|[1-9]\d{0,3})(?:,(?:0|[1-9]\d{0,3})?)?\}")  # other braces stand for themselves
_HEX = re.compile(r"\\x(?:[0-9A-Fa-f]{2}|\{[0-9A-Fa-f]{1,6}\})")
_POSIX = re.compile(r"\[:\^?[a-z]+:\]")
_META = frozenset("\\.+*?()|[]{}^$#&-~")


@lru_cache(maxsize=1024)
def column_regex(pattern: str) -> str | None:
    """An expression without groups that finds in a line what RE2 finds with `pattern`, which RE2 has accepted."""
    try:
        return compilable(translated(pattern))
    except NotTranslatable:
        return None


class NotTranslatable(Exception):
    """The expression may mean something else to the columnar engine."""


def compilable(parts: Sequence[str]) -> str:
    """The whole. Raises NotTranslatable if it is too large, or not understood after all."""
    whole = "".join(parts)
    try:
        pl.Series([""]).str.contains(whole)
    except pl.exceptions.ComputeError as error:
        raise NotTranslatable from error
    return whole


def translated(pattern: str, kept: Collection[str] = ()) -> list[str]:
    """Part by part: characters, classes, operators, brackets of groups. Groups of the kept names stay groups.

    Raises NotTranslatable.
    """
    out: list[str] = []
    at = 0
    while at < len(pattern):
        text, at = _element(pattern, at, kept)
        out.append(text)
    return out


def _element(pattern: str, at: int, kept: Collection[str]) -> tuple[str, int]:
    """The translation of what stands at the position, and where it ends."""
    char = pattern[at]
    if char == "\\":
        return _escape(pattern, at)
    if char == "[":
        return _char_class(pattern, at)
    if char == "(":
        return _group(pattern, at, kept)
    if char == "{":
        repeat = _REPEAT.match(pattern, at)
        return (repeat[0], repeat.end()) if repeat else (r"\{", at + 1)
    if char in ".*+?|)^$":
        return char, at + 1
    return _literal(char), at + 1


def _escape(pattern: str, at: int) -> tuple[str, int]:
    char = pattern[at + 1]
    if char in _CLASSES:
        return f"[{_CLASSES[char]}]", at + 2
    if char.lower() in _CLASSES:
        return f"[^{_CLASSES[char.lower()]}]", at + 2
    if char == "b":
        return r"(?-u:\b)", at + 2
    if found := _HEX.match(pattern, at):
        return found[0], found.end()
    if char in _SAME_ESCAPES:
        return "\\" + char, at + 2
    if char.isascii() and not char.isalnum():
        return _literal(char), at + 2
    raise NotTranslatable


def _group(pattern: str, at: int, kept: Collection[str]) -> tuple[str, int]:
    if flags := _FLAGS.match(pattern, at):
        return flags[0], flags.end()
    if named := _NAMED.match(pattern, at):
        return "(" if named[1] in kept else "(?:", named.end()
    if pattern.startswith("(?", at):
        raise NotTranslatable
    return "(?:", at + 1


def _char_class(pattern: str, at: int) -> tuple[str, int]:
    out = ["["]
    at += 1
    if pattern.startswith("^", at):
        out.append("^")
        at += 1
    is_first = True
    while is_first or not pattern.startswith("]", at):
        if at >= len(pattern):
            raise NotTranslatable
        is_first = False
        text, at = _class_item(pattern, at)
        out.append(text)
    return "".join(out) + "]", at + 1


def _class_item(pattern: str, at: int) -> tuple[str, int]:
    """A character, a class, or a range."""
    if posix := _POSIX.match(pattern, at):
        return posix[0], posix.end()
    if pattern[at] == "\\" and pattern[at + 1] in _CLASSES:
        return _CLASSES[pattern[at + 1]], at + 2
    low, at = _class_char(pattern, at)
    if pattern.startswith("-", at) and not pattern.startswith("-]", at):
        high, at = _class_char(pattern, at + 1)
        return f"{low}-{high}", at
    return low, at


def _class_char(pattern: str, at: int) -> tuple[str, int]:
    char = pattern[at]
    if char != "\\":
        return _literal(char), at + 1
    if found := _HEX.match(pattern, at):
        return found[0], found.end()
    char = pattern[at + 1]
    if char in "nrtfva":
        return "\\" + char, at + 2
    if char.isascii() and not char.isalnum():
        return _literal(char), at + 2
    raise NotTranslatable


def _literal(char: str) -> str:
    return "\\" + char if char in _META else char
