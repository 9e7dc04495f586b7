"""The text form of stream labels, `{name="value", ...}`, as protobuf and legacy pushes carry it."""

import re
from functools import lru_cache
from typing import ClassVar, Final, NamedTuple

from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.model.labels import Labels, quote

_CACHED_TEXTS: Final = 20_000
_CACHED_LENGTH: Final = 4096
"""Longer texts are parsed each time, so that the cache stays within some tens of megabytes whatever clients send."""

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_TOKEN: Final = re.compile(
    r"""(?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<string>"(?:[^"\\\n]|\\[^\n])*" | '(?:[^'\\\n]|\\[^\n])*' | `[^`]*`)
      | (?P<mark>[{}=,])
      | (?P<end>\Z)""",
    re.VERBOSE,
)
# As clients send it; the parser reads whatever else there is.
_PLAIN_PAIR: Final = r"([A-Za-z_][A-Za-z0-9_]*)=\"([^\"\\\n\ufffd]*)\""
_PLAIN: Final = re.compile(rf"\{{{_PLAIN_PAIR}(?:, ?{_PLAIN_PAIR})*\}}")
_PLAIN_PAIRS: Final = re.compile(_PLAIN_PAIR)
_ESCAPE: Final = re.compile(
    rb"""\\(?:([0-7]{3}) | x([0-9a-fA-F]{2}) | u([0-9a-fA-F]{4}) | U([0-9a-fA-F]{8}) | (.))""", re.VERBOSE | re.DOTALL
)
_SIMPLE_ESCAPES: Final = dict(zip(b"abfnrtv\\\"'", b"\a\b\f\n\r\t\v\\\"'", strict=True))


class LabelsSyntaxError(LogAggregatorError):
    """A text that is not a set of labels. The message begins with line and column, both counted from 1."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID

    def __init__(self, text: str, offset: int, problem: str) -> None:
        before = text[:offset]
        column = len(before.rpartition("\n")[2].encode("utf-8", "replace")) + 1
        super().__init__(f"{before.count(chr(10)) + 1}:{column}: parse error: {problem}")


def parse_labels_text(text: str) -> Labels:
    """Pairs sorted by name, those with an empty value dropped. A name given twice stays twice: that is for validation.

    Names may be quoted and then hold any character; values take Go's escapes. Raises LabelsSyntaxError.
    """
    return (_parse_cached if len(text) <= _CACHED_LENGTH else _parse)(text)


def _parse(text: str) -> Labels:
    if not _PLAIN.fullmatch(text):
        return _Parser(text).parse()
    return tuple(sorted(pair for pair in _PLAIN_PAIRS.findall(text) if pair[1]))


_parse_cached: Final = lru_cache(_CACHED_TEXTS)(_parse)
"""The streams of a client come with every push; a hit costs a tenth of parsing."""


class _Token(NamedTuple):
    kind: str
    """name, string, end, or the mark itself."""
    text: str
    offset: int


class _Parser:
    """Recursive descent with one token of look-ahead in `token`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.token = self.next_token()

    def parse(self) -> Labels:
        if self.token.kind == "end":
            return ()
        if self.token.kind != "{":
            raise self.unexpected()
        self.advance()
        pairs: list[tuple[str, str]] = []
        while self.token.kind != "}":
            pairs.append(self.pair())
            if self.token.kind == ",":
                self.advance()
            elif self.token.kind != "}":
                raise self.unexpected('in label set, expected "," or "}"')
        self.advance()
        if self.token.kind != "end":
            raise self.unexpected()
        return tuple(sorted(pair for pair in pairs if pair[1]))

    def pair(self) -> tuple[str, str]:
        first = self.token
        if first.kind not in ("name", "string"):
            raise self.unexpected('in label set, expected identifier or "}"')
        name = first.text if first.kind == "name" else self.unquoted()
        self.advance()
        if self.token.kind != "=":
            raise self.unexpected('in label set, expected "="')
        self.advance()
        if self.token.kind != "string":
            raise self.unexpected("in label set, expected string")
        value = self.unquoted()
        self.advance()
        return name, value

    def advance(self) -> None:
        self.token = self.next_token()

    def next_token(self) -> _Token:
        space = _SPACE.match(self.text, self.position)
        start = space.end() if space else self.position
        match = _TOKEN.match(self.text, start)
        if match is None:
            raise self.unreadable(start)
        self.position = match.end()
        kind = match.lastgroup or "end"
        return _Token(match[0] if kind == "mark" else kind, match[0], start)

    def unquoted(self) -> str:
        quoted = self.token.text
        if "\ufffd" in quoted:
            raise self.error("invalid UTF-8 rune")
        body = quoted[1:-1]
        if quoted[0] == "`" or "\\" not in body:
            return body
        return _ESCAPE.sub(self.unescaped, body.encode()).decode("utf-8", "replace")

    def unescaped(self, match: re.Match[bytes]) -> bytes:
        octal, two_digits, four_digits, eight_digits, character = match.groups()
        if character is not None:
            simple = _SIMPLE_ESCAPES.get(character[0])
            if simple is None:
                raise self.error(f"unknown escape sequence \\{character.decode('latin-1')}")
            return bytes((simple,))
        if octal or two_digits:
            byte = int(octal, 8) if octal else int(two_digits, 16)
            if byte > 0xFF:
                raise self.error("escape sequence is an invalid Unicode code point")
            return bytes((byte,))
        point = int(four_digits or eight_digits, 16)
        if point > 0x10FFFF or 0xD800 <= point < 0xE000:
            raise self.error("escape sequence is an invalid Unicode code point")
        return chr(point).encode()

    def error(self, problem: str) -> LabelsSyntaxError:
        return LabelsSyntaxError(self.text, self.token.offset, problem)

    def unexpected(self, detail: str = "") -> LabelsSyntaxError:
        match self.token.kind:
            case "end":
                return self.error("unexpected end of input inside braces")
            case "name" | "string" as kind:
                what = f"{'identifier' if kind == 'name' else 'string'} {quote(self.token.text)}"
            case mark:
                what = quote(mark)
        return self.error(f"unexpected {what} {detail}".rstrip())

    def unreadable(self, offset: int) -> LabelsSyntaxError:
        match self.text[offset]:
            case '"' | "'":
                problem = "unterminated quoted string"
            case "`":
                problem = "unterminated raw string"
            case character:
                problem = f"unexpected character inside braces: '{character}'"
        return LabelsSyntaxError(self.text, offset, problem)
