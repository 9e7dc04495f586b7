"""The logfmt stages: `key=value key="quoted value" key`.

White space is every character up to the blank. What is no pair is skipped up to the next white space, or, for strict
parsing, ends the line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from log_aggregator.engine.entry_labels import ERROR, EXTRACTED, REPLACEMENT, EntryLabels, sanitise
from log_aggregator.engine.stage import Process
from log_aggregator.logql.ast import LogfmtStage
from log_aggregator.logql.paths import parse_logfmt_key

LOGFMT_ERROR: Final = "LogfmtParserErr"

# A key alone, or with a value that is quoted or bare. Behind a quoted value the next pair needs no blank.
_PAIR = re.compile(
    r'[\x00- ]*+([^\x00- ="]++)'
    r'(?:=(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|(?!")([^\x00- ="]*+)(?!["=]))|(?!["=]))',
    re.DOTALL,
)
# The same up to what keeps it from being a pair.
_BROKEN = re.compile(r'[\x00- ]*+(?:([^\x00- ="]++)(=(?:(")|[^\x00- ="]*+))?+)?+')
_REST_OF_WORD = re.compile(r"[^\x00- ]*+")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {'"': '"', "\\": "\\", "/": "/", "'": "'", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no pair at this place of a line."""

    what: str
    at: int

    def text(self, line: str) -> str:
        """In Loki's words. Positions are bytes, counted from 1."""
        return f"logfmt syntax error at pos {len(line[: self.at].encode()) + 1} : {self.what}"


Pair = tuple[str, str]


def scan(line: str) -> Iterator[Pair | Problem]:
    """All pairs of a line from left to right, and what is none. A missing value is empty."""
    at = 0
    while at < len(line):
        found = _PAIR.match(line, at)
        if found is None:
            problem, at = _problem(line, at)
            if problem is not None:
                yield problem
            continue
        key, quoted, bare = found.groups()
        at = found.end()
        if REPLACEMENT in key:
            at = found.end(1)
            yield Problem("invalid key", at)
            at = _end_of_word(line, at)
        elif quoted and "\\" in quoted:
            value = unquoted(quoted)
            yield Problem("invalid quoted value", at) if value is None else (key, value)
        else:
            yield key, quoted or bare or ""


def _problem(line: str, at: int) -> tuple[Problem | None, int]:
    """None at the end of the line; and where to go on."""
    found = _BROKEN.match(line, at)
    assert found is not None  # matches nothing, too
    key, value, quote = found.groups()
    at = found.end()
    if at == len(line) and quote is None:
        return None, at
    if key is not None and value is not None and REPLACEMENT in key:
        at = found.end(1)
        return Problem("invalid key", at), _end_of_word(line, at)
    if quote is not None:
        return Problem("unterminated quoted value", len(line)), len(line)
    return Problem(f"unexpected '{line[at]}'", at), _end_of_word(line, at)


def _end_of_word(line: str, at: int) -> int:
    rest = _REST_OF_WORD.match(line, at)
    assert rest is not None
    return rest.end()


def unquoted(text: str) -> str | None:
    """Text between quotes without its escapes; None if one is not known."""
    parts: list[str] = []
    at = 0
    while (backslash := text.find("\\", at)) >= 0:
        parts.append(text[at:backslash])
        escape = _ESCAPE.match(text, backslash)
        if escape is None:
            return None
        if escape[1]:
            parts.append(chr(int(escape[1], 16)))
        elif escape[2] in _ESCAPED:
            parts.append(_ESCAPED[escape[2]])
        else:
            return None
        at = escape.end()
    parts.append(text[at:])
    return without_surrogates("".join(parts))


def without_surrogates(text: str) -> str:
    """Pairs of surrogates become the characters that they mean, lone ones U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def compile_logfmt(stage: LogfmtStage) -> Process:
    return _named_pairs(stage) if stage.extractions else _all_pairs(stage)


def _all_pairs(stage: LogfmtStage) -> Process:
    is_plain = not stage.strict and not stage.keep_empty

    def process(line: str, labels: EntryLabels) -> str | None:
        if labels.satisfied or (is_plain and "=" not in line):
            return line
        for found in scan(line):
            if isinstance(found, Problem):
                if not stage.strict:
                    continue
                labels.fail_parsing(LOGFMT_ERROR, found.text(line))
                return line if labels.holds(ERROR) else None
            key, value = found
            name = sanitise(key)
            if not name or not (value or stage.keep_empty):
                continue
            if REPLACEMENT in value:
                value = value.replace(REPLACEMENT, " ")
            if not labels.extract(name, value):
                return None
            if labels.satisfied:
                break
        return line

    return process


def _named_pairs(stage: LogfmtStage) -> Process:
    """Every label is there, if only with an empty value; of several pairs with one key the last counts."""
    keys = {extraction.label: parse_logfmt_key(extraction.expression) for extraction in stage.extractions}
    # Of two labels for one key, Loki fills one by chance. Here it is the first.
    label_of = {key: label for label, key in reversed(keys.items())}

    def process(line: str, labels: EntryLabels) -> str:
        if labels.satisfied:
            return line
        for label in keys:
            if labels.free_name(label) == label:
                labels.set(label, "")
        for found in scan(line):
            if isinstance(found, Problem):
                if not stage.strict:
                    continue
                labels.fail_parsing(LOGFMT_ERROR, found.text(line))
                break
            name, value = sanitise(found[0]), found[1]
            if not name or (name not in keys and not labels.is_open(name)):
                continue
            name = label_of.get(name, name)
            if name not in keys:
                continue
            if labels.free_name(name) != name:
                name += EXTRACTED
                if not labels.is_open(name):
                    break
            labels.set(name, "" if REPLACEMENT in value else value)
            if labels.satisfied:
                break
        return line

    return process
