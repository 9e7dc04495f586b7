"""JSON as Loki reads it: leniently, from left to right, looking no closer than needed.

A value ends where its bracket closes, its string's quote comes, or, for numbers and words, at white space, comma or
closing bracket; what stands in between is not checked. Members before a fault have been read when it is found.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from log_aggregator.engine.entry_labels import REPLACEMENT

Kind = Literal["string", "number", "object", "array", "boolean", "null"]

_NO_OBJECT: Final = "Value looks like object, but can't find closing '}' symbol"
_NO_ARRAY: Final = "Value is array, but can't find closing ']' symbol"
_NO_STRING: Final = "Value is string, but can't find closing '\"' symbol"
_MALFORMED: Final = "Malformed JSON error"
_UNKNOWN_VALUE: Final = "Unknown value type"
_BAD_ESCAPE: Final = "Encountered an invalid escape sequence in a string"

_SPACE = re.compile(r"[ \n\r\t]*+")
_STRING = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_WORD = re.compile(r"[^ \n\r\t,}\]]*+")
_BRACES = re.compile(r'[^"{}]*+(["{}])')
_BRACKETS = re.compile(r'[^"\[\]]*+(["\[\]])')
_WORDS: dict[str, Kind] = {"true": "boolean", "false": "boolean", "null": "null"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/bfnrt]))")
_strings = msgspec.json.Decoder(str)
_LOW_SURROGATE = re.compile(r"\\u([0-9a-fA-F]{4})")
ESCAPED: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class InvalidJson(ValueError):
    """In Loki's words."""


@dataclass(frozen=True, slots=True)
class Value:
    """Where a value stands in its document; a string without its quotes."""

    kind: Kind
    start: int
    end: int
    after: int
    """Behind it, the closing quote included."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text, and where its brackets close as far as that has been looked for: each is looked for once."""

    text: str
    _ends: dict[int, int | None] = field(default_factory=dict, repr=False)

    def next(self, at: int, end: int) -> int | None:
        """The next place that is not white space."""
        found = _SPACE.match(self.text, at, end)
        assert found is not None
        return found.end() if found.end() < end else None

    def string(self, at: int, end: int) -> int | None:
        """Behind the string whose opening quote is here."""
        found = _STRING.match(self.text, at, end)
        return found.end() if found else None

    def value(self, at: int, end: int) -> Value:
        """The value that begins here or behind white space. Raises InvalidJson."""
        start = self.next(at, end)
        if start is None:
            raise InvalidJson(_MALFORMED)
        match self.text[start]:
            case '"':
                after = self.string(start, end)
                if after is None:
                    raise InvalidJson(_NO_STRING)
                return Value("string", start + 1, after - 1, after)
            case "[":
                after = self.block(start, end)
                if after is None:
                    raise InvalidJson(_NO_ARRAY)
                return Value("array", start, after, after)
            case "{":
                after = self.block(start, end)
                if after is None:
                    raise InvalidJson(_NO_OBJECT)
                return Value("object", start, after, after)
            case _:
                return self._word(start, end)

    def _word(self, start: int, end: int) -> Value:
        found = _WORD.match(self.text, start, end)
        assert found is not None
        kind = "number" if self.text[start] in "0123456789-" else _WORDS.get(found[0])
        if kind is None:
            raise InvalidJson(_UNKNOWN_VALUE)
        return Value(kind, start, found.end(), found.end())

    def block(self, at: int, end: int) -> int | None:
        """Behind the bracket that closes the one that is here; only brackets of its own kind are counted."""
        if at not in self._ends:
            self._close(at)
        after = self._ends[at]
        return after if after is not None and after <= end else None

    def _close(self, start: int) -> None:
        text, ends = self.text, self._ends
        opening = text[start]
        structure = _BRACES if opening == "{" else _BRACKETS
        pending: list[int] = []
        at = start
        while True:
            found = structure.match(text, at)
            mark = found[1] if found else None
            here = found.end() - 1 if found else len(text)
            if mark == opening and here in ends:
                after = ends[here]  # known from a walk that came here on another way
            elif mark == opening:
                pending.append(here)
                at = here + 1
                continue
            elif mark == '"':
                after = self.string(here, len(text))
            elif mark is not None:
                after = ends[pending.pop()] = here + 1
            else:
                after = None
            if after is None:
                ends.update(dict.fromkeys(pending))
                return
            if not pending:
                return
            at = after

    def members(self, at: int, end: int) -> Iterator[tuple[str, Value]]:
        """Of the object that begins here or behind white space. Raises InvalidJson, behind what is before the fault."""
        text = self.text
        place = self._expect(at, end, _NO_OBJECT)
        if text[place] != "{":
            raise InvalidJson(_NO_OBJECT)
        place = self._expect(place + 1, end, _MALFORMED)
        while text[place] != "}":
            if text[place] != '"':
                raise InvalidJson(_NO_OBJECT)
            after = self.string(place, end)
            if after is None:
                raise InvalidJson(_MALFORMED)
            key = text[place + 1 : after - 1]
            if "\\" in key:
                key = unescape(key)
            place = self._expect(after, end, _MALFORMED)
            if text[place] != ":":
                raise InvalidJson(_MALFORMED)
            value = self.value(place + 1, end)
            yield key, value
            place = self._expect(value.after, end, _NO_ARRAY)
            if text[place] == ",":
                place = self._expect(place + 1, end, _NO_ARRAY)
            elif text[place] != "}":
                raise InvalidJson(_NO_OBJECT)

    def _expect(self, at: int, end: int, problem: str) -> int:
        place = self.next(at, end)
        if place is None:
            raise InvalidJson(problem)
        return place

    def elements(self, at: int, end: int) -> tuple[list[Value], int]:
        """Of the array that begins here, and the place where reading them ended: its bracket, or a fault."""
        values: list[Value] = []
        place = self.next(at + 1, end)
        if place is None or self.text[place] == "]":
            return values, at + 1 if place is None else place
        while True:
            try:
                value = self.value(place, end)
            except InvalidJson:
                return values, place
            values.append(value)
            following = self.next(value.after, end)
            if following is None or self.text[following] != ",":
                return values, value.after if following is None else following
            place = following + 1

    def label_value(self, value: Value) -> str:
        """The value as a label has it."""
        raw = self.text[value.start : value.end]
        return label_text(raw) if value.kind == "string" else raw


def unescape(text: str) -> str:
    """A string without its escapes. Raises InvalidJson."""
    if "\\u" not in text:  # which have rules of their own
        with suppress(msgspec.MsgspecError, UnicodeEncodeError):
            return _strings.decode(f'"{text}"')
    parts: list[str] = []
    at = 0
    while (backslash := text.find("\\", at)) >= 0:
        parts.append(text[at:backslash])
        escape = _ESCAPE.match(text, backslash)
        if escape is None:
            raise InvalidJson(_BAD_ESCAPE)
        at = escape.end()
        if escape[2]:
            parts.append(ESCAPED[escape[2]])
            continue
        code = int(escape[1], 16)
        if 0xD800 <= code <= 0xDFFF:
            low = _LOW_SURROGATE.match(text, at)
            if low is None or int(low[1], 16) < 0xDC00:
                raise InvalidJson(_BAD_ESCAPE)
            code = 0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00
            at = low.end()
        parts.append(chr(code) if code <= 0x10FFFF else REPLACEMENT)
    parts.append(text[at:])
    return "".join(parts)


def label_text(raw: str) -> str:
    """The text of a string as a label has it: empty if an escape is broken."""
    if "\\" in raw:
        try:
            raw = unescape(raw)
        except InvalidJson:
            return ""
    return raw.replace(REPLACEMENT, " ") if REPLACEMENT in raw else raw
