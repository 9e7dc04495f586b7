"""The stages drop and keep."""

from log_aggregator.engine.entry_labels import ERROR, ERROR_DETAILS, PRESERVE_ERROR, EntryLabels
from log_aggregator.engine.selector import Predicate, compile_matcher
from log_aggregator.engine.stage import Process
from log_aggregator.logql.ast import DropStage, KeepStage, Matcher

_NEVER_DROPPED_BY_KEEP = frozenset((ERROR, ERROR_DETAILS, PRESERVE_ERROR))


def compile_drop(stage: DropStage) -> Process:
    steps = tuple(_named(label) for label in stage.labels)

    def process(line: str, labels: EntryLabels) -> str:
        for name, predicate in steps:
            _drop(labels, name, predicate)
        return line

    return process


def _named(label: str | Matcher) -> tuple[str, Predicate | None]:
    return (label, None) if isinstance(label, str) else (label.name, compile_matcher(label))


def _drop(labels: EntryLabels, name: str, predicate: Predicate | None) -> None:
    if name == ERROR:
        if predicate is None or predicate(labels.error):
            labels.error = ""
    elif name == ERROR_DETAILS:
        if predicate is None or predicate(labels.details):
            labels.details = ""
    elif predicate is not None:
        if predicate(labels.get(name) or ""):
            labels.delete(name)
    elif labels.get(name) is not None:
        labels.delete(name)


def compile_keep(stage: KeepStage) -> Process:
    """Keeps a label if one of its conditions holds; errors always."""
    kept: dict[str, list[Predicate]] = {}
    for label in stage.labels:
        name, predicate = _named(label)
        kept.setdefault(name, []).append(predicate or _any_value)

    def process(line: str, labels: EntryLabels) -> str:
        for name, value in labels.all().items():
            if name not in _NEVER_DROPPED_BY_KEEP and not any(holds(value) for holds in kept.get(name, ())):
                labels.delete(name)
        return line

    return process


def _any_value(value: str) -> bool:
    return True
