"""Tokens of LogQL. Positions are Loki's, so that its error messages come out the same.

Words and literals are those of Go's text/scanner, which Loki's lexer is built on.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.number_scan import scan_number
from log_aggregator.logql.template.errors import CallError
from log_aggregator.logql.template.sizes import parse_size
from log_aggregator.logql.units import parse_duration, parse_prometheus_duration

# Kinds that carry a value. All other kinds are spelt as they are written: "{", "|=", "by", "json".
IDENTIFIER, STRING, NUMBER, DURATION, BYTES, RANGE, FLAG, END, INVALID = (
    "IDENTIFIER",
    "STRING",
    "NUMBER",
    "DURATION",
    "BYTES",
    "RANGE",
    "FUNCTION_FLAG",
    "$end",
    "INVALID",
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
_OPERATOR = re.compile(r"\|[=~>]|![=~>]|=[~=]|[<>]=|[,.{}=|()<>+\-*/%^\]]")
_FLAGS = ("--strict", "--keep-empty")

_SPACE = re.compile(r"[ \t\n\r]*")
_COMMENT = re.compile(r"#[^\n]*|//[^\n]*|/\*.*?\*/", re.DOTALL)
_DURATION_LETTERS = frozenset("nuµmshdwy.")
_SIZE_LETTERS = frozenset("BikKMGTP.")
_FLAG = re.compile(r"-(?:[^\W\d_]|-)*")
_FUNCTION_FOLLOWS = re.compile(r"\s*(?:\(|(?:by|without)\s*\()", re.IGNORECASE)
_STRING_PART = re.compile(r"""[^"'\\\n]+|\\(?:[abfnrtv\\]|[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})""")
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))", re.DOTALL
)
_SIMPLE_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
# What no query may hold, not even in a comment: NUL, and what was not UTF-8 when it arrived.
_UNREADABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Token:
    """`text` as written; `value` is a string's content, a duration or range in nanoseconds, a size in bytes.

    The value of an INVALID token is the ParseError that reading it is.
    """

    kind: str
    text: str
    value: Any
    line: int
    column: int

    @property
    def name(self) -> str:
        """What messages call it."""
        return FUNCTIONS[self.kind[1:]] if self.kind.startswith("@") else self.kind


class Lexer:
    """Gives the tokens one by one. Functions have their lower-case name behind an @ as kind.

    Errors are tokens: a text may be wrong before it becomes unreadable, and the first error is the one to report. So
    no more is read than the parser asks for.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 1 if text.startswith("\ufeff") else 0
        self._line = 1
        self._line_start = 0
        self._previous: Token | None = None
        self._previous_end = 0
        self.problem: ParseError | None = None
        """What is wrong with the first number that is written wrongly. It is a token all the same, and may turn out to
        mean nothing before it counts that it is written wrongly."""
        unreadable = _UNREADABLE.search(text)
        self._unreadable_at = unreadable.start() if unreadable else len(text) + 1

    def next(self) -> Token:
        """The next token. Behind the last one come ends without end; nothing may be asked for behind an INVALID one."""
        try:
            token = self._token() if self._skip_blanks() else self._end()
            if self._at >= self._unreadable_at:
                raise self._unreadable(token.line, token.column)
        except ParseError as error:
            token = Token(INVALID, "", error, error.line, error.column)
        self._previous, self._previous_end = token, self._at
        return token

    def _skip_blanks(self) -> bool:
        """Moves to the next token; whether there is one."""
        while True:
            self._advance(_match(_SPACE, self._text, self._at).end())
            comment = _COMMENT.match(self._text, self._at)
            if comment is None:
                break
            self._advance(comment.end())
        if self._at >= self._unreadable_at:
            raise self._unreadable(0, self._previous.column if self._previous else 0)
        if self._text.startswith("/*", self._at):
            raise self._error("comment not terminated")
        return self._at < len(self._text)

    def _end(self) -> Token:
        if not self._text:
            return Token(END, "", None, 0, 0)
        return self._made(END, self._at)

    def _token(self) -> Token:
        first = self._text[self._at]
        if first in "\"`'":
            return self._string(first)
        if first == "[":
            return self._range()
        if _is_letter(first):
            return self._word(_run_end(self._text, self._at + 1, lambda rune: _is_letter(rune) or rune.isdecimal()))
        if "0" <= first <= "9" or (first == "." and "0" <= self._text[self._at + 1 : self._at + 2] <= "9"):
            return self._number()
        if first == "-" and (token := self._flag_or_negative_duration()):
            return token
        return self._operator()

    def _operator(self) -> Token:
        operator = _OPERATOR.match(self._text, self._at)
        if operator is None:
            # Any other character is an identifier to Loki's lexer.
            return self._made(IDENTIFIER, self._at + 1)
        # Loki's scanner forgets its line when it looks at a second character.
        return self._made(operator[0], operator.end(), line=0 if len(operator[0]) == 2 else None)

    def _word(self, end: int) -> Token:
        lowered = self._text[self._at : end].lower()
        if lowered in FUNCTIONS:
            is_function = _FUNCTION_FOLLOWS.match(self._text, end)
            return self._made(f"@{lowered}" if is_function else IDENTIFIER, end)
        return self._made(lowered if lowered in KEYWORDS else IDENTIFIER, end)

    def _number(self) -> Token:
        end, problem = scan_number(self._text, self._at, behind_blank=self._at > self._previous_end)
        if problem and self.problem is None:
            self.problem = self._error(problem)
        for kind, letters, parse in (
            (DURATION, _DURATION_LETTERS, parse_duration),
            (BYTES, _SIZE_LETTERS, parse_size),
        ):
            if token := self._quantity(kind, end, letters, parse):
                return token
        return self._made(NUMBER, end)

    def _quantity(self, kind: str, at: int, letters: frozenset[str], parse: Callable[[str], float]) -> Token | None:
        """What is here as a number with units, if what follows `at` makes it one."""
        end = _run_end(self._text, at, lambda rune: rune in letters or unicodedata.category(rune)[0] == "N")
        if end == at:
            return None
        try:
            value = int(parse(self._text[self._at : end]))
        except CallError:
            return None
        return self._made(kind, end, value=value, line=0)

    def _flag_or_negative_duration(self) -> Token | None:
        if self._text.startswith("--", self._at):
            flag = "-" + _match(_FLAG, self._text, self._at + 1)[0]
            if flag in _FLAGS:
                return self._made(FLAG, self._at + len(flag), line=0)
        return self._quantity(DURATION, self._at + 1, _DURATION_LETTERS, parse_duration)

    def _range(self) -> Token:
        end = self._text.find("]", self._at)
        if end < 0:
            raise ParseError("missing closing ']' in duration", 0, self._column)
        try:
            value = parse_prometheus_duration(self._text[self._at + 1 : end])
        except ValueError as error:
            raise ParseError(str(error), 0, self._column) from error
        return self._made(RANGE, end + 1, value=value, line=0)

    def _string(self, quote: str) -> Token:
        if quote == "`":
            end = self._text.find("`", self._at + 1)
            if end < 0:
                raise self._error("literal not terminated")
            return self._made(STRING, end + 1, value=self._text[self._at + 1 : end])
        end, runes = self._string_end(quote)
        if quote == "'":
            if runes != 1:
                raise self._error("invalid char literal")
            return self._made(IDENTIFIER, end)
        return self._made(STRING, end, value=self._unescaped(self._text[self._at + 1 : end - 1]))

    def _string_end(self, quote: str) -> tuple[int, int]:
        """Where a quoted string ends, and how many characters and escapes it has."""
        at, runes = self._at + 1, 0
        while (char := self._text[at : at + 1]) != quote:
            if char in ("", "\n"):
                raise self._error("literal not terminated")
            part = _STRING_PART.match(self._text, at)
            if part:
                runes += 1 if char == "\\" else len(part[0])
                at = part.end()
            elif char != "\\":  # the other kind of quote
                at, runes = at + 1, runes + 1
            elif self._text[at + 1 : at + 2] == quote:
                at, runes = at + 2, runes + 1
            else:
                raise self._error("invalid char escape")
        return at + 1, runes

    def _unescaped(self, body: str) -> str:
        return _utf8(_ESCAPE.sub(self._escape, body)) if "\\" in body else body

    def _escape(self, match: "re.Match[str]") -> str:
        simple, hexadecimal, octal, short, long = match.groups()
        if simple:
            return _SIMPLE_ESCAPES.get(simple, simple)
        if hexadecimal or octal:
            byte = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
            if byte > 255:
                raise self._error("invalid syntax")
            return chr(byte) if byte < 128 else chr(0xDC00 + byte)  # a byte of UTF-8 by itself, joined by _utf8
        code = int(short or long, 16)
        if code > 0x10FFFF:
            raise self._error("invalid syntax")
        return "\N{REPLACEMENT CHARACTER}" if 0xD800 <= code < 0xE000 else chr(code)

    @property
    def _column(self) -> int:
        return self._at - self._line_start + 1

    def _error(self, message: str) -> ParseError:
        return ParseError(message, self._line, self._column)

    def _unreadable(self, line: int, column: int) -> ParseError:
        is_nul = self._text[self._unreadable_at] == "\0"
        return ParseError("invalid character NUL" if is_nul else "invalid UTF-8 encoding", line, column)

    def _made(self, kind: str, end: int, *, value: Any = None, line: int | None = None) -> Token:
        """The token from here to `end`, behind which the lexer stands then."""
        written = self._text[self._at : end]
        token = Token(kind, written, value, self._line if line is None else line, self._column)
        self._advance(end)
        return token

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


def _is_letter(rune: str) -> bool:
    return rune == "_" or rune.isalpha()


def _run_end(text: str, at: int, accepts: Callable[[str], bool]) -> int:
    while at < len(text) and accepts(text[at]):
        at += 1
    return at


def _utf8(text: str) -> str:
    """Bytes written as escapes, joined into characters; what is not UTF-8 becomes U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
