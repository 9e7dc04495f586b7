"""Which fields the entries of a log query have, of what kind their values are, and where in a line they stand.

A line is read as JSON, and as logfmt if it is none. That the last entry tells a field's kind and path, and what a field
is called, is Loki's way.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from log_aggregator.engine.conversions import NotConvertible, to_duration_ns, to_number, to_size_bytes
from log_aggregator.engine.entry_labels import ERROR, ERROR_DETAILS, PRESERVE_ERROR, Demand, EntryLabels
from log_aggregator.engine.json_stages import extract_json, field_paths
from log_aggregator.engine.logfmt import compile_logfmt
from log_aggregator.engine.pipeline import Row
from log_aggregator.logql.ast import LogfmtStage
from log_aggregator.logql.units import format_bytes

_ERRORS: Final = frozenset({ERROR, ERROR_DETAILS, PRESERVE_ERROR})
_ALL_FIELDS: Final = Demand()
_INTEGER: Final = re.compile(r"[+-]?\d+", re.ASCII)
_BOOLEANS: Final = frozenset({"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"})
_extract_logfmt = compile_logfmt(LogfmtStage())


class FieldKind(StrEnum):
    """Loki's words."""

    INT = "int"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DURATION = "duration"
    BYTES = "bytes"
    STRING = "string"


@dataclass(slots=True)
class DetectedField:
    """`parsers` is empty for structured metadata; `json_path` for what is not JSON."""

    kind: FieldKind = FieldKind.STRING
    values: set[str] = field(default_factory=set)
    parsers: list[str] = field(default_factory=list)
    json_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Parsed:
    """The fields of one entry that are no structured metadata."""

    values: dict[str, set[str]]
    parser: str | None
    paths: dict[str, tuple[str, ...]]


def detect_fields(rows: Iterable[Row], limit: int) -> dict[str, DetectedField]:
    """No more fields than the limit: later ones are left out."""
    fields: dict[str, DetectedField] = {}
    for row in rows:
        for name, value in row.metadata.items():
            if found := _field(fields, name, limit):
                found.kind = kind_of(value)
                found.values.add(value)
        parsed = _parse(row)
        for name, values in parsed.values.items():
            if found := _field(fields, name, limit):
                found.kind = kind_of(next(iter(values)))
                found.values |= values
                if parsed.parser == "json":
                    found.json_path = parsed.paths.get(name, ())
                if parsed.parser is not None and parsed.parser not in found.parsers:
                    found.parsers.append(parsed.parser)
    return fields


def values_of_field(rows: Iterable[Row], name: str, limit: int) -> list[str]:
    """Distinct values, in the order in which they are found."""
    values: dict[str, None] = {}
    for row in rows:
        if len(values) >= limit:
            break
        if name in row.metadata:
            values[row.metadata[name]] = None
        values.update(dict.fromkeys(map(_as_in_queries, _parse(row).values.get(name, ()))))
    return list(values)


def _as_in_queries(value: str) -> str:
    """A size as label filters have it, without blanks: values are put into queries as they are.

    Loki takes whatever has a unit of sizes for one, minutes too.
    """
    is_size = value[-1:].isalpha() and _converts(to_size_bytes, value)
    return format_bytes(int(to_size_bytes(value))) if is_size else value


def kind_of(value: str) -> FieldKind:
    if _INTEGER.fullmatch(value) and -(2**63) <= int(value) < 2**63:
        return FieldKind.INT
    if _converts(to_number, value):
        return FieldKind.FLOAT
    if value in _BOOLEANS:
        return FieldKind.BOOLEAN
    if _converts(to_duration_ns, value):
        return FieldKind.DURATION
    if _converts(to_size_bytes, value):
        return FieldKind.BYTES
    return FieldKind.STRING


def _field(fields: dict[str, DetectedField], name: str, limit: int) -> DetectedField | None:
    found = fields.get(name)
    if found is None and len(fields) < limit:
        found = fields[name] = DetectedField()
    return found


def _parse(row: Row) -> _Parsed:
    """What the query's own stages have extracted, and what a parser finds in the line."""
    values = {name: {value} for name, value in row.parsed.items() if name not in _ERRORS}
    stream = {name: value for name, value in row.stream if name not in row.parsed}
    labels = EntryLabels(row.timestamp_ns, stream, {}, _ALL_FIELDS)
    extract_json(row.line, labels)
    parser = "json"
    paths: dict[str, tuple[str, ...]] = {}
    if labels.error:
        labels = EntryLabels(row.timestamp_ns, stream, {}, _ALL_FIELDS)
        _extract_logfmt(row.line, labels)
        parser = "logfmt"
    else:
        for name, path in field_paths(row.line).items():
            paths.setdefault(labels.free_name(name), path)
    for name, value in labels.parsed.items():
        if name not in _ERRORS:
            values.setdefault(name, set()).add(value)
    return _Parsed(values, parser, paths)


def _converts(conversion: Callable[[str], object], value: str) -> bool:
    try:
        conversion(value)
    except NotConvertible:
        return False
    return True
