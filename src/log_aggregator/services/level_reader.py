"""Level detection line by line: `level.level_of_line` for the few lines of a small push, several times faster.

What a line cannot hold is not looked for, and the common forms are read by one regular expression each. All else is
left to the specification. From a line that is read so follows an expression for all lines of its form.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from log_aggregator.services.level import (
    GO_SPACE,
    LEVEL_OF_NAME,
    STRING_BODY,
    UNKNOWN,
    is_json,
    level_of_line,
    level_of_words,
)

# For Python's engine and for Polars', which has no possessive quantifiers. What is given back here fails at once.
SPACE: Final = r"[ \t\r\n]*"
STRING: Final = rf'"{STRING_BODY}"'
_NUMBER: Final = r"[-0-9][^ \t\r\n,}\]]*"
_FLAT_VALUE: Final = rf'(?:{STRING}|(?:true|false|null)|{_NUMBER}|\[(?:[^\[\]"]|{STRING})*\])'
_KEY: Final = rf'"[^"\\]*"{SPACE}:{SPACE}'
_COMMA: Final = rf"{SPACE},{SPACE}"
_OPENING: Final = rf"{SPACE}\{{{SPACE}"
# Lazily repeated: the first member that can be the answer is the answer.
MEMBERS_BEFORE: Final = rf"{_OPENING}(?:{_KEY}{_FLAT_VALUE}{_COMMA})*?"
GAP: Final = r"[\x00-\x20]"
BARE: Final = r'[^\x00-\x20="]'
_PAIR_VALUE: Final = rf'(?:"[^"\\]*"|{BARE}*)'
_MEMBER: Final = re.compile(rf"((?:{_OPENING})?{_KEY})({_FLAT_VALUE})({_COMMA})", re.DOTALL)
_PAIR: Final = re.compile(rf"({GAP}*{BARE}+=?)({_PAIR_VALUE})({GAP}+)")
_KEY_OF_PAIR: Final = re.compile(r'[^\x00-\x20="\ufffd]+')
_PARTS_OF_WORDS: Final = ("err", "info", "warn", "debug", "trace", "fatal", "critical")
"""Each level's name, in lower case and in ASCII, holds one."""
_LONGEST_BEGINNING: Final = 256
_ENDS_VALUE: Final = re.compile(rf'"|{GAP}')
# Programs that put the level first are few; to look for a head takes twice as long as to read the level.
_LINES_PER_LOOK: Final = 64
_COMMON_LENGTH: Final = 10
_MOST_BEGINNINGS: Final = 64
_MOST_HEADS: Final = 8


class Head(NamedTuple):
    """Every line that begins with the text, and of JSON ends in a brace, has this level."""

    text: str
    level: str
    is_json: bool


class Form(NamedTuple):
    """Every line that matches, and of JSON ends in a brace, has its level at the same place.

    `pattern` has one group, the level as it stands in the line. It is for engines where `$` is the very end of a text.
    """

    pattern: str
    is_json: bool


class LevelReader:
    """For one list of fields and one depth."""

    def __init__(self, fields: tuple[str, ...], max_depth: int, lines_per_look: int = _LINES_PER_LOOK) -> None:
        self.fields = fields
        self._max_depth = max_depth
        self._quoted = [f'"{name}"' for name in fields]
        self._assigned = list(dict.fromkeys(f"{name.casefold()}=" for name in fields))
        self._json = re.compile(rf'{MEMBERS_BEFORE}{key_of_member(fields)}"({STRING_BODY})"', re.DOTALL)
        # No other field can outdo the first, even without a value.
        value = rf'=(?:"([^"\\]*)"|({BARE}*)(?:{GAP}|\Z))'
        first = rf"{key_in_any_case(fields[0])}(?:{value}|{GAP}|\Z)"
        self._logfmt = re.compile(rf"{GAP}*(?:{BARE}+(?:={_PAIR_VALUE})?{GAP}+)*?{first}")
        self._heads: dict[str, list[Head]] = {}
        self._lines_per_look = lines_per_look
        self._lines_read = 0

    def level(self, line: str) -> str:
        """The heads of some lines are remembered: a fifth of the time where programs put the level first."""
        for head in self._heads.get(line[:_COMMON_LENGTH], ()):
            if line.startswith(head.text) and (not head.is_json or line.endswith("}")):
                return head.level
        self._lines_read += 1
        if not self._lines_read % self._lines_per_look:
            self._remember(self.head(line))
        return self._level(line)

    def _remember(self, head: Head | None) -> None:
        if head is None or len(head.text) < _COMMON_LENGTH:
            return
        beginning = head.text[:_COMMON_LENGTH]
        if len(self._heads) >= _MOST_BEGINNINGS and beginning not in self._heads:
            self._heads.clear()  # others may be common by now
        heads = self._heads.setdefault(beginning, [])
        if len(heads) < _MOST_HEADS and head not in heads:
            heads.append(head)

    def _level(self, line: str) -> str:
        value: str | None = None
        if is_json(line):
            may_have_one = _has_any(line, self._quoted)
            found = self._json.match(line) if may_have_one else None
            if found is not None:
                value = found[1]
            elif may_have_one or "\\" in line:  # a key may be written with escapes
                return level_of_line(line, self.fields, self._max_depth)
        elif "=" in line and _has_any(line.casefold(), self._assigned):
            # Beyond ASCII there are characters that are alike in one kind of folding and not in another.
            found = self._logfmt.match(line) if line.isascii() else None
            if found is None:
                return level_of_line(line, self.fields, self._max_depth)
            value = found[1] or found[2]
        if value and (level := LEVEL_OF_NAME.get(value.lower())):
            return level
        return UNKNOWN if line.isascii() and not _has_any(line.lower(), _PARTS_OF_WORDS) else level_of_words(line)

    def head(self, line: str) -> Head | None:
        """None where there is no `form`, or the line ends with its level."""
        found = self._beginning(line)
        if found is None or not _ENDS_VALUE.match(found[0][-1]):
            return None
        return Head(found[0], LEVEL_OF_NAME[found[found.lastindex or 0].lower()], found.re is self._json)

    def form(self, line: str) -> Form | None:
        """None where the level is not read by one expression, or comes late, or is none."""
        found = self._beginning(line)
        if found is None:
            return None
        is_json, is_quoted = found.re is self._json, found.lastindex == 1
        before = line[: found.start(found.lastindex or 0) - is_quoted]
        value = r'"([^"\\]*)"' if is_quoted else rf"({BARE}*)(?:{GAP}|$)"
        return Form(f"^{_pattern_of(before, _MEMBER if is_json else _PAIR)}{value}", is_json)

    def _beginning(self, line: str) -> re.Match[str] | None:
        """Up to a level; what matched last is its name."""
        in_braces = is_json(line)
        # What begins with a brace is JSON or not as it ends.
        if not in_braces and (not line.isascii() or line.lstrip(GO_SPACE).startswith("{")):
            return None
        found = (self._json if in_braces else self._logfmt).match(line)
        if found is None or found.lastindex is None or found.end() > _LONGEST_BEGINNING:
            return None
        return found if found[found.lastindex].lower() in LEVEL_OF_NAME else None


def key_of_member(fields: Sequence[str]) -> str:
    """An expression of any of the fields as a key of JSON."""
    return rf'"(?:{"|".join(map(re.escape, fields))})"{SPACE}:{SPACE}'


def key_in_any_case(field: str) -> str:
    """An expression of the field as a key of logfmt; of one that can be none, it matches nothing."""
    return f"(?i:{re.escape(field)})" if _KEY_OF_PAIR.fullmatch(field) else r"[^\s\S]"


def _pattern_of(beginning: str, part: re.Pattern[str]) -> str:
    """The same names and spaces, with any flat values of the same kinds."""
    pattern, end = "", 0
    while (found := part.match(beginning, end)) is not None:
        name, value, gap = found.groups()
        pattern += re.escape(name) + _like(value, name) + re.escape(gap)
        end = found.end()
    return pattern + re.escape(beginning[end:])


def _like(value: str, name: str) -> str:
    if value.startswith('"'):
        return r'"[^"\\]*"'
    if name.endswith("="):
        return f"{BARE}*"
    if value in ("true", "false", "null"):
        return "(?:true|false|null)"
    return _NUMBER if re.match("[-0-9]", value) else re.escape(value)


def _has_any(text: str, parts: Sequence[str]) -> bool:
    for part in parts:  # half of what `any` of a generator takes  # noqa: SIM110
        if part in text:
            return True
    return False


@lru_cache(64)  # one for each list of fields in use
def level_reader(fields: tuple[str, ...], max_depth: int) -> LevelReader:
    return LevelReader(fields, max_depth)
