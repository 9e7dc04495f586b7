"""`push`: lines of files or standard input, in batches; what a server refuses for now is tried again."""

import gzip
import queue
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from log_aggregator.client.entries import Entry
from log_aggregator.client.errors import ClientError, Refused, Unreachable
from log_aggregator.client.moments import parse_moment
from log_aggregator.client.server import Server

_BATCH_BYTES: Final = 1 << 20  # uncompressed; Loki's default limits take four times that in a second
_IDLE_SECONDS: Final = 1.0  # what waits for more lines is sent after this
_READ_AHEAD_LINES: Final = 10_000
_ATTEMPTS: Final = 10
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 10.0
_HEADERS: Final = {"Content-Type": "application/json", "Content-Encoding": "gzip"}


class JsonEntry(msgspec.Struct, frozen=True):
    """What `query --output jsonl` writes, and other programs may."""

    line: str
    timestamp: str | int = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    metadata: dict[str, str] = msgspec.field(name="structuredMetadata", default_factory=dict)


@dataclass(slots=True)
class _Progress:
    """Told on a terminal while it goes on, and once at the end."""

    lines: int = 0
    size_bytes: int = 0
    refused: int = 0  # batches of which the server took only a part, or nothing
    begun: float = field(default_factory=time.monotonic)

    def show(self, end: str) -> None:
        seconds = max(time.monotonic() - self.begun, 1e-9)
        speed = self.size_bytes / seconds / 1e6
        text = f"{self.lines:,} lines, {self.size_bytes / 1e6:,.1f} MB, {speed:,.1f} MB/s"
        if self.refused:
            text += f", {self.refused} batches refused at least in part"
        print(f"\r{text}", end=end, file=sys.stderr, flush=True)


def push(options: Namespace) -> int:
    server, labels = Server.of_options(options), dict(map(_label, options.label))
    if not labels and options.format == "lines":
        raise ClientError("give the lines at least one label: --label job=example")
    progress, on_terminal = _Progress(), sys.stderr.isatty()
    for batch in _batches(_entries(options, labels)):
        progress.refused += not _sent(server, batch)
        progress.lines += len(batch)
        progress.size_bytes += sum(len(entry.line) for entry in batch)
        if on_terminal:
            progress.show("")
    progress.show("\n")
    return 1 if progress.refused else 0


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ClientError(f"--label must be name=value: {text!r}")
    return name, value


def _entries(options: Namespace, labels: Mapping[str, str]) -> Iterator[Entry | None]:
    """None where no line has come for a while."""
    last_ns = 0
    for number, data in enumerate(_lines(options.files), 1):
        if data is None:
            yield None
            continue
        text = data.decode(errors="replace").rstrip("\r\n")
        now_ns = max(time.time_ns(), last_ns + 1)  # in the order of the input
        if options.format == "lines":
            last_ns = now_ns
            yield Entry(labels, now_ns, text)
        elif text:
            yield _of_json(text, number, labels, now_ns)


def _of_json(text: str, number: int, labels: Mapping[str, str], now_ns: int) -> Entry:
    try:
        one = msgspec.json.decode(text, type=JsonEntry)
    except msgspec.MsgspecError as error:
        raise ClientError(f"line {number} is not an entry: {error}") from error
    timestamp_ns = parse_moment(str(one.timestamp)) if one.timestamp != "" else now_ns
    return Entry({**one.labels, **labels}, timestamp_ns, one.line, one.metadata)


def _lines(files: Sequence[str]) -> Iterator[bytes | None]:
    """Of the files, or of standard input, which may pause: then None."""
    if files:
        for name in files:
            try:
                with open(name, "rb") as file:
                    yield from file
            except OSError as error:
                raise ClientError(f"{name}: {error.strerror}") from error
        return
    waiting: queue.Queue[bytes | None] = queue.Queue(_READ_AHEAD_LINES)
    threading.Thread(target=_read, args=(waiting,), daemon=True).start()
    while True:
        try:
            line = waiting.get(timeout=_IDLE_SECONDS)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        yield line


def _read(waiting: "queue.Queue[bytes | None]") -> None:
    """Of standard input, but not through sys.stdin: an interpreter that ends while a thread reads that aborts."""
    with open(sys.stdin.fileno(), "rb", closefd=False) as source:
        for line in source:
            waiting.put(line)
    waiting.put(None)


def _batches(entries: Iterator[Entry | None]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    size_bytes = 0
    for entry in entries:
        if entry is not None:
            batch.append(entry)
            size_bytes += len(entry.line) + 32
        if batch and (entry is None or size_bytes >= _BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def _sent(server: Server, batch: Sequence[Entry]) -> bool:
    """False where the server refuses entries for good, which it names. Raises ClientError when it stays away."""
    body, pause = gzip.compress(_body(batch), 1), _FIRST_PAUSE_SECONDS
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            server.post("/loki/api/v1/push", body, _HEADERS)
            return True
        except (Refused, Unreachable) as error:
            if isinstance(error, Refused) and error.status < 500 and error.status != 429:
                if error.status in (401, 403, 404):
                    raise
                print(f"\n{error}", file=sys.stderr)
                return False
            if attempt == _ATTEMPTS:
                raise
            print(f"\n{error}; trying again in {pause:g} s", file=sys.stderr)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
    raise AssertionError


def _body(batch: Sequence[Entry]) -> bytes:
    streams: dict[tuple[tuple[str, str], ...], list[list[object]]] = {}
    for entry in batch:
        value: list[object] = [str(entry.timestamp_ns), entry.line]
        if entry.metadata:
            value.append(entry.metadata)
        streams.setdefault(tuple(sorted(entry.labels.items())), []).append(value)
    return msgspec.json.encode({"streams": [{"stream": dict(labels), "values": v} for labels, v in streams.items()]})
