"""The stages regexp and pattern."""

from collections.abc import Iterator

from log_aggregator.engine.entry_labels import EntryLabels, sanitise
from log_aggregator.engine.stage import Process
from log_aggregator.logql.ast import PatternStage, RegexpStage
from log_aggregator.logql.pattern import UNNAMED, Capture, Pattern, parse_pattern
from log_aggregator.logql.regex import compile_regex


def compile_regexp(stage: RegexpStage) -> Process:
    """A group that took no part gives an empty label."""
    regex = compile_regex(stage.pattern)
    groups = sorted(((number, sanitise(name)) for name, number in regex.groupindex.items()))

    def process(line: str, labels: EntryLabels) -> str | None:
        found = regex.search(line)
        if found is not None:
            for number, name in groups:
                if not labels.extract(name, found[number] or ""):
                    return None
        return line

    return process


def compile_pattern(stage: PatternStage) -> Process:
    pattern = parse_pattern(stage.pattern)

    def process(line: str, labels: EntryLabels) -> str | None:
        if labels.satisfied:
            return line
        for name, text in captures(pattern, line):
            if name != UNNAMED and not labels.extract(name, text):
                return None
        return line

    return process


def captures(pattern: Pattern, line: str) -> Iterator[tuple[str, str]]:
    """What each capture holds. A leading literal must begin the line; where another is missing, the capture before it
    takes the rest of the line and is the last."""
    at = 0
    parts = pattern.parts
    if isinstance(parts[0], str):
        if not line.startswith(parts[0]):
            return
        at = len(parts[0])
    elif not line:
        return
    for number, part in enumerate(parts):
        if not isinstance(part, Capture):
            continue
        literal = parts[number + 1] if number + 1 < len(parts) else None
        end = line.find(literal, at) if isinstance(literal, str) else -1
        if end < 0:
            yield part.name, line[at:]
            return
        yield part.name, line[at:end]
        at = end + len(str(literal))
