"""Regular expressions of LogQL: RE2 syntax in linear time, with Go's words for what is wrong with one."""

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
    "invalid UTF-8": "invalid UTF-8",
}
_MAX_MEMORY_BYTES = 64 << 20


class InvalidRegex(ValueError):
    """In Go's words: ``error parsing regexp: missing closing ): `(` ``."""


def compile_regex(pattern: str) -> Any:
    """A compiled, unanchored expression. Raises InvalidRegex."""
    compiled = _compiled(pattern)
    if isinstance(compiled, InvalidRegex):
        raise InvalidRegex(str(compiled))
    return compiled


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY_BYTES
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        return InvalidRegex(_in_go_words(str(error.args[0].decode() if isinstance(error.args[0], bytes) else error)))


def _in_go_words(text: str) -> str:
    problem, _, where = text.partition(": ")
    return f"error parsing regexp: {_WORDS.get(problem, problem)}: `{where}`"
