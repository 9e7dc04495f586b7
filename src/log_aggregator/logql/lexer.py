"""Tokens of LogQL. Positions are Loki's, so that its error messages come out the same."""

import re
from dataclasses import dataclass
from typing import Any

from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.units import parse_bytes, parse_duration, parse_prometheus_duration

# Kinds that carry a value. All other kinds are spelt as they are written: "{", "|=", "by", "json".
IDENTIFIER, STRING, NUMBER, DURATION, BYTES, RANGE, FLAG, END = (
    "IDENTIFIER",
    "STRING",
    "NUMBER",
    "DURATION",
    "BYTES",
    "RANGE",
    "FUNCTION_FLAG",
    "$end",
)

RANGE_OPERATIONS = frozenset(
    {
        "rate",
        "rate_counter",
        "count_over_time",
        "bytes_rate",
        "bytes_over_time",
        "avg_over_time",
        "sum_over_time",
        "min_over_time",
        "max_over_time",
        "stdvar_over_time",
        "stddev_over_time",
        "quantile_over_time",
        "first_over_time",
        "last_over_time",
        "absent_over_time",
    }
)
VECTOR_OPERATIONS = frozenset(
    {
        "sum",
        "avg",
        "max",
        "min",
        "count",
        "stddev",
        "stdvar",
        "bottomk",
        "topk",
        "sort",
        "sort_desc",
        "approx_topk",
    }
)
# Names that are functions only before a parenthesis or a grouping, and identifiers elsewhere. Loki calls them in
# messages by the names of its tokens.
FUNCTIONS = {name: name.upper() for name in (*RANGE_OPERATIONS, *VECTOR_OPERATIONS, "vector")} | {
    "bytes": "BYTES_CONV",
    "duration": "DURATION_CONV",
    "duration_seconds": "DURATION_SECONDS_CONV",
    "label_replace": "label_replace",
    "ip": "ip",
}
KEYWORDS = frozenset(
    [
        "unwrap",
        "by",
        "without",
        "bool",
        "offset",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "or",
        "and",
        "unless",
        "json",
        "regexp",
        "logfmt",
        "unpack",
        "pattern",
        "label_format",
        "line_format",
        "decolorize",
        "drop",
        "keep",
    ]
)
_OPERATORS = ("|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", *",.{}=|()>< +-*/%^".replace(" ", ""), "]")
_FLAGS = ("--strict", "--keep-empty")

_SPACE = re.compile(r"[ \t\n\r]*")
_COMMENT = re.compile(r"#[^\n]*|//[^\n]*|/\*.*?\*/", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(
    r"0[xX][0-9a-fA-F_]*|0[bB][0-9_]*|0[oO][0-9_]*|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?"
)
_DURATION_TAIL = re.compile(r"[0-9nuµmshdwy.]*")
_BYTES_TAIL = re.compile(r"[0-9BikKMGTP.]*")
_FLAG = re.compile(r"-[A-Za-z-]*")
_FUNCTION_FOLLOWS = re.compile(r"\s*(?:\(|(?:by|without)\s*\()", re.IGNORECASE)
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\\"'])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))", re.DOTALL
)
_SIMPLE_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True, slots=True)
class Token:
    """`text` as written; `value` is a string's content, a duration or range in nanoseconds, a size in bytes."""

    kind: str
    text: str
    value: Any
    line: int
    column: int

    @property
    def name(self) -> str:
        """What messages call it."""
        return FUNCTIONS[self.kind[1:]] if self.kind.startswith("@") else self.kind


def tokenize(text: str) -> list[Token]:
    """The tokens, ended by one of kind END. Functions have their lower-case name behind an @ as kind.

    Raises ParseError.
    """
    return _Lexer(text).tokens()


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._line_start = 0
        self._tokens: list[Token] = []

    def tokens(self) -> list[Token]:
        while self._skip_blanks():
            self._next()
        if self._text:
            self._add(END, self._at)
        else:
            self._tokens.append(Token(END, "", None, 0, 0))
        return self._tokens

    def _skip_blanks(self) -> bool:
        """Moves to the next token; whether there is one."""
        while True:
            self._advance(_match(_SPACE, self._text, self._at).end())
            comment = _COMMENT.match(self._text, self._at)
            if comment is None:
                break
            self._advance(comment.end())
        if self._text.startswith("/*", self._at):
            raise self._error("comment not terminated")
        return self._at < len(self._text)

    def _next(self) -> None:
        first = self._text[self._at]
        if first in "\"`'":
            self._string(first)
        elif first == "[":
            self._range()
        elif word := _WORD.match(self._text, self._at):
            self._word(word[0])
        elif first.isdigit() or (first == "." and self._text[self._at + 1 : self._at + 2].isdigit()):
            self._number()
        elif first == "-" and self._flag_or_negative_duration():
            return
        else:
            self._operator(first)

    def _operator(self, first: str) -> None:
        for operator in _OPERATORS:
            if self._text.startswith(operator, self._at):
                # Loki's scanner forgets its line when it looks at a second character.
                self._add(operator, self._at + len(operator), line=0 if len(operator) == 2 else None)
                return
        # Anything else is a one-character identifier to Loki's lexer, which no rule accepts where it may stand alone.
        self._add(STRING if first.isalpha() else IDENTIFIER, self._at + 1, value=None)

    def _word(self, word: str) -> None:
        lowered, end = word.lower(), self._at + len(word)
        if lowered in FUNCTIONS:
            is_function = _FUNCTION_FOLLOWS.match(self._text, end)
            self._add(f"@{lowered}" if is_function else IDENTIFIER, end)
        elif lowered in KEYWORDS:
            self._add(lowered, end)
        else:
            self._add(IDENTIFIER, end)

    def _number(self) -> None:
        number = _match(_NUMBER, self._text, self._at)[0]
        end = self._at + len(number)
        for kind, tail, parse in ((DURATION, _DURATION_TAIL, parse_duration), (BYTES, _BYTES_TAIL, parse_bytes)):
            extra = _match(tail, self._text, end)[0]
            if extra and (value := _parsed(parse, number + extra)) is not None:
                self._add(kind, end + len(extra), value=value, line=0)
                return
        if self._text[end : end + 1] in ("e", "E"):
            raise self._error("exponent has no digits")
        if number[:2].lower() == "0b" and not number[2:]:
            raise self._error("decimal literal has no digits")
        self._add(NUMBER, end)

    def _flag_or_negative_duration(self) -> bool:
        if self._text.startswith("--", self._at):
            flag = "-" + _match(_FLAG, self._text, self._at + 1)[0]
            if flag in _FLAGS:
                self._add(FLAG, self._at + len(flag), line=0)
                return True
        tail = _match(_DURATION_TAIL, self._text, self._at + 1)[0]
        value = _parsed(parse_duration, "-" + tail) if tail else None
        if value is None:
            return False
        self._add(DURATION, self._at + 1 + len(tail), value=value, line=0)
        return True

    def _range(self) -> None:
        end = self._text.find("]", self._at)
        if end < 0:
            raise ParseError("missing closing ']' in duration", 0, self._column)
        try:
            value = parse_prometheus_duration(self._text[self._at + 1 : end])
        except ValueError as error:
            raise ParseError(str(error), 0, self._column) from error
        self._add(RANGE, end + 1, value=value, line=0)

    def _string(self, quote: str) -> None:
        end = self._at + 1
        while end < len(self._text) and self._text[end] != quote:
            if quote != "`":
                if self._text[end] == "\n":
                    break
                if self._text[end] == "\\":
                    end += 1
            end += 1
        if self._text[end : end + 1] != quote:
            raise self._error("literal not terminated")
        body = self._text[self._at + 1 : end]
        if quote == "'":
            if len(body) != 1:
                raise self._error("invalid char literal")
            self._add(IDENTIFIER, end + 1)
            return
        value = body.replace("\r", "") if quote == "`" else self._unescaped(body)
        self._add(STRING, end + 1, value=value)

    def _unescaped(self, body: str) -> str:
        if "\\" not in body:
            return body
        return _utf8(_ESCAPE.sub(self._escape, body))

    def _escape(self, match: "re.Match[str]") -> str:
        simple, hexadecimal, octal, short, long, _ = match.groups()
        if simple:
            if simple == "'":
                raise self._error("invalid syntax")
            return _SIMPLE_ESCAPES.get(simple, simple)
        if hexadecimal or octal:
            byte = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
            if byte > 255:
                raise self._error("invalid syntax")
            return chr(byte) if byte < 128 else chr(0xDC00 + byte)  # a byte of UTF-8 by itself, joined by _utf8
        if short or long:
            code = int(short or long, 16)
            if code > 0x10FFFF:
                raise self._error("invalid syntax")
            return "\N{REPLACEMENT CHARACTER}" if 0xD800 <= code < 0xE000 else chr(code)
        raise self._error("invalid char escape")

    @property
    def _column(self) -> int:
        return self._at - self._line_start + 1

    def _error(self, message: str) -> ParseError:
        return ParseError(message, self._line, self._column)

    def _add(self, kind: str, end: int, *, value: Any = None, line: int | None = None) -> None:
        written = self._text[self._at : end]
        self._tokens.append(Token(kind, written, value, self._line if line is None else line, self._column))
        self._advance(end)

    def _advance(self, end: int) -> None:
        passed = self._text[self._at : end]
        if "\n" in passed:
            self._line += passed.count("\n")
            self._line_start = self._at + passed.rindex("\n") + 1
        self._at = end


def _match(pattern: "re.Pattern[str]", text: str, at: int) -> "re.Match[str]":
    match = pattern.match(text, at)
    assert match is not None, "the pattern accepts the empty string, or was seen to match"
    return match


def _parsed(parse: Any, text: str) -> int | None:
    try:
        value: int = parse(text)
    except ValueError:
        return None
    return value


def _utf8(text: str) -> str:
    """Bytes written as escapes, joined into characters; what is not UTF-8 becomes U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
