"""The functions that Go's text/template itself has. `and` and `or` are left to the evaluator: they stop early."""

from collections.abc import Callable
from typing import Never

from log_aggregator.logql.template.comparison import equal_any, less
from log_aggregator.logql.template.errors import CallError
from log_aggregator.logql.template.escapes import escape_html, escape_js, escape_query
from log_aggregator.logql.template.limits import check_size
from log_aggregator.logql.template.printf import sprint, sprintf, sprintln
from log_aggregator.logql.template.signatures import Function, Type
from log_aggregator.logql.template.values import (
    Boxed,
    Labels,
    Uint8,
    Value,
    is_integer,
    is_true,
    length,
    type_name,
    unbox,
)


def _index(item: Value, *indexes: Value) -> Value:
    if unbox(item) is None:
        raise CallError("index of untyped nil")
    for index in map(unbox, indexes):
        item = unbox(item)
        match item:
            case None:
                raise CallError("index of nil pointer")
            case bytes():
                item = Uint8(_at(item, index))
            case list():
                item = Boxed(_at(item, index))
            case dict():
                item = Boxed(item.get(_key(index)))
            case Labels():
                item = item.get(_key(index))
            case _:
                raise CallError(f"can't index item of type {type_name(item)}")
    return item


def _at(item: bytes | list[Value], index: Value) -> Value:
    position = _position(index, len(item))
    if position == len(item):
        kind = "string" if isinstance(item, bytes) else "slice"
        raise CallError(f"reflect: {kind} index out of range")
    return item[position]


def _position(index: Value, limit: int) -> int:
    if index is None:
        raise CallError("cannot index slice/array with nil")
    if not is_integer(index):
        raise CallError(f"cannot index slice/array with type {type_name(index)}")
    if not 0 <= index <= limit:
        raise CallError(f"index out of range: {int(index)}")
    return int(index)


def _key(index: Value) -> bytes:
    if index is None:
        raise CallError("value is nil; should be of type string")
    if not isinstance(index, bytes):
        raise CallError(f"value has type {type_name(index)}; should be string")
    return index


def _slice(item: Value, *indexes: Value) -> Value:
    item = unbox(item)
    if item is None:
        raise CallError("slice of untyped nil")
    if len(indexes) > 3:
        raise CallError(f"too many slice indexes: {len(indexes)}")
    if isinstance(item, bytes) and len(indexes) == 3:
        raise CallError("cannot 3-index slice a string")
    if not isinstance(item, bytes | list):
        raise CallError(f"can't slice item of type {type_name(item)}")
    bounds = [_position(index, len(item)) for index in indexes]
    start = bounds[0] if bounds else 0
    end = bounds[1] if len(bounds) > 1 else len(item)
    if start > end:
        raise CallError(f"invalid slice index: {start} > {end}")
    if len(bounds) == 3 and end > bounds[2]:
        raise CallError(f"invalid slice index: {end} > {bounds[2]}")
    return item[start:end]


def _call(name: str, function: Value, *_: Value) -> Never:
    """Always fails: no value of a template is a function. The evaluator gives the name."""
    function = unbox(function)
    if function is None:
        raise CallError("call of nil")
    raise CallError(f"non-function {name} of type {type_name(function)}")


def _escaper(escape: Callable[[bytes], bytes], growth: int) -> Callable[..., bytes]:
    """Print values and escape the result, which makes it at most `growth` times as long."""

    def escaped(*values: Value) -> bytes:
        text = sprint([b"<no value>" if value is None else value for value in values])
        check_size(growth * len(text))
        return escape(text)

    return escaped


_VALUES = (Type.VALUE, Type.VALUE)

BUILTINS: dict[str, Function] = {
    "not": Function((Type.VALUE,), lambda value: not is_true(value)),
    "eq": Function(_VALUES, equal_any, variadic=True),
    "ne": Function(_VALUES, lambda first, second: not equal_any(first, second)),
    "lt": Function(_VALUES, less),
    "le": Function(_VALUES, lambda first, second: less(first, second) or equal_any(first, second)),
    "gt": Function(_VALUES, lambda first, second: not (less(first, second) or equal_any(first, second))),
    "ge": Function(_VALUES, lambda first, second: not less(first, second)),
    "len": Function((Type.VALUE,), length),
    "index": Function(_VALUES, _index, variadic=True),
    "slice": Function(_VALUES, _slice, variadic=True),
    "call": Function(_VALUES, _call, variadic=True),
    "print": Function((Type.ANY,), lambda *values: sprint(values), variadic=True),
    "println": Function((Type.ANY,), lambda *values: sprintln(values), variadic=True),
    "printf": Function((Type.STRING, Type.ANY), lambda layout, *values: sprintf(layout, values), variadic=True),
    "html": Function((Type.ANY,), _escaper(escape_html, 5), variadic=True),
    "js": Function((Type.ANY,), _escaper(escape_js, 6), variadic=True),
    "urlquery": Function((Type.ANY,), _escaper(escape_query, 3), variadic=True),
}
