"""Entries as the API gives them, and as a terminal or another program wants them."""

import os
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TextIO

import msgspec

from log_aggregator.client.errors import ClientError
from log_aggregator.logs import logfmt_value
from log_aggregator.model.quantity import format_rfc3339

Form = Literal["default", "raw", "jsonl", "logfmt"]
FORMS: Final[tuple[Form, ...]] = ("default", "raw", "jsonl", "logfmt")

CATEGORIZED: Final = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
"""Asks for what is not a label of the stream beside each line. Older servers do not know it, and mix all."""

_COLOURS: Final = (36, 32, 35, 34, 33, 96, 92, 95)  # of terminals; red is for errors
_RED, _YELLOW = 31, 33
_LEVEL_COLOURS: Final = {"error": _RED, "critical": _RED, "fatal": _RED, "warn": _YELLOW}


@dataclass(frozen=True, slots=True)
class Entry:
    labels: Mapping[str, str]
    timestamp_ns: int
    line: str
    metadata: Mapping[str, str] = field(default_factory=dict)  # structured metadata
    parsed: Mapping[str, str] = field(default_factory=dict)  # what stages of the query made


class Beside(msgspec.Struct, frozen=True):
    """What stands beside a line where labels are categorized."""

    metadata: dict[str, str] = msgspec.field(name="structuredMetadata", default_factory=dict)
    parsed: dict[str, str] = msgspec.field(default_factory=dict)


class StreamAnswer(msgspec.Struct, frozen=True):
    stream: dict[str, str]
    values: list[list[msgspec.Raw]]

    def entries(self) -> Iterable[Entry]:
        """Raises ClientError."""
        try:
            for value in self.values:
                timestamp, line = (msgspec.json.decode(raw, type=str) for raw in value[:2])
                beside = msgspec.json.decode(value[2], type=Beside) if len(value) > 2 else Beside()
                yield Entry(self.stream, int(timestamp), line, beside.metadata, beside.parsed)
        except (msgspec.MsgspecError, ValueError) as error:
            raise ClientError(f"the server sent an entry that is none: {error}") from error


def printer(form: Form, colours: Literal["auto", "always", "never"], out: TextIO) -> Callable[[Entry], None]:
    """Prints one entry a line, as the form says."""
    coloured = colours == "always" or (colours == "auto" and out.isatty() and not os.environ.get("NO_COLOR"))

    def show(entry: Entry) -> None:
        print(_text(entry, form, coloured=coloured), file=out, flush=out is sys.stdout and out.isatty())

    return show


def format_labels(labels: Mapping[str, str]) -> str:
    """`{a="b", c="d"}`."""
    pairs = (f"{name}={msgspec.json.encode(value).decode()}" for name, value in sorted(labels.items()))
    return "{" + ", ".join(pairs) + "}"


def _text(entry: Entry, form: Form, *, coloured: bool) -> str:
    match form:
        case "raw":
            return entry.line
        case "jsonl":
            return _json(entry)
        case "logfmt":
            fields = {"ts": format_rfc3339(entry.timestamp_ns), **entry.labels, **entry.metadata, **entry.parsed}
            fields["line"] = entry.line
            return " ".join(f"{name}={logfmt_value(value)}" for name, value in fields.items())
        case "default":
            labels, line = format_labels({**entry.labels, **entry.parsed}), entry.line
            if coloured:
                labels = _painted(labels, _COLOURS[zlib.crc32(repr(sorted(entry.labels.items())).encode()) % 8])
                level = entry.metadata.get("detected_level") or entry.labels.get("detected_level", "")
                line = _painted(line, _LEVEL_COLOURS[level]) if level in _LEVEL_COLOURS else line
            return f"{format_rfc3339(entry.timestamp_ns)} {labels} {line}"


def _json(entry: Entry) -> str:
    """What `push --format jsonl` reads."""
    fields: dict[str, object] = {"timestamp": format_rfc3339(entry.timestamp_ns), "labels": entry.labels}
    if entry.metadata:
        fields["structuredMetadata"] = entry.metadata
    if entry.parsed:
        fields["parsed"] = entry.parsed
    return msgspec.json.encode(fields | {"line": entry.line}).decode()


def _painted(text: str, colour: int) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"
