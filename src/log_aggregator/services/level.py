"""The level of a log entry, as Loki detects it. Row by row: the specification that `level_columns` must agree with."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from log_aggregator.model.labels import Labels

DETECTED_LEVEL: Final = "detected_level"
UNKNOWN: Final = "unknown"
SEVERITY_NUMBER: Final = "severity_number"

LEVEL_OF_NAME: Final[Mapping[str, str]] = {
    "trace": "trace",
    "trc": "trace",
    "debug": "debug",
    "dbg": "debug",
    "info": "info",
    "inf": "info",
    "information": "info",
    "warn": "warn",
    "wrn": "warn",
    "warning": "warn",
    "error": "error",
    "err": "error",
    "critical": "critical",
    "fatal": "fatal",
}
"""What a field may say, in any case, and the level it means."""

DEFAULT_LEVEL_FIELDS: Final = (
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
    "SEVERITY_TEXT",
)

NAME_PATTERN: Final = "(?i:(trace|debug|fatal|cr[iİ]t[iİ]cal|error|err|warn[iİ]ng|warn|[iİ]nfo))"
"""A level's name anywhere in a line. İ is here because Go makes it an i when it lower-cases."""
WORD_PATTERN: Final = rf"""(?:^|[ \t\n\[({{"'=|]){NAME_PATTERN}(?:$|[ \t\n\[\](){{}}:,!"'=|])"""
"""The name as a word. No colon before it: `misc:error` names something else.

Written for engines where `$` is the very end of the text.
"""
_WORD: Final = re.compile(WORD_PATTERN.replace("(?:$", r"(?:\Z"), re.ASCII)

GO_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
)
ASCII_SPACE: Final = "\t\n\v\f\r "


_SEVERITY_RANGES: Final = ((4, "trace"), (8, "debug"), (12, "info"), (16, "warn"), (20, "error"), (24, "fatal"))
"""OpenTelemetry's severity numbers: the last of each range."""


class LevelLimits(Protocol):
    """The settings of a tenant that detection needs."""

    @property
    def log_level_fields(self) -> Sequence[str]:
        """Names of labels, metadata and keys in a line, the first the most trusted. Empty: Loki's own list."""

    @property
    def log_level_from_json_max_depth(self) -> int:
        """How deep JSON lines are searched: 1 is the outermost object, 0 and below without bound."""


def level_fields(limits: LevelLimits) -> tuple[str, ...]:
    return tuple(limits.log_level_fields) or DEFAULT_LEVEL_FIELDS


def normal_level(value: str) -> str:
    """The level that a value means, or the value itself."""
    return LEVEL_OF_NAME.get(value.lower(), value)


def level_of_labels(labels: Labels, fields: Sequence[str]) -> str | None:
    return _level_of_fields(dict(labels), fields)


def level_of_metadata(metadata: Mapping[str, str], fields: Sequence[str]) -> str | None:
    """From a field that names a level, or from OpenTelemetry's severity number."""
    level = _level_of_fields(metadata, fields)
    if level is None and SEVERITY_NUMBER in metadata:
        return _level_of_severity(metadata[SEVERITY_NUMBER])
    return level


def _level_of_fields(pairs: Mapping[str, str], fields: Sequence[str]) -> str | None:
    for name in fields:
        if name in pairs:
            return normal_level(pairs[name])
    return None


def _level_of_severity(text: str) -> str:
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text) is None:
        return "info"
    number = int(text)
    if number == 0:
        return UNKNOWN
    return next((level for last, level in _SEVERITY_RANGES if number <= last), UNKNOWN)


def level_of_line(line: str, fields: Sequence[str], max_depth: int) -> str:
    """A JSON line is asked for its keys, any other line with an equals sign is read as logfmt; then come the words."""
    value = None
    if is_json(line):
        value = _json_value(line, frozenset(fields), max_depth)
    elif "=" in line:
        value = _logfmt_value(line, [name.casefold() for name in fields])
    return LEVEL_OF_NAME.get((value or "").lower()) or level_of_words(line)


def is_json(line: str) -> bool:
    """Braces at both ends. Go decodes the beginning as text but looks at single bytes from the end."""
    return line.lstrip(GO_SPACE).startswith("{") and line.rstrip(ASCII_SPACE).endswith("}")


def level_of_words(line: str) -> str:
    match = _WORD.search(line)
    return LEVEL_OF_NAME[match[1].replace("İ", "i").lower()] if match else UNKNOWN


# JSON lines, read as leniently as Loki reads them: up to the first thing that cannot be skipped.

STRING_BODY: Final = r"""[^"\\]*(?:\\.[^"\\]*)*"""
_KEY: Final = re.compile(rf'"({STRING_BODY})"[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_STRING: Final = re.compile(rf'"{STRING_BODY}"', re.DOTALL)
_SCALAR: Final = re.compile(r"(?:true|false|null)(?![^ \t\r\n,}\]])|[-0-9][^ \t\r\n,}\]]*")
_ARRAY_PART: Final = re.compile(rf'"{STRING_BODY}"|[\[\]"]', re.DOTALL)
_OBJECT_PART: Final = re.compile(rf'"{STRING_BODY}"|[{{}}"]', re.DOTALL)
_JSON_SPACE: Final = re.compile(r"[ \t\r\n]*")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.?))", re.DOTALL)
_JSON_ESCAPES: Final = dict(zip('"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True))
_LOGFMT_ESCAPES: Final = {**_JSON_ESCAPES, "'": "'"}


class _Broken(Exception):
    """The text cannot be read further."""


def _json_value(text: str, names: frozenset[str], max_depth: int) -> str | None:
    """The first string, as it stands in the text, whose key is one of `names`. Objects inside are searched in turn."""
    try:
        return _search_object(text, names, max_depth, 0)
    except (_Broken, RecursionError):
        return None


def _search_object(text: str, names: frozenset[str], max_depth: int, depth: int) -> str | None:
    if 0 < max_depth <= depth:
        return None
    position = _after_space(text, 0)
    if text[position : position + 1] != "{":
        raise _Broken
    position = _after_space(text, position + 1)
    while text[position : position + 1] != "}":
        key = _KEY.match(text, position)
        if key is None:
            raise _Broken
        end = _value_end(text, key.end())
        value = text[key.end() : end]
        name = _unescaped(key[1], _JSON_ESCAPES)
        if value[0] == '"' and name in names:
            return value[1:-1]
        if value[0] == "{" and (found := _search_object(value, names, max_depth, depth + 1)) is not None:
            return found
        position = _after_space(text, end)
        if text[position : position + 1] == "}":
            return None
        if text[position : position + 1] != ",":
            raise _Broken
        position = _after_space(text, position + 1)
    return None


def _value_end(text: str, start: int) -> int:
    match text[start : start + 1]:
        case "[":
            return _block_end(text, start, _ARRAY_PART, "[", "]")
        case "{":
            return _block_end(text, start, _OBJECT_PART, "{", "}")
        case '"':
            match = _STRING.match(text, start)
        case _:
            match = _SCALAR.match(text, start)
    if match is None:
        raise _Broken
    return match.end()


def _block_end(text: str, start: int, part: re.Pattern[str], opening: str, closing: str) -> int:
    """Only strings and the block's own kind of bracket count; what else is inside is not looked at."""
    level = 0
    for match in part.finditer(text, start):
        if match[0] == opening:
            level += 1
        elif match[0] == closing:
            level -= 1
            if level == 0:
                return match.end()
        elif match[0] == '"':
            break
    raise _Broken


def _after_space(text: str, position: int) -> int:
    space = _JSON_SPACE.match(text, position)
    return space.end() if space else position


def _unescaped(text: str, escapes: Mapping[str, str]) -> str:
    """Surrogates stay as they are: no name and no level holds any."""
    if "\\" not in text:
        return text

    def character(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        if match[2] not in escapes:
            raise _Broken
        return escapes[match[2]]

    return _ESCAPE.sub(character, text)


# logfmt lines, read up to the first pair that is not well formed.

_PAIR: Final = re.compile(
    rf"""[\x00-\x20]*([^\x00-\x20="]+)
    (?: =(?: "({STRING_BODY})" | ([^\x00-\x20="]*)(?=[\x00-\x20]|\Z) ) | (?=[\x00-\x20]|\Z) )""",
    re.DOTALL | re.VERBOSE,
)


def _logfmt_value(line: str, names: Sequence[str]) -> str | None:
    """The value of the key that stands first among `names` (case-folded), whether or not it has one."""
    result, best, position = None, len(names), 0
    while best and (pair := _PAIR.match(line, position)) is not None and "\ufffd" not in pair[1]:
        position = pair.end()
        rank = names.index(name) if (name := pair[1].casefold()) in names else best
        try:
            value = pair[3] if pair[2] is None else _unescaped(pair[2], _LOGFMT_ESCAPES)
        except _Broken:
            break
        if rank < best:
            result, best = value, rank
    return result
