"""Apache Thrift's compact protocol, as far as a Parquet footer needs it: structs, lists, integers, binary.

A struct is a dict from field id to `Field`, so that a footer can be read, trimmed and written back without naming
every field that the format has or will have.
Source: the Thrift compact protocol specification (thrift/doc/specs/thrift-compact-protocol.md).
"""

import struct
from dataclasses import dataclass
from typing import Any

from log_aggregator.formats.errors import CorruptData

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
_VARINTS = (I16, I32, I64)
_MAX_DEPTH = 32


@dataclass(slots=True)
class Field:
    """A typed value: int, bytes, bool, float, a list of values (with `element`), or a struct."""

    kind: int
    value: Any
    element: int = 0


Struct = dict[int, Field]


def read_struct(data: bytes | memoryview) -> Struct:
    """The struct at the start of the data. Raises CorruptData."""
    try:
        return _Reader(data).struct(0)
    except (IndexError, struct.error) as error:
        raise CorruptData("Parquet footer is cut short") from error


def write_struct(fields: Struct) -> bytes:
    out = bytearray()
    _write_struct(out, fields)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data
        self._at = 0

    def struct(self, depth: int) -> Struct:
        if depth > _MAX_DEPTH:
            raise CorruptData("Parquet footer nests too deeply")
        fields: Struct = {}
        field_id = 0
        while header := self._byte():
            kind, delta = header & 15, header >> 4
            field_id = field_id + delta if delta else self._zigzag()
            fields[field_id] = self._field(kind, depth)
        return fields

    def _field(self, kind: int, depth: int) -> Field:
        if kind in (TRUE, FALSE):
            return Field(TRUE, kind == TRUE)
        if kind in (LIST, SET):
            element, items = self._list(depth)
            return Field(kind, items, element)
        return Field(kind, self._value(kind, depth))

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _VARINTS:
            return self._zigzag()
        if kind == BINARY:
            return self._take(self._varint())
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (TRUE, FALSE):
            return self._byte() == TRUE
        if kind == BYTE:
            return self._byte()
        if kind == DOUBLE:
            return struct.unpack("<d", self._take(8))[0]
        raise CorruptData(f"Parquet footer holds an unexpected Thrift type {kind}")

    def _list(self, depth: int) -> tuple[int, list[Any]]:
        header = self._byte()
        size, element = header >> 4, header & 15
        if size == 15:
            size = self._varint()
        if element in (LIST, SET):
            raise CorruptData("Parquet footer holds a list of lists")
        return element, [self._value(element, depth) for _ in range(size)]

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _take(self, size: int) -> bytes:
        taken = bytes(self._data[self._at : self._at + size])
        if len(taken) != size:
            raise IndexError
        self._at += size
        return taken

    def _varint(self) -> int:
        result = shift = 0
        while True:
            byte = self._byte()
            result |= (byte & 127) << shift
            if byte < 128:
                return result
            shift += 7
            if shift > 63:
                raise CorruptData("Parquet footer holds an integer of over 64 bits")

    def _zigzag(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)


def _write_struct(out: bytearray, fields: Struct) -> None:
    previous = 0
    for field_id in sorted(fields):
        field = fields[field_id]
        kind = (TRUE if field.value else FALSE) if field.kind == TRUE else field.kind
        delta = field_id - previous
        if 1 <= delta <= 15:
            out.append(delta << 4 | kind)
        else:
            out.append(kind)
            write_zigzag(out, field_id)
        if field.kind in (LIST, SET):
            _write_list(out, field)
        elif field.kind != TRUE:
            _write_value(out, field.kind, field.value)
        previous = field_id
    out.append(0)


def _write_list(out: bytearray, field: Field) -> None:
    size = len(field.value)
    if size < 15:
        out.append(size << 4 | field.element)
    else:
        out.append(0xF0 | field.element)
        write_varint(out, size)
    for value in field.value:
        _write_value(out, field.element, value)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in _VARINTS:
        write_zigzag(out, value)
    elif kind == BINARY:
        write_varint(out, len(value))
        out += value
    elif kind == STRUCT:
        _write_struct(out, value)
    elif kind in (TRUE, FALSE):
        out.append(TRUE if value else FALSE)
    elif kind == BYTE:
        out.append(value)
    else:
        out += struct.pack("<d", value)


def write_zigzag(out: bytearray, number: int) -> None:
    write_varint(out, number << 1 if number >= 0 else (-number << 1) - 1)


def write_varint(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
