"""Template text to tokens. Positions are character offsets into the text."""

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from log_aggregator.logql.template.strconv import encode_utf8, quote_text

_LEFT, _RIGHT = "{{", "}}"
_SPACES = " \t\r\n"
_TRIM_LEFT = re.compile(r"-[ \t\r\n]")
_TRIM_RIGHT = re.compile(r"[ \t\r\n]-\}\}")
_SPACE_RUN = re.compile(r"[ \t\r\n]+")
_NUMBER = re.compile(
    r"[+-]?(?:"
    r"0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?"
    r"|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?"
    r")i?"
)
_QUOTED = {
    '"': (re.compile(r'"(?:[^"\\\n]|\\[^\n])*"'), "unterminated quoted string"),
    "'": (re.compile(r"'(?:[^'\\\n]|\\[^\n])*'"), "unterminated character constant"),
    "`": (re.compile(r"`[^`]*`"), "unterminated raw quoted string"),
}


class Kind(Enum):
    """What a token is. The values of keywords are their spelling."""

    TEXT = auto()
    LEFT = auto()
    RIGHT = auto()
    SPACE = auto()
    ASSIGN = auto()
    DECLARE = auto()
    PIPE = auto()
    LEFT_PAREN = auto()
    RIGHT_PAREN = auto()
    CHAR = auto()
    BOOL = auto()
    STRING = auto()
    RAW_STRING = auto()
    CHAR_CONSTANT = auto()
    NUMBER = auto()
    COMPLEX = auto()
    FIELD = auto()
    VARIABLE = auto()
    IDENTIFIER = auto()
    ERROR = auto()
    EOF = auto()
    DOT = "."
    BLOCK = "block"
    BREAK = "break"
    CONTINUE = "continue"
    DEFINE = "define"
    ELSE = "else"
    END = "end"
    IF = "if"
    NIL = "nil"
    RANGE = "range"
    TEMPLATE = "template"
    WITH = "with"


KEYWORDS = {kind.value: kind for kind in Kind if isinstance(kind.value, str)}

_PUNCTUATION = {"=": Kind.ASSIGN, "|": Kind.PIPE}
_QUOTED_KINDS = {'"': Kind.STRING, "'": Kind.CHAR_CONSTANT, "`": Kind.RAW_STRING}


class Token(NamedTuple):
    """A piece of the text, or for ERROR a message."""

    kind: Kind
    text: str
    start: int

    def __str__(self) -> str:
        if self.kind is Kind.EOF:
            return "EOF"
        if self.kind is Kind.ERROR:
            return self.text
        if self.text in KEYWORDS and KEYWORDS[self.text] is self.kind:
            return f"<{self.text}>"
        if len(encode_utf8(self.text)) > 10:
            return quote_text(self.text[:10]) + "..."
        return quote_text(self.text)


class _LexError(Exception):
    """Carries the ERROR token out of the scanning functions; never leaves this module."""

    def __init__(self, message: str, start: int) -> None:
        super().__init__(message)
        self.token = Token(Kind.ERROR, message, start)


def is_word(char: str) -> bool:
    """Whether a character may be part of a name: a letter or decimal digit of any script, or an underscore."""
    return char == "_" or char.isalpha() or char.isdecimal()


def describe_rune(char: str) -> str:
    """Format a character as Go's %#U: `U+0040 '@'`."""
    code = f"U+{ord(char):04X}"
    return f"{code} '{char}'" if char.isprintable() else code


def tokenize(text: str) -> Iterator[Token]:
    """Yield the tokens of a template, ending with EOF or ERROR. Comments and trimmed spaces are left out."""
    lexer = _Lexer(text)
    try:
        yield from lexer.outside()
    except _LexError as error:
        yield error.token


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def outside(self) -> Iterator[Token]:
        text = self._text
        while True:
            found = text.find(_LEFT, self._at)
            end = len(text) if found < 0 else found
            plain = text[self._at : end]
            if found >= 0 and _TRIM_LEFT.match(text, end + len(_LEFT)):
                plain = plain.rstrip(_SPACES)
            if plain:
                yield Token(Kind.TEXT, plain, self._at)
            self._at = end
            if found < 0:
                yield Token(Kind.EOF, "EOF", end)
                return
            yield from self._delimited()

    def _delimited(self) -> Iterator[Token]:
        start = self._at
        self._at += len(_LEFT)
        trims = _TRIM_LEFT.match(self._text, self._at)
        body = trims.end() if trims else self._at
        if self._text.startswith("/*", body):
            self._comment(body)
            return
        yield Token(Kind.LEFT, _LEFT, start)
        self._at = body
        yield from self._inside()

    def _comment(self, start: int) -> None:
        close = self._text.find("*/", start + 2)
        if close < 0:
            raise _LexError("unclosed comment", start)
        self._at = close + 2
        if not self._at_right():
            raise _LexError("comment ends before closing delimiter", start)
        self._right()

    def _at_right(self) -> bool:
        return self._text.startswith(_RIGHT, self._at) or _TRIM_RIGHT.match(self._text, self._at) is not None

    def _right(self) -> Token:
        trims = not self._text.startswith(_RIGHT, self._at)
        start = self._at + (2 if trims else 0)
        self._at = start + len(_RIGHT)
        if trims and (spaces := _SPACE_RUN.match(self._text, self._at)):
            self._at = spaces.end()
        return Token(Kind.RIGHT, _RIGHT, start)

    def _inside(self) -> Iterator[Token]:
        depth = 0
        while not (at_right := self._at_right()) or depth:
            if at_right:
                raise _LexError("unclosed left paren", self._at)
            token = self._token()
            if token.kind is Kind.LEFT_PAREN:
                depth += 1
            elif token.kind is Kind.RIGHT_PAREN:
                depth -= 1
                if depth < 0:
                    raise _LexError("unexpected right paren", token.start)
            yield token
        yield self._right()

    def _token(self) -> Token:
        text, start = self._text, self._at
        if start >= len(text):
            raise _LexError("unclosed action", start)
        char = text[start]
        if char in _SPACES:
            return self._space()
        if char in _PUNCTUATION:
            return self._emit(_PUNCTUATION[char], start + 1)
        if char == ":":
            if not text.startswith(":=", start):
                raise _LexError("expected :=", start)
            return self._emit(Kind.DECLARE, start + 2)
        if char in _QUOTED:
            return self._quoted(char)
        if char == "$":
            return self._name(Kind.VARIABLE)
        if char == "." and start + 1 < len(text) and not "0" <= text[start + 1] <= "9":
            return self._name(Kind.FIELD)
        if char in "+-." or "0" <= char <= "9":
            return self._number()
        if is_word(char):
            return self._identifier()
        if char in "()":
            return self._emit(Kind.LEFT_PAREN if char == "(" else Kind.RIGHT_PAREN, start + 1)
        if char.isascii() and char.isprintable():
            return self._emit(Kind.CHAR, start + 1)
        raise _LexError(f"unrecognized character in action: {describe_rune(char)}", start)

    def _emit(self, kind: Kind, end: int) -> Token:
        token = Token(kind, self._text[self._at : end], self._at)
        self._at = end
        return token

    def _space(self) -> Token:
        run = _SPACE_RUN.match(self._text, self._at)
        assert run is not None
        end = run.end()
        if end - self._at > 1 and _TRIM_RIGHT.match(self._text, end - 1):
            end -= 1  # the last space belongs to the trimming delimiter
        return self._emit(Kind.SPACE, end)

    def _quoted(self, mark: str) -> Token:
        pattern, message = _QUOTED[mark]
        found = pattern.match(self._text, self._at)
        if found is None:
            raise _LexError(message, self._at)
        return self._emit(_QUOTED_KINDS[mark], found.end())

    def _word_end(self, at: int) -> int:
        while at < len(self._text) and is_word(self._text[at]):
            at += 1
        if not self._terminates(at):
            raise _LexError(f"bad character {describe_rune(self._text[at])}", self._at)
        return at

    def _terminates(self, at: int) -> bool:
        text = self._text
        return at >= len(text) or text[at] in _SPACES + ".,|:)(" or text.startswith(_RIGHT, at)

    def _name(self, kind: Kind) -> Token:
        if self._terminates(self._at + 1):
            return self._emit(Kind.VARIABLE if kind is Kind.VARIABLE else Kind.DOT, self._at + 1)
        return self._emit(kind, self._word_end(self._at + 1))

    def _identifier(self) -> Token:
        end = self._word_end(self._at)
        word = self._text[self._at : end]
        if word in ("true", "false"):
            return self._emit(Kind.BOOL, end)
        return self._emit(KEYWORDS.get(word, Kind.IDENTIFIER), end)

    def _number(self) -> Token:
        end = self._number_end(self._at)
        if end < len(self._text) and self._text[end] in "+-":
            end = self._number_end(end)
            if self._text[end - 1] != "i":
                raise self._bad_number(end)
            return self._emit(Kind.COMPLEX, end)
        return self._emit(Kind.NUMBER, end)

    def _number_end(self, at: int) -> int:
        found = _NUMBER.match(self._text, at)
        assert found is not None  # every part is optional
        end = found.end()
        if end < len(self._text) and is_word(self._text[end]):
            raise self._bad_number(end + 1)
        return end

    def _bad_number(self, end: int) -> _LexError:
        return _LexError(f"bad number syntax: {quote_text(self._text[self._at : end])}", self._at)
