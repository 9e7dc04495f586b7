"""Go values as Python values.

| Go | here |
|---|---|
| string | `bytes`: Go strings are bytes, and `substr` may cut a character in two |
| int, float64, bool | `int`, `float`, `bool` |
| int64, uint8, time.Month, ... | subclasses of `int`, as the types matter to calls and to `%T` |
| []interface {}, map[string]interface {} | `list`, `dict` with `bytes` keys |
| map[string]string, the labels | `Labels` |
| a value whose static type is interface {} | `Boxed`; `Boxed(None)` is a nil interface |
| no value at all (reflect's zero Value), untyped nil | `None` |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from log_aggregator.logql.template.errors import CallError
from log_aggregator.logql.template.gotime import Duration, Location, Month, Time, Weekday
from log_aggregator.logql.template.strconv import decode_utf8, encode_utf8

# A closed union of the types above would be recursive and help nobody: every use tests the type.
Value: TypeAlias = Any


class Int64(int):
    """Go's int64, the result of integer arithmetic."""


class Uint8(int):
    """Go's uint8, a byte of a string."""


@dataclass(frozen=True, slots=True)
class Boxed:
    """An element of a JSON value, or the result of a function that returns interface {}."""

    value: Value


class Labels:
    """The labels of an entry as a Go map[string]string, encoded only where they are read."""

    __slots__ = ("_labels",)

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels

    def __len__(self) -> int:
        return len(self._labels)

    def get(self, name: bytes | str) -> bytes:
        """The value of a label, empty if there is none."""
        key = name if isinstance(name, str) else decode_utf8(name)
        return encode_utf8(self._labels.get(key, ""))

    def sorted_items(self) -> list[tuple[bytes, bytes]]:
        return sorted((encode_utf8(name), encode_utf8(value)) for name, value in self._labels.items())


_TYPE_NAMES: dict[type, str] = {
    bytes: "string",
    int: "int",
    float: "float64",
    bool: "bool",
    Int64: "int64",
    Uint8: "uint8",
    Month: "time.Month",
    Weekday: "time.Weekday",
    Duration: "time.Duration",
    Time: "time.Time",
    Location: "*time.Location",
    list: "[]interface {}",
    dict: "map[string]interface {}",
    Labels: "map[string]string",
    Boxed: "interface {}",
    type(None): "<nil>",
}


def type_name(value: Value) -> str:
    """The name of a value's Go type."""
    return _TYPE_NAMES[type(value)]


def unbox(value: Value) -> Value:
    """The value inside an interface; a nil interface becomes no value."""
    return value.value if type(value) is Boxed else value


def is_integer(value: Value) -> bool:
    return isinstance(value, int) and type(value) is not bool


def is_true(value: Value) -> bool:
    """Go's truth for `if`, `and` and the like: neither zero nor empty."""
    value = unbox(value)
    return isinstance(value, Time | Location) or bool(value)


def items_of(value: dict[bytes, Value] | Labels) -> list[tuple[bytes, Value]]:
    """Keys and values of a map in order of keys, as Go ranges over and prints them."""
    if isinstance(value, Labels):
        return value.sorted_items()
    return [(key, Boxed(value[key])) for key in sorted(value)]


def length(value: Value) -> int:
    if type(value) is Boxed:
        if value.value is None:
            raise CallError("len of nil pointer")
        value = value.value
    if value is None:
        raise CallError("reflect: call of reflect.Value.Type on zero Value")
    if not isinstance(value, bytes | list | dict | Labels):
        raise CallError(f"len of type {type_name(value)}")
    return len(value)
