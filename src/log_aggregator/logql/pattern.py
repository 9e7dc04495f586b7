"""Pattern expressions: literals and `<captures>`, for the pattern stage and the `|>` line filter."""

import re
from dataclasses import dataclass

_PART = re.compile(r"<([A-Za-z_][A-Za-z0-9_]*)>")
UNNAMED = "_"


class InvalidPattern(ValueError):
    """In Loki's words."""


@dataclass(frozen=True, slots=True)
class Capture:
    name: str

    def __str__(self) -> str:
        return f"<{self.name}>"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Literals (never empty, never adjacent) and captures, in order."""

    parts: tuple[str | Capture, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts if isinstance(part, Capture) and part.name != UNNAMED)

    def check_captures(self) -> None:
        """For the pattern stage: named captures, each once, none adjacent. Raises InvalidPattern."""
        if not self.names:
            raise InvalidPattern("at least one capture is required")
        self._check_adjacent()
        for number, name in enumerate(self.names):
            if name in self.names[:number]:
                raise InvalidPattern(f"duplicate capture name ({name}): invalid expression")

    def check_filter(self) -> None:
        """For a line filter: only unnamed captures, none adjacent. Raises InvalidPattern."""
        self._check_adjacent()
        for part in self.parts:
            if isinstance(part, Capture) and part.name != UNNAMED:
                raise InvalidPattern(f"named captures are not allowed: found '{part}'")

    def _check_adjacent(self) -> None:
        for left, right in zip(self.parts, self.parts[1:], strict=False):
            if isinstance(left, Capture) and isinstance(right, Capture):
                raise InvalidPattern(f"found consecutive capture '{left}{right}': invalid expression")


def parse_pattern(text: str) -> Pattern:
    """Raises InvalidPattern."""
    if not text:
        raise InvalidPattern(
            "parse error at line 1, col 1: syntax error: unexpected $end, expecting IDENTIFIER or LITERAL"
        )
    return _parsed(text)


def parse_line_pattern(text: str) -> Pattern:
    """The pattern of a line filter; the empty one matches the empty line. Raises InvalidPattern."""
    pattern = _parsed(text)
    pattern.check_filter()
    return pattern


def _parsed(text: str) -> Pattern:
    pieces = _PART.split(text)  # literal, name, literal, name, ..., literal
    parts: list[str | Capture] = []
    for number, piece in enumerate(pieces):
        if number % 2:
            parts.append(Capture(piece))
        elif piece:
            parts.append(piece)
    return Pattern(tuple(parts))
