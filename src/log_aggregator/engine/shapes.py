"""Shapes of lines: those of a program, in JSON, logfmt or words, mostly differ in their values alone.

A shape is one line with its values taken out, as a regular expression that matches a whole line. A line that matches
is surely well formed, each of its keys stands once, and no value needs unescaping, so the captured text *is* the label
value that the `json` or `logfmt` stage would give. Of lines that match no shape, some are told apart by what they look
like (`engine.irregular_lines`); the others are read by the stage itself.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

from log_aggregator.engine.entry_labels import EXTRACTED, LONGEST_NAME, join_names, sanitise
from log_aggregator.logql.pattern import UNNAMED, Capture
from log_aggregator.logql.template.strconv import SPACE

Parser = Literal["json", "logfmt"]

MAX_SHAPES = 16
# In a column of shapes' numbers, those of lines that have none of its shapes (`engine.irregular_lines`).
IRREGULAR_JSON: Final = 252
IRREGULAR_LOGFMT: Final = 253
TEXT: Final = 254
TEXT_WITH_PAIRS: Final = 255
NUMBERS: Final = 256
_MAX_NAMES = 64
_MAX_LINE_CHARACTERS = 8192
_MAX_FAILURES = 32
_MAX_DEPTH = 32

# U+FFFD stands where a line was not UTF-8; the stages treat it in ways of their own.
PLAIN: Final = '[^"\\\\\\x00-\\x1f\ufffd]'
_STRING = f'"({PLAIN}*)"'
_NUMBER = r"(-?[0-9]+(?:\.[0-9]+)?)"
_BOOLEAN = "(true|false)"
_ELEMENT = rf'(?:"{PLAIN}*"|-?[0-9]+(?:\.[0-9]+)?|true|false|null)'
_ARRAY = rf"\[ *(?:{_ELEMENT}(?: *, *{_ELEMENT})*)? *\]"
_BARE = '([^\\x00-\\x20="\ufffd]+)'
_QUOTED = f'"({PLAIN}+)"'
# Those that both kinds of lines have.
ESCAPE: Final = r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'

_JSON_SPACE = re.compile(r"[ \t]*")
_JSON_END = re.compile(r"[\r\n]*")
_JSON_KEY = re.compile('"([^"\\\\\x00-\x1f\ufffd]+)"[ \\t]*:[ \\t]*')
_JSON_VALUES = tuple((re.compile(text), text) for text in (_STRING, _NUMBER, _BOOLEAN))
_JSON_ARRAY = re.compile(_ARRAY)
LOGFMT_KEY: Final = r"[A-Za-z_][A-Za-z0-9_.\-]*"
_BEGINNING = {"json": re.compile(r"\{"), "logfmt": re.compile(f"{LOGFMT_KEY}=")}
_LOGFMT_PAIR = re.compile(rf"({LOGFMT_KEY})=(?:{_QUOTED}|{_BARE})( +|[\r\n]*\Z)")


@dataclass(frozen=True, slots=True)
class Shape:
    """`pattern` is the inside of an anchored expression; its group n is the value of `names[n - 1]`."""

    parser: Parser | Literal["text"]
    names: tuple[str, ...]
    pattern: str
    prefix: str
    """What every line of the shape begins with."""

    def selecting(self, names: Sequence[str]) -> str:
        """A whole-line expression for columns, with groups only for these of its names, in the shape's own order."""
        # To go over a rest that may be anything takes as long as all before it.
        pattern, end = (self.pattern[: -len(REST)], "") if self.pattern.endswith(REST) else (self.pattern, "$")
        wanted = ["(" if name in names else "(?:" for name in self.names]
        return "^" + "".join(text + group for text, group in zip(pattern.split(GROUP), [*wanted, end], strict=True))


# In patterns, so that groups can be told from other parentheses without parsing: they are put in at last.
GROUP: Final = "\x00("
REST: Final = "(?s:.*)"
"""At the end of a pattern: what a line goes on with does not matter."""
_SAMPLES = (
    *((text.replace("(", GROUP, 1), '""') for text in (_STRING, _NUMBER, _BOOLEAN)),
    (_ARRAY, "[]"),
)


def escaped(shape: Shape) -> Shape:
    """The shape with texts that may have escapes: its groups capture these as they stand."""
    return replace(shape, pattern=shape.pattern.replace(PLAIN, f"(?:{PLAIN}|{ESCAPE})"))


@lru_cache(maxsize=512)
def json_sample(shape: Shape) -> dict[str, object] | None:
    """A document of the shape: strings where it has values, numbers for nulls, empty arrays.

    None where an object has a key twice: a path may lead to either.
    """
    text = shape.pattern
    for pattern, value in _SAMPLES:
        text = text.replace(pattern, value)
    # What is left of the expression are literals.
    try:
        document = json.loads(unescaped(text), object_pairs_hook=_sample_object)
    except _KeyStandsTwice:
        return None
    assert isinstance(document, dict)
    return document


def strings_of(shape: Shape) -> Shape:
    """Of a shape of JSON, only the names of those members of the document itself that are strings."""
    document = json_sample(shape) or {}
    are_strings = (text.endswith('"') for text in shape.pattern.split(GROUP))
    own = zip(shape.names, are_strings, strict=False)
    return replace(shape, names=tuple(name if is_string and name in document else "" for name, is_string in own))


class _KeyStandsTwice(Exception):
    pass


def _sample_object(members: list[tuple[str, object]]) -> dict[str, object]:
    sample = {key: 0 if value is None else value for key, value in members}
    if len(sample) < len(members):
        raise _KeyStandsTwice
    return sample


def are_plain(names: Collection[str]) -> bool:
    """Whether fields of these names, in whatever order, are labels of the same names."""
    distinct = set(names)
    if len(distinct) < len(names) or not all(map(_is_plain, names)):
        return False
    # Beside a stream label `x`, a field `x` is named as `x_extracted` is: which comes first in the line decides.
    return not any(name + EXTRACTED in distinct for name in names)


_KEY_AT_END = re.compile(r'("[^"]*"[ \t]*:)[ \t]*"?$')
_ANYTHING = Capture(UNNAMED)
VALUE: Final = "value"
# How what follows the beginning of a value's group goes on, and the quote that ends it.
_TAILS = tuple(
    (text.partition("(")[2], '"' if text.endswith('"') else "") for text in (_STRING, _NUMBER, _BOOLEAN, _BARE, _QUOTED)
)


@lru_cache(maxsize=2048)
def around(shape: Shape, name: str) -> tuple[str | Capture, ...] | None:
    """A pattern (`pattern_columns.captured`) that captures the value of the name in every line of the shape, as VALUE.

    None if there is none: a key stands twice, or begins like what may follow a value. Values have no quotes, bare ones
    no blanks and `=` either. So a key of JSON with its quotes and its colon is found nowhere else, if no other object
    has it too; and a key of logfmt is found behind a blank, once what is quoted before it has been passed over.
    """
    first, *rest = shape.pattern.split(GROUP)
    literals, ends = [unescaped(first)], [""]
    for part in rest:
        end, literal = next((end, part[len(tail) :]) for tail, end in _TAILS if part.startswith(tail))
        ends.append(end)
        literals.append(unescaped(literal))
    at = shape.names.index(name)
    closing = ends[at + 1] or literals[at + 1][:1]
    value: tuple[str | Capture, ...] = (Capture(VALUE), closing, _ANYTHING) if closing else (Capture(VALUE),)
    if shape.parser == "json":
        key = _KEY_AT_END.search(literals[at])
        assert key is not None
        if key[1][1] in " \t,:}]" or sum(literal.count(key[1]) for literal in literals) > 1:
            return None
        return _ANYTHING, key[0], *value
    before: list[str | Capture] = []
    for number, literal in enumerate(literals[: at + 1]):
        if number == at or literal.endswith('"'):
            before += [literal] if number == 0 else [_ANYTHING, literal]
            if number < at:
                before += [_ANYTHING, '"']
    return *before, *value


def unescaped(part: str) -> str:
    """The text that a literal part of a pattern stands for."""
    return re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL)


@lru_cache(maxsize=512)
def compiled(shape: Shape) -> "re.Pattern[str]":
    """For single lines; use `fullmatch`."""
    return re.compile(shape.pattern.replace(GROUP, "("))


def discover(lines: Sequence[str], parser: Parser) -> list[tuple[int, Shape]]:
    """The shapes of a sample of lines, with how many have each; the most frequent first."""
    make: Callable[[str], Shape | None] = json_shape if parser == "json" else logfmt_shape
    found: list[tuple[int, Shape]] = []
    rest = [line for line in lines if _BEGINNING[parser].match(line)]
    failures = 0
    while rest and len(found) < MAX_SHAPES and failures < _MAX_FAILURES:
        shape = make(rest[0]) if len(rest[0]) <= _MAX_LINE_CHARACTERS else None
        if shape is None:
            failures += 1
            rest = rest[1:]
            continue
        fullmatch = compiled(shape).fullmatch
        left = [line for line in rest if fullmatch(line) is None]
        found.append((len(rest) - len(left), shape))
        rest = left
    return sorted(found, key=lambda pair: -pair[0])


def json_shape(line: str) -> Shape | None:
    """None for what is not plain: escapes, arrays of objects, keys that stand twice or end in blanks, space before."""
    try:
        reader = _JsonReader(line)
        reader.object("")
    except _NotPlain:
        return None
    reader.end()
    if reader.at != len(line) or len(set(reader.paths)) != len(reader.paths):
        return None
    return _shape("json", line, reader.parts, reader.names)


def logfmt_shape(line: str) -> Shape | None:
    """None for keys without values, empty values, escapes, keys that stand twice."""
    parts: list[str] = []
    names: list[str] = []
    at = 0
    while at < len(line):
        pair = _LOGFMT_PAIR.match(line, at)
        if pair is None:
            return None
        value = _QUOTED if pair[2] is not None else _BARE
        parts.append(re.escape(pair[1] + "=") + value.replace("(", GROUP, 1) + pair[4])
        names.append(sanitise(pair[1]))
        at = pair.end()
    if line.endswith(" "):
        return None
    return _shape("logfmt", line, parts, names)


def _shape(parser: Parser, line: str, parts: Sequence[str], names: Sequence[str]) -> Shape | None:
    if not names or len(names) > _MAX_NAMES or not are_plain(names):
        return None
    pattern = "".join(parts)
    match = re.compile(pattern.replace(GROUP, "(")).fullmatch(line)
    return Shape(parser, tuple(names), pattern, line[: match.start(1)]) if match else None


def _is_plain(name: str) -> bool:
    return 0 < len(name) <= LONGEST_NAME and not name.startswith("__")


class _NotPlain(Exception):
    """The line has no shape."""


class _JsonReader:
    """Reads one line, and writes the expression for all lines like it."""

    def __init__(self, line: str) -> None:
        self._line = line
        self.at = 0
        self.parts: list[str] = []
        self.names: list[str] = []
        self.paths: list[str] = []  # of all values, those without labels too
        self._depth = 0

    def object(self, path: str) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _NotPlain
        self._literal("{")
        self._space()
        if self._line.startswith("}", self.at):
            raise _NotPlain
        while True:
            key = _JSON_KEY.match(self._line, self.at)
            if key is None or key[1][-1] in SPACE:
                raise _NotPlain
            self.parts.append(re.escape(key[0]))
            self.at = key.end()
            self._value(join_names(path, key[1]))
            self._space()
            if self._line.startswith(",", self.at):
                self._literal(",")
                self._space()
                continue
            self._literal("}")
            self._depth -= 1
            return

    def end(self) -> None:
        """Agents may leave the end of the line there."""
        end = _JSON_END.match(self._line, self.at)
        assert end is not None
        self.parts.append(re.escape(end[0]))
        self.at = end.end()

    def _value(self, name: str) -> None:
        if self._line.startswith("{", self.at):
            self.object(name)
            return
        self.paths.append(name)
        for expression, text in _JSON_VALUES:
            if found := expression.match(self._line, self.at):
                self.parts.append(text.replace("(", GROUP, 1))
                self.names.append(name)
                self.at = found.end()
                return
        if self._line.startswith("null", self.at):
            self._literal("null")
        elif found := _JSON_ARRAY.match(self._line, self.at):
            self.parts.append(_ARRAY)
            self.at = found.end()
        else:
            raise _NotPlain

    def _literal(self, text: str) -> None:
        if not self._line.startswith(text, self.at):
            raise _NotPlain
        self.parts.append(re.escape(text))
        self.at += len(text)

    def _space(self) -> None:
        space = _JSON_SPACE.match(self._line, self.at)
        assert space is not None
        self.parts.append(re.escape(space[0]))
        self.at = space.end()
