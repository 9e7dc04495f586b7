"""Regular expressions of LogQL: Go's, in linear time, with Go's words for what is wrong with one.

RE2 takes and matches what Go's regexp package does, but for what `_refused_by_go` finds: `\\C`, names of groups that
are not ASCII, and how a look-behind is refused.
"""

import re
from functools import lru_cache
from typing import Any

import re2

# What RE2 says, and what Go's regexp package says of the same.
_WORDS = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
    "trailing \\": "trailing backslash at end of expression",
    "pattern too large - compile failed": "expression too large",
}
_QUOTING_ALL = frozenset({"missing closing )", "unexpected )", "invalid UTF-8"})
_MAX_MEMORY_BYTES = 64 << 20
# RE2's time to compile `a?a?a?...` grows with the square of its length: a second for 32 KiB of it.
_MAX_REPETITIONS = 5000
_REPETITION = re.compile(r"[*+?{]")

_LONE_BYTE = re.compile("[\udc80-\udcff]")
# What is skipped when looking for groups: quoted text, escapes, classes with their first bracket.
_TOKEN = re.compile(r"\\Q.*?(?:\\E|\Z)|\\.|\[\^?\]?(?:\[:.*?:\]|\\.|[^\]\\])*\]?|\(\?P?<|.", re.DOTALL)
_NAMED = ("(?<", "(?P<")
_GROUP_NAME = re.compile(r"[A-Za-z0-9_]+")


class InvalidRegex(ValueError):
    """In Go's words: ``error parsing regexp: missing closing ): `(` ``."""

    def __init__(self, problem: str, where: str) -> None:
        super().__init__(f"error parsing regexp: {problem}: `{where}`")
        self.problem = problem
        self.where = where


def compile_regex(pattern: str) -> Any:
    """A compiled, unanchored expression over `str`. Raises InvalidRegex."""
    compiled = _compiled(pattern)
    if isinstance(compiled, InvalidRegex):
        raise InvalidRegex(compiled.problem, compiled.where)
    return compiled


def compile_bytes_regex(pattern: bytes) -> Any:
    """The same over `bytes`, whose lone bytes are characters of their own. Not remembered. Raises InvalidRegex."""
    return _compile(pattern, pattern.decode("utf-8", "surrogateescape"))


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    try:
        return _compile(pattern, pattern)
    except InvalidRegex as error:
        return error


def _compile(pattern: str | bytes, text: str) -> Any:
    if len(_REPETITION.findall(text)) > _MAX_REPETITIONS:
        raise InvalidRegex("expression too large", text)
    refused = _refused_by_go(text)
    if refused is None:
        return _compile_by_re2(pattern, text)
    # Whatever else is wrong before that comes first; a group is only missed at the end.
    at, problem, where = refused
    try:
        _compile_by_re2(text[:at].encode("utf-8", "surrogateescape"), text)
    except InvalidRegex as error:
        if error.problem != "missing closing )":
            raise
    raise InvalidRegex(problem, where)


def _compile_by_re2(pattern: str | bytes, text: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY_BYTES
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0]
        raise _in_go_words(said.decode("utf-8", "surrogateescape") if isinstance(said, bytes) else said, text) from None


def _in_go_words(said: str, pattern: str) -> InvalidRegex:
    reason, _, where = said.partition(": ")
    problem = _WORDS.get(reason, reason)
    if reason == "invalid UTF-8" and not _LONE_BYTE.search(pattern):
        return InvalidRegex("invalid escape sequence", pattern[pattern.rfind("\\x") :])  # one that is cut off
    if problem in _QUOTING_ALL:
        where = pattern
    elif problem == "trailing backslash at end of expression":
        where = ""
    elif problem == "invalid repeat count":
        where = where.rstrip("?")
    return InvalidRegex(problem, where)


def group_names(pattern: str) -> list[str]:
    """The names of the groups of a valid pattern in their order, each as often as it is there."""
    starts = [token.end() for token in _TOKEN.finditer(pattern) if token[0] in _NAMED]
    return [pattern[start : pattern.index(">", start)] for start in starts]


def _refused_by_go(pattern: str) -> tuple[int, str, str] | None:
    """The first thing that only RE2 understands, or understands otherwise: where, what, and which text of it."""
    for token in _TOKEN.finditer(pattern):
        at = token.start()
        if token[0] == "\\C":
            return at, "invalid escape sequence", "\\C"
        if token[0] in _NAMED and token.end() < len(pattern):
            end = pattern.find(">", at)
            if end < 0:
                return at, "invalid named capture", pattern[at:]
            if not _GROUP_NAME.fullmatch(pattern, token.end(), end):
                return at, "invalid named capture", pattern[at : end + 1]
    return None
