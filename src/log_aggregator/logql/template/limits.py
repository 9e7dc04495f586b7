"""What one rendering may cost. Go has none of these; they bound what a hostile query can do to a server.

A rendering that reaches a limit fails like any other template error.
"""

from typing import Final

from log_aggregator.logql.template.errors import CallError

# Nested parentheses, control structures and template calls together, and levels of a JSON value: keeps Python's own
# stack small.
MAX_NESTING: Final = 64

# Actions, commands, arguments and iterations of one rendering. A long template needs some hundreds.
MAX_STEPS: Final = 100_000

# One string, and the whole output of a rendering. Lines are at most 256 KiB when pushed.
MAX_STRING_BYTES: Final = 1 << 20

# Bytes read and written by all function calls of one rendering: bounds memory held in variables, and time.
MAX_WORK_BYTES: Final = 32 << 20

# What a decoded JSON value weighs, in bytes of its text: `[0,0,...]` takes 16 bytes of memory for each two of text.
JSON_WORK_FACTOR: Final = 8

# What a regular expression costs, in bytes of its text, and in bytes for compiling it.
REGEX_WORK_FACTOR: Final = 4
REGEX_COMPILE_WORK_BYTES: Final = 64 << 10

# What looking at an element of a list or map costs, in bytes.
ELEMENT_WORK_BYTES: Final = 16

# Digits of a number between two steps of decimal arithmetic; those of floats have at most 17.
MAX_DECIMAL_DIGITS: Final = 5_000

# Text looked at by one replacing or counting regular expression: matches times what was left of the text.
MAX_REGEX_SCAN_BYTES: Final = 4 << 30


def check_size(size_bytes: int) -> None:
    """Raise CallError if a function is about to build a string of more than MAX_STRING_BYTES."""
    if size_bytes > MAX_STRING_BYTES:
        raise CallError(f"string exceeds {MAX_STRING_BYTES} bytes")


class Budget:
    """What one rendering has used up; the methods raise CallError at a limit."""

    __slots__ = ("_depth", "_output_bytes", "_steps", "_work_bytes")

    def __init__(self) -> None:
        self._depth = 0
        self._steps = 0
        self._output_bytes = 0
        self._work_bytes = 0

    def step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise CallError(f"exceeded {MAX_STEPS} steps")

    def enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise CallError(f"exceeded maximum nesting depth ({MAX_NESTING})")

    def leave(self) -> None:
        self._depth -= 1

    def write(self, size_bytes: int) -> None:
        self._output_bytes += size_bytes
        if self._output_bytes > MAX_STRING_BYTES:
            raise CallError(f"output exceeds {MAX_STRING_BYTES} bytes")

    def work(self, size_bytes: int) -> None:
        self._work_bytes += size_bytes
        if self._work_bytes > MAX_WORK_BYTES:
            raise CallError(f"exceeded {MAX_WORK_BYTES} bytes of work")
