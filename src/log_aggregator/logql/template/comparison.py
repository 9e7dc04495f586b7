"""The comparisons of templates: only values of one kind compare, and signed with unsigned integers."""

from log_aggregator.logql.template.errors import CallError
from log_aggregator.logql.template.printf import sprintf
from log_aggregator.logql.template.strconv import decode_utf8
from log_aggregator.logql.template.values import Labels, Uint8, Value, type_name, unbox

_BAD_COMPARISON = "invalid type for comparison"


def equal_any(first: Value, *others: Value) -> bool:
    """Whether the first value equals any of the others."""
    if not others:
        raise CallError("missing argument for comparison")
    return any(_equal(unbox(first), unbox(other)) for other in others)


def less(first: Value, second: Value) -> bool:
    first, second = unbox(first), unbox(second)
    kind, other_kind = _ordered_kind(first), _ordered_kind(second)
    if kind != other_kind and {kind, other_kind} != {"int", "uint"}:
        raise CallError(f"incompatible types for comparison: {type_name(first)} and {type_name(second)}")
    if kind == "bool":
        raise CallError(_BAD_COMPARISON)
    return bool(first < second)


def _basic_kind(value: Value) -> str | None:
    match value:
        case bool():
            return "bool"
        case Uint8():
            return "uint"
        case int():
            return "int"
        case float():
            return "float"
        case bytes():
            return "string"
        case _:
            return None


def _ordered_kind(value: Value) -> str:
    kind = _basic_kind(value)
    if kind is None:
        raise CallError(_BAD_COMPARISON)
    return kind


def _equal(first: Value, second: Value) -> bool:
    kind, other_kind = _basic_kind(first), _basic_kind(second)
    if kind != other_kind and {kind, other_kind} != {"int", "uint"}:
        if first is None or second is None:
            return False
        raise CallError(f"incompatible types for comparison: {type_name(first)} and {type_name(second)}")
    if kind is not None:
        return bool(first == second)
    if first is None or second is None:
        return first is second
    if _shape(first) is not _shape(second):
        raise _not_comparable("types %s: %v, %s: %v", first, type_name(first), type_name(second), second)
    if isinstance(second, list | dict | Labels):
        raise _not_comparable("type %s: %v", second, type_name(second))
    return bool(first == second)


def _shape(value: Value) -> type:
    """What Go calls the kind of a value that is not basic."""
    return dict if isinstance(value, Labels) else type(value)


def _not_comparable(message: str, *values: Value) -> CallError:
    shown = [value.encode() if isinstance(value, str) else value for value in values]
    return CallError("non-comparable " + decode_utf8(sprintf(message.encode(), shown)))
