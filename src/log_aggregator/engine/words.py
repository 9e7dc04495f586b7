"""Shapes of lines of text, and the captures of a pattern as words of such lines.

A line like `10.0.0.1 - - [15/Jan/2026:10:00:00 +0000] "GET /x HTTP/1.1" 200 512 ...` is words with blanks, quotes and
brackets between them. Its shape says what stands between the first of its words, which have no such characters. So
where the literals of a pattern are found follows from the shape, and what lies between them are words.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Final

from log_aggregator.engine.shapes import GROUP, REST, Shape, unescaped
from log_aggregator.logql.pattern import UNNAMED, Capture, Pattern, parse_pattern

MAX_SHAPES = 4
_WORDS = (3, 16)
_MAX_LINE_CHARACTERS = 8192
# Of the lines that begin like one, those that must go on like it for its shape to go on.
_LIKE_IT = 0.95
_BETWEEN: Final = r'[ \t"\[\]]*'
_SPECIAL: Final = r'\x00-\x20"\[\]\ufffd'
_WORD: Final = rf"[^{_SPECIAL}]+"
# Neither JSON nor logfmt begins so.
_FIRST_WORD: Final = rf"[^{_SPECIAL}{{=][^{_SPECIAL}=]*"
WHOLE_LINE: Final = "0"
"""Beside the numbers of words: the few lines that have none of the shapes."""
_NONE: Final = "-"
"""Stands in many logs for a word that is missing, and in patterns for itself."""
_BEGINNING = re.compile(rf"({_BETWEEN})(?={_FIRST_WORD}(?:[ \t\"\[\]]|\Z))")
_TOKEN = re.compile(rf"({_WORD})({_BETWEEN})")
_TAIL = re.compile(rf"(?:{re.escape(_FIRST_WORD)}|{re.escape(_WORD)})\)")

_Token = tuple[bool, str]
"""Whether the word is `_NONE`, and what stands behind it: nothing at the end of a line."""


def discover_text(lines: Sequence[str]) -> list[tuple[int, Shape]]:
    """The shapes of a sample of lines, with how many have each; the most frequent first.

    Only of lines with quotes or brackets between their words: there is no end to kinds of prose.
    """
    rest = [tokens for line in lines if (tokens := _tokens(line)) is not None]
    found: list[tuple[int, Shape]] = []
    while rest and len(found) < MAX_SHAPES:
        beginning, words = rest[0]
        shared = [_shared(words, own) if start == beginning else 0 for start, own in rest]
        like_it = sum(count >= min(_WORDS[0], len(words)) for count in shared)
        depths = range(1, len(words) + 1)
        depth = max(n for n in depths if n == 1 or sum(count >= n for count in shared) >= _LIKE_IT * like_it)
        left = [one for one, count in zip(rest, shared, strict=True) if count < depth]
        if (shape := _shape(beginning, words[:depth])) is not None:
            found.append((len(rest) - len(left), shape))
        rest = left
    return sorted(found, key=lambda pair: -pair[0])


def _tokens(line: str) -> tuple[str, list[_Token]] | None:
    """What stands before the first word, and the first words."""
    beginning = _BEGINNING.match(line)
    if beginning is None or len(line) > _MAX_LINE_CHARACTERS:
        return None
    tokens: list[_Token] = []
    at = beginning.end()
    while len(tokens) < _WORDS[1] and (token := _TOKEN.match(line, at)) is not None:
        if not token[2] and token.end() < len(line):
            break
        tokens.append((token[1] == _NONE, token[2]))
        at = token.end()
    return (beginning[1], tokens) if tokens else None


def _shared(left: Sequence[_Token], right: Sequence[_Token]) -> int:
    """How many words they have in common, with what is between these."""
    return next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def _shape(beginning: str, tokens: Sequence[_Token]) -> Shape | None:
    texts = [beginning, *(behind for _, behind in tokens)]
    names = tuple(str(number) for number, (is_none, _) in enumerate(tokens, 1) if not is_none)
    if len(tokens) < _WORDS[0] or not names or not any(mark in text for text in texts for mark in '"[]'):
        return None
    parts = [re.escape(beginning)]
    for number, (is_none, behind) in enumerate(tokens):
        word = _WORD if number else _FIRST_WORD
        parts.append((re.escape(_NONE) if is_none else f"{GROUP}{word})") + re.escape(behind))
    if tokens[-1][1]:
        parts.append(REST)
    return Shape("text", names, "".join(parts), beginning)


def up_to(shape: Shape, names: Collection[str]) -> Shape | None:
    """The shape of all lines that are like those of this one up to the last of these words; None if it has none."""
    count = max((number for number, name in enumerate(shape.names, 1) if name in names), default=0)
    if count in (0, len(shape.names)):
        return shape if count else None
    pattern = GROUP.join(shape.pattern.split(GROUP)[: count + 1]) + REST
    return Shape("text", shape.names[:count], pattern, shape.prefix)


@lru_cache(maxsize=512)
def captured_words(pattern: str, shape: Shape) -> Mapping[str, int | str]:
    """What captures of the pattern are in every line of the shape: a word, by its number, or a text.

    Others are not known.
    """
    return _Search(shape).captures(parse_pattern(pattern))


class _Search:
    """`pattern_columns.captured` for lines of a shape: characters, and numbers for words."""

    def __init__(self, shape: Shape) -> None:
        beginning, *parts = shape.pattern.split(GROUP)
        self._symbols: list[str | int] = list(unescaped(beginning))
        self._goes_on = shape.pattern.endswith(REST)
        for name, part in zip(shape.names, parts, strict=True):
            self._symbols.append(int(name))
            self._symbols += unescaped(part[_end_of_word(part) :].removesuffix(REST))

    def captures(self, pattern: Pattern) -> dict[str, int | str]:
        found: dict[str, int | str] = {}
        parts, at = pattern.parts, 0
        if isinstance(parts[0], str):
            if not self._has(parts[0], 0):
                return found
            at = len(parts[0])
        for number, part in enumerate(parts):
            if not isinstance(part, Capture):
                continue
            literal = parts[number + 1] if number + 1 < len(parts) else None
            end = self._find(literal, at) if isinstance(literal, str) else None
            if end is None:
                break
            captured = self._symbols[at:end]
            at = end + len(str(literal))
            if part.name == UNNAMED:
                continue
            match captured:
                case [int(word)]:
                    found[part.name] = word
                case _ if all(isinstance(symbol, str) for symbol in captured):
                    found[part.name] = "".join(map(str, captured))
        return found

    def _find(self, literal: str, at: int) -> int | None:
        """Where the literal is first found; None if that is not known."""
        for place in range(at, len(self._symbols)):
            has = self._has(literal, place)
            if has is not False:
                return place if has else None
        return None

    def _has(self, literal: str, place: int) -> bool | None:
        """Whether the literal stands at this place, or somewhere in the word that does."""
        for offset, character in enumerate(literal):
            if place + offset >= len(self._symbols):
                return None if self._goes_on else False
            symbol = self._symbols[place + offset]
            if isinstance(symbol, int):
                return False if _is_special(character) else None
            if symbol != character:
                return False
        return True


def _is_special(character: str) -> bool:
    """Whether no word has the character."""
    return re.fullmatch(f"[{_SPECIAL}]", character) is not None


def _end_of_word(part: str) -> int:
    found = _TAIL.match(part)
    assert found is not None, "each group is a word"
    return found.end()
