"""What may stand between the quotes of `json x="..."` and `logfmt x="..."`: a path into a document, a key."""

import re
from functools import lru_cache

Path = tuple[str | int, ...]
"""Names of fields and indices of arrays, from the outside in."""

_BLANKS = " \t\n"
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIGITS = re.compile(r"[0-9]+")
_MAX_INDEX = 2**63 - 1
_MAX_INDEX_DIGITS = 19
_STRING = re.compile(r'"([^"\]\0]*)["\]\0]?')
_END = "$end"


class InvalidPath(ValueError):
    """In Loki's words."""

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(f"cannot parse expression [{text}]: {problem}")


@lru_cache(maxsize=1024)
def parse_json_path(text: str) -> Path:
    """`a.b[0]["c d"]` as a path. Raises InvalidPath."""
    tokens, problem = _json_tokens(text)
    path: list[str | int] = []
    at = 0

    def expect(kinds: tuple[str, ...], named: str) -> tuple[str, str | int]:
        if tokens[at][0] not in kinds:
            raise InvalidPath(text, f"syntax error: unexpected {tokens[at][0]}{named}")
        return tokens[at]

    kind, value = expect(("LSB", "FIELD"), ", expecting LSB or FIELD")
    while kind != _END:
        if kind == "FIELD":
            path.append(value)
        elif kind == "DOT":
            at += 1
            path.append(expect(("FIELD",), ", expecting FIELD")[1])
        else:
            at += 1
            path.append(expect(("STRING", "INDEX"), ", expecting STRING or INDEX")[1])
            at += 1
            expect(("RSB",), ", expecting RSB")
        at += 1
        kind, value = expect(("LSB", "DOT", _END), "")
    if problem:
        raise InvalidPath(text, problem)
    return tuple(path)


def _json_tokens(text: str) -> tuple[list[tuple[str, str | int]], str]:
    """Loki's lexer ends the input at whatever it cannot read; why, matters only behind a complete path."""
    tokens: list[tuple[str, str | int]] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char in _BLANKS:
            at += 1
        elif char in "[].":
            tokens.append(({"[": "LSB", "]": "RSB", ".": "DOT"}[char], char))
            at += 1
        elif field := _FIELD.match(text, at):
            tokens.append(("FIELD", field[0]))
            at = field.end()
        elif string := _STRING.match(text, at):
            tokens.append(("STRING", string[1]))
            at = string.end()
        elif digits := _DIGITS.match(text, at):
            at = digits.end()
            following = text[at : at + 1] or "\0"
            if following == ".":
                return [*tokens, (_END, "")], "cannot use float as array index"
            if following not in _BLANKS and following != "]":
                return [*tokens, (_END, "")], f"non-integer value: {following}"
            index = digits[0].lstrip("0") or "0"
            if len(index) > _MAX_INDEX_DIGITS or int(index) > _MAX_INDEX:
                break
            tokens.append(("INDEX", int(index)))
        elif char == "\0":
            break
        else:
            return [*tokens, (_END, "")], f"unexpected char {char}"
    return [*tokens, (_END, "")], ""


@lru_cache(maxsize=1024)
def parse_logfmt_key(text: str) -> str:
    """A key, or a quoted one. Raises InvalidPath.

    Quoted texts may follow; Loki takes them for surplus arguments of Go's Sprintf, and so looks for a key that says so.
    """
    tokens, problem = _logfmt_tokens(text)
    if not tokens:
        raise InvalidPath(text, "syntax error: unexpected $end, expecting STRING or KEY")
    if any(kind == "KEY" for kind, _ in tokens[1:]):
        raise InvalidPath(text, "syntax error: unexpected KEY")
    if problem:
        raise InvalidPath(text, problem)
    (_, key), *surplus = tokens
    return f"{key}%!(EXTRA {', '.join(f'string={value}' for _, value in surplus)})" if surplus else key


def _logfmt_tokens(text: str) -> tuple[list[tuple[str, str]], str]:
    """As `_json_tokens`, without a token for the end."""
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char in _BLANKS:
            at += 1
        elif field := _FIELD.match(text, at):
            tokens.append(("KEY", field[0]))
            at = field.end()
        elif string := _STRING.match(text, at):
            tokens.append(("STRING", string[1]))
            at = string.end()
        else:
            return tokens, "" if char == "\0" else f"unexpected char {char}"
    return tokens, ""
