"""Label filters. What cannot be converted sets an error, and the line passes: only its error can be filtered out."""

import operator
from collections.abc import Callable
from typing import Any, assert_never

from log_aggregator.engine.conversions import NotConvertible, to_duration_ns, to_number, to_size_bytes
from log_aggregator.engine.entry_labels import ERROR, Check, EntryLabels
from log_aggregator.engine.line_filter import addresses_in
from log_aggregator.engine.selector import Predicate, compile_matcher
from log_aggregator.logql.ast import (
    AndFilter,
    BytesFilter,
    CompareOp,
    DurationFilter,
    IpFilter,
    LabelFilter,
    Matcher,
    NumberFilter,
    OrFilter,
    StringFilter,
)
from log_aggregator.logql.ip import InvalidIpPattern, parse_ip_pattern
from log_aggregator.logql.loose_regex import value_expression
from log_aggregator.logql.regex import compile_regex
from log_aggregator.logql.units import format_bytes

LABEL_FILTER_ERROR = "LabelFilterErr"

COMPARE: dict[CompareOp, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def compile_label_filter(node: LabelFilter) -> Check:
    match node:
        case StringFilter(matcher):
            return _string(matcher)
        case NumberFilter(name, op, value):
            return _comparison(name, op, value, to_number)
        case DurationFilter(name, op, value_ns):
            return _comparison(name, op, value_ns, to_duration_ns)
        case BytesFilter(name, op, value_bytes):
            return _comparison(name, op, _as_printed(value_bytes), to_size_bytes)
        case IpFilter(name, op, pattern):
            return _ip(name, op == "=", pattern)
        case AndFilter(left, right):
            return _both(compile_label_filter(left), compile_label_filter(right))
        case OrFilter(left, right):
            first, second = compile_label_filter(left), compile_label_filter(right)
            return lambda labels: first(labels) or second(labels)
        case _:
            assert_never(node)


def _as_printed(value_bytes: int) -> float:
    """Loki prints a query before it runs it, sizes with two digits: 10KiB is 10kB, and compares as 10000."""
    return to_size_bytes(format_bytes(value_bytes))


def names_read(node: LabelFilter) -> frozenset[str]:
    """The labels that a filter looks at."""
    match node:
        case StringFilter(matcher):
            return frozenset((matcher.name,))
        case AndFilter(left, right) | OrFilter(left, right):
            return names_read(left) | names_read(right)
        case _:
            return frozenset((node.name,))


def names_asked_for(node: LabelFilter) -> frozenset[str]:
    """The labels that parsers are to find for the filter: none for one that accepts every value."""
    match node:
        case StringFilter(Matcher(op="=~", value=pattern)) if value_expression(pattern) == "":
            return frozenset()
        case AndFilter(left, right) | OrFilter(left, right):
            return names_asked_for(left) | names_asked_for(right)
        case _:
            return names_read(node)


def _both(left: Check, right: Check) -> Check:
    def both(labels: EntryLabels) -> bool:
        passes = left(labels)
        return right(labels) and passes  # the right one may set an error even if the line does not pass: no shortcut

    return both


def _string(matcher: Matcher) -> Check:
    """A missing label is empty."""
    name, predicate = matcher.name, _value_predicate(matcher)
    if name == ERROR:
        return lambda labels: predicate(labels.error)
    return lambda labels: predicate(labels.get(name) or "")


def label_expression(matcher: Matcher) -> str:
    """The expression that finds in a value what the matcher's matches."""
    loose = value_expression(matcher.value)
    return f"^(?:{matcher.value})$" if loose is None else loose


def _value_predicate(matcher: Matcher) -> Predicate:
    if matcher.op in ("=", "!="):
        return compile_matcher(matcher)
    search = compile_regex(label_expression(matcher)).search
    positive = matcher.op == "=~"
    return lambda value: (search(value) is not None) is positive


def _comparison(name: str, op: CompareOp, wanted: float, convert: Callable[[str], float]) -> Check:
    """A missing label never passes."""
    compare = COMPARE[op]

    def passes(labels: EntryLabels) -> bool:
        text = labels.get(name)
        if text is None:
            return False
        try:
            value = convert(text)
        except NotConvertible as error:
            if not labels.error:
                labels.fail(LABEL_FILTER_ERROR, str(error))
            return True
        return compare(value, wanted)

    return passes


def _ip(name: str, positive: bool, text: str) -> Check:
    """A pattern that is none is only refused where it stands alone; beside others it never passes."""
    try:
        pattern = parse_ip_pattern(text)
    except InvalidIpPattern:
        pattern = None

    def passes(labels: EntryLabels) -> bool:
        if labels.error:
            return True
        value = labels.get(name)
        if value is None or pattern is None:
            return False
        return any(pattern.holds(address) for address in addresses_in(value)) is positive

    return passes
