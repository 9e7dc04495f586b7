"""Regular expressions of templates, by RE2, whose syntax and leftmost-first matches are Go's."""

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from log_aggregator.logql.regex import InvalidRegex, compile_bytes_regex
from log_aggregator.logql.template.errors import CallError
from log_aggregator.logql.template.limits import MAX_REGEX_SCAN_BYTES, check_size

Match: TypeAlias = Any  # re2 has no public name for it

# Bytes from 0x80 are counted as letters: a name goes on to the end of the word.
_REFERENCE = re.compile(rb"\$(?:(\$)|([\w\x80-\xff]+)|\{([\w\x80-\xff]+)\})")
_GROUP_NUMBER = re.compile(rb"0|[1-9][0-9]{0,7}")

# Distinct expressions kept by one template; more can only come from labels.
_MAX_CACHED = 64


class RegexCache:
    """Compiles expressions, remembering the last few."""

    def __init__(self) -> None:
        self._compiled: dict[bytes, Regex] = {}

    def __contains__(self, pattern: bytes) -> bool:
        return pattern in self._compiled

    def get(self, pattern: bytes) -> "Regex":
        """Raise CallError, with Go's message, if the pattern is none."""
        found = self._compiled.get(pattern)
        if found is None:
            if len(self._compiled) >= _MAX_CACHED:
                self._compiled.clear()
            found = self._compiled[pattern] = Regex(pattern)
        return found


class Regex:
    def __init__(self, pattern: bytes) -> None:
        try:
            self._regexp = compile_bytes_regex(pattern)
        except InvalidRegex as error:
            raise CallError(str(error)) from None
        self._groups = dict(self._regexp.groupindex)

    def spans(self, text: bytes) -> list[Match]:
        """All matches that do not overlap; an empty one right after another match does not count."""
        matches, at, last_end, scanned = [], 0, -1, 0
        while at <= len(text):
            scanned += len(text) - at
            if scanned > MAX_REGEX_SCAN_BYTES:
                raise CallError("too many matches in too long a text")
            found = self._regexp.search(text, at)
            if found is None:
                break
            start, end = found.span()
            if end > start or start != last_end:
                matches.append(found)
                last_end = end
            at = end if end > at else _next_rune(text, at)
        return matches

    def replace(self, text: bytes, replacement: bytes) -> bytes:
        """Replace all matches; `$1`, `${1}` and `${name}` stand for groups, `$$` for a dollar sign."""
        if b"$" not in replacement:
            return self.replace_literal(text, replacement)
        return self._substitute(text, lambda match: self._expand(match, replacement))

    def replace_literal(self, text: bytes, replacement: bytes) -> bytes:
        return self._substitute(text, lambda _: replacement)

    def _substitute(self, text: bytes, replacement: Callable[[Match], bytes]) -> bytes:
        pieces: list[bytes] = []
        at = size = 0
        for match in self.spans(text):
            start, end = match.span()
            pieces += (text[at:start], replacement(match))
            size += len(pieces[-1]) + start - at
            check_size(size)
            at = end
        pieces.append(text[at:])
        return b"".join(pieces)

    def _expand(self, match: Match, template: bytes) -> bytes:
        def group(reference: re.Match[bytes]) -> bytes:
            if reference[1]:
                return b"$"
            name = reference[2] or reference[3]
            index = int(name) if _GROUP_NUMBER.fullmatch(name) else self._groups.get(name, -1)
            if not 0 <= index <= self._regexp.groups:
                return b""
            return match[index] or b""

        return _REFERENCE.sub(group, template)


def _next_rune(text: bytes, at: int) -> int:
    at += 1
    while at < len(text) and text[at] & 0xC0 == 0x80:
        at += 1
    return at
