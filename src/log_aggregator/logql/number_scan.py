"""Where a number literal ends, and what is wrong with it: the literals of Go, as its text/scanner reads them.

A `p` is an exponent only behind a hexadecimal mantissa, so that `1PB` is a number and a unit.
"""

import re

_PREFIX = re.compile(r"0[xXoObB]")
_DECIMAL_DIGITS = re.compile(r"[0-9_]*")
_HEXADECIMAL_DIGITS = re.compile(r"[0-9a-fA-F_]*")
_SIGN = re.compile(r"[+-]?")
_NAMES = {
    "": "decimal literal",
    "0": "octal literal",
    "x": "hexadecimal literal",
    "o": "octal literal",
    "b": "binary literal",
}
_INVALID_DIGIT = {"0": re.compile("[89]"), "o": re.compile("[89]"), "b": re.compile("[2-9]")}
# An underscore stands between digits; a prefix counts as one.
_BAD_SEPARATOR = re.compile(r"(?<![0-9])_|_(?![0-9])")
_BAD_HEXADECIMAL_SEPARATOR = re.compile(r"(?<![0-9a-fA-FxX])_|_(?![0-9a-fA-F])")


def scan_number(text: str, start: int, *, behind_blank: bool) -> tuple[int, str]:
    """Where the literal that begins at `start` ends, and the first thing that is wrong with it, "" if nothing is."""
    if behind_blank and text[start : start + 2] in ("0b", "0B"):
        # Loki's scanner looks at the wrong character for the digit behind the letter.
        return start + 1, f"{_NAMES['']} has no digits"
    prefix, at = _prefix(text, start)
    digits = _HEXADECIMAL_DIGITS if prefix == "x" else _DECIMAL_DIGITS
    mantissa = at
    at = _end(digits, text, at)
    problems = []
    is_float = text[at : at + 1] == "."
    if is_float:
        at = _end(digits, text, at + 1)
        if prefix in ("o", "b"):
            problems.append(f"invalid radix point in {_NAMES[prefix]}")
    if prefix != "0" and not text[mantissa:at].strip("_."):
        problems.append(f"{_NAMES[prefix]} has no digits")
    letter = text[at : at + 1]
    if letter in ("e", "E") or (letter in ("p", "P") and prefix == "x"):
        if letter in ("e", "E") and prefix in ("x", "o", "b"):
            problems.append(f"'{letter}' exponent requires decimal mantissa")
        exponent = _end(_SIGN, text, at + 1)
        at = _end(_DECIMAL_DIGITS, text, exponent)
        if not text[exponent:at].strip("_"):
            problems.append("exponent has no digits")
    elif is_float and prefix == "x":
        problems.append("hexadecimal mantissa requires a 'p' exponent")
    elif not is_float and prefix in _INVALID_DIGIT and (digit := _INVALID_DIGIT[prefix].search(text, mantissa, at)):
        problems.append(f"invalid digit '{digit[0]}' in {_NAMES[prefix]}")
    if _has_bad_separator(text[start:at], prefix):
        problems.append("'_' must separate successive digits")
    return at, problems[0] if problems else ""


def _prefix(text: str, start: int) -> tuple[str, int]:
    """The kind of literal, "0" being an octal one without a letter, and where its digits begin."""
    if match := _PREFIX.match(text, start):
        return match[0][1].lower(), match.end()
    return ("0", start + 1) if text[start] == "0" else ("", start)


def _has_bad_separator(literal: str, prefix: str) -> bool:
    if prefix == "x":
        return _BAD_HEXADECIMAL_SEPARATOR.search(literal) is not None
    return _BAD_SEPARATOR.search(literal[2:] if prefix in ("o", "b") else literal) is not None


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    assert match is not None, "the pattern accepts the empty string"
    return match.end()
