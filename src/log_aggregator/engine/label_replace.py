"""`label_replace`: a label made of parts of another. Templates follow Go's regexp Expand."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from log_aggregator.engine.vector import Sample, Vector
from log_aggregator.logql.ast import LabelReplace
from log_aggregator.logql.regex import compile_regex
from log_aggregator.model.labels import Labels, labels_of

_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")
_MOST_KNOWN: Final = 100_000
_GROUP_NUMBER = re.compile(r"0|[1-9][0-9]*")  # `$01` is a name


def compile_label_replace(expr: LabelReplace) -> Callable[[Vector], Vector]:
    """Samples whose source label does not match stay as they are; an empty replacement removes the label."""
    fullmatch = compile_regex(expr.pattern).fullmatch

    @lru_cache(_MOST_KNOWN)  # most series are in many steps
    def replaced(labels: Labels) -> Labels:
        values = dict(labels)
        match = fullmatch(values.get(expr.source, ""))
        if match is None:
            return labels
        values[expr.destination] = _expanded(expr.replacement, match)
        return labels_of(values)

    return lambda vector: [Sample(replaced(labels), value) for labels, value in vector]


def _expanded(template: str, match: Any) -> str:
    """A reference to a group that does not exist or took no part is empty."""

    def text(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        try:
            return match[int(name) if _GROUP_NUMBER.fullmatch(name) else name] or ""
        except (IndexError, KeyError):
            return ""

    return _REFERENCE.sub(text, template)
