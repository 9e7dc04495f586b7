"""Patterns of log lines, found as the Drain algorithm does: lines of one shape that differ in a few words.

A line is split into words, and lines that agree in their first words and in the white space are compared word by word.
A word that differs between like lines becomes `<_>`, so that a pattern can be used in a pattern filter (`|>`). Of JSON
only the message is looked at.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

WILDCARD: Final = "<_>"
RESOLUTION_NS: Final = 10_000_000_000

_LONGEST_LINE: Final = 3000
_MOST_WORDS: Final = 127
_WORD: Final = re.compile(r"(<_>|\w[\w\-./:]*|[^\w\s])(\s*)")
_DIGIT: Final = re.compile(r"\d")
_MESSAGE: Final = re.compile(r'"(log|message|msg|msg_|_msg|content)"\s*:\s*"((?:[^"\\]|\\.)+)"')
_MESSAGE_KEYS: Final = ("log", "message", "msg", "msg_", "_msg", "content")
_WILDCARDS: Final = re.compile("(?:<_>)+")

_DEPTH: Final = 4  # words that lead to the lines that are compared
_MOST_CHILDREN: Final = 15
_MOST_CLUSTERS: Final = 300
_LIKENESS: Final = 0.5  # of the words must be the same

Counts = dict[int, int]
"""Lines by the number of their time, in RESOLUTION_NS."""


@dataclass(slots=True)
class _Cluster:
    words: list[str]
    gaps: tuple[str, ...]
    counts: dict[str, Counts] = field(default_factory=dict)  # by level

    def likeness(self, words: list[str]) -> float:
        return sum(mine == other for mine, other in zip(self.words, words, strict=True)) / len(words)

    def take(self, words: list[str]) -> None:
        self.words = [mine if mine == other else WILDCARD for mine, other in zip(self.words, words, strict=True)]

    def pattern(self) -> str:
        return _WILDCARDS.sub(WILDCARD, "".join(word + gap for word, gap in zip(self.words, self.gaps, strict=True)))


@dataclass(slots=True)
class _Node:
    children: dict[str, "_Node"] = field(default_factory=dict)
    clusters: list[_Cluster] = field(default_factory=list)

    def child(self, word: str) -> "_Node":
        key = WILDCARD if _DIGIT.search(word) else word
        if key not in self.children and len(self.children) >= _MOST_CHILDREN:
            key = WILDCARD
        return self.children.setdefault(key, _Node())


class PatternMiner:
    """Finds the patterns of the lines that it is shown. Beyond 300 patterns, new ones are not looked for."""

    def __init__(self) -> None:
        self._roots: dict[tuple[str, ...], _Node] = {}
        self._clusters: list[_Cluster] = []

    def add_line(self, line: str, level: str, time_ns: int, weight: int = 1) -> None:
        """A line that stands for as many as its weight."""
        text = _subject(line)
        if text:
            self.add_pattern(text, level, {time_ns // RESOLUTION_NS: weight})

    def add_pattern(self, pattern: str, level: str, counts: Counts) -> None:
        """A line, or what was found to be the pattern of several."""
        cluster = self._cluster(pattern)
        if cluster is not None:
            own = cluster.counts.setdefault(level, {})
            for time, count in counts.items():
                own[time] = own.get(time, 0) + count

    def patterns(self) -> Iterator[tuple[str, str, Counts]]:
        """Pattern, level, and its lines over time."""
        for cluster in self._clusters:
            pattern = cluster.pattern()
            for level, counts in cluster.counts.items():
                yield pattern, level, counts

    def _cluster(self, text: str) -> _Cluster | None:
        found = _WORD.findall(text)
        words = [word for word, _ in found[:_MOST_WORDS]]
        gaps = tuple(gap for _, gap in found[:_MOST_WORDS])
        if len(found) > _MOST_WORDS:
            words.append(WILDCARD)
            gaps += ("",)
        if not words:
            return None
        node = self._roots.setdefault(gaps, _Node())
        for word in words[:_DEPTH]:
            node = node.child(word)
        best = max(node.clusters, key=lambda cluster: cluster.likeness(words), default=None)
        if best is not None and best.likeness(words) >= _LIKENESS:
            best.take(words)
            return best
        if len(self._clusters) >= _MOST_CLUSTERS:
            return None
        cluster = _Cluster(words, gaps)
        node.clusters.append(cluster)
        self._clusters.append(cluster)
        return cluster


def _subject(line: str) -> str:
    """What of the line has a pattern; empty for what has none."""
    if len(line) > _LONGEST_LINE:
        return ""
    if not line.startswith("{"):
        return line.strip()
    messages = dict(reversed(_MESSAGE.findall(line)))
    text = next((messages[key] for key in _MESSAGE_KEYS if key in messages), "")
    return f"{WILDCARD}{text}{WILDCARD}" if text else ""
