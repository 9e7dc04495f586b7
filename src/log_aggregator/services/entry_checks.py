"""What the entries of a stream must be. Whole columns are checked; entries only where a column is not clean."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from log_aggregator.model.labels import Labels, format_labels
from log_aggregator.model.push import Push, PushStream
from log_aggregator.services import push_messages as messages
from log_aggregator.services.ingest_limits import IngestLimits
from log_aggregator.services.refusals import Problem, Reason, Refusals
from log_aggregator.services.stream_checks import size_bytes
from log_aggregator.services.structured_metadata import clean_metadata, metadata_bytes

# Below this, one by one they cost less than an operation on a column.
_FEW_LINES: Final = 200
# In 1678: a year from where 64 bits begin, amid an index period whose start they do not hold.
_EARLIEST_NS: Final = -(1 << 63) + 366 * 24 * 3600 * 10**9


@dataclass(frozen=True, slots=True)
class Entries:
    """Parallel columns of one stream, sizes as limits count them. Without any metadata its columns are empty."""

    timestamps_ns: list[int]
    lines: list[str]
    line_bytes: list[int]
    metadata: list[dict[str, str]]
    metadata_bytes: list[int]
    metadata_counts: list[int]  # as sent: what is empty or has the name of another counts too

    @classmethod
    def of(cls, stream: PushStream) -> "Entries":
        metadata = stream.metadata or []
        sizes = [metadata_bytes(own) for own in metadata]
        counts = list(map(len, metadata))
        return cls(stream.timestamps_ns, stream.lines, _sizes_bytes(stream.lines), metadata, sizes, counts)

    @property
    def size_bytes(self) -> int:
        return sum(self.line_bytes) + sum(self.metadata_bytes)

    def only(self, chosen: Sequence[bool]) -> "Entries":
        return Entries(
            list(compress(self.timestamps_ns, chosen)),
            list(compress(self.lines, chosen)),
            list(compress(self.line_bytes, chosen)),
            list(compress(self.metadata, chosen)),
            list(compress(self.metadata_bytes, chosen)),
            list(compress(self.metadata_counts, chosen)),
        )


class Window(NamedTuple):
    """The timestamps that are accepted, both bounds included."""

    oldest_ns: int
    newest_ns: int

    @classmethod
    def of(cls, limits: IngestLimits, now_ns: int) -> "Window":
        oldest_ns = now_ns - limits.reject_old_samples_max_age if limits.reject_old_samples else _EARLIEST_NS
        return cls(max(oldest_ns, _EARLIEST_NS), now_ns + limits.creation_grace_period)

    def holds(self, timestamps_ns: Iterable[int]) -> bool:
        return all(self.oldest_ns <= one <= self.newest_ns for one in timestamps_ns)


@dataclass(frozen=True, slots=True)
class PushEntries:
    """Those of a whole push, for what is asked of all at a time. Without any metadata its columns are empty."""

    timestamps_ns: pl.Series
    line_bytes: NDArray[np.int64]
    metadata: list[dict[str, str]]  # clean
    metadata_bytes: list[int]
    metadata_counts: list[int]

    @classmethod
    def of(cls, push: Push) -> "PushEntries":
        metadata = push.metadata or []
        return cls(
            push.timestamps_ns,
            _column_bytes(push.lines),
            [clean_metadata(own) for own in metadata],
            [metadata_bytes(own) for own in metadata],
            list(map(len, metadata)),
        )

    def all_fine(self, limits: IngestLimits, window: Window) -> bool:
        """Whether none is to be refused or truncated."""
        if self.timestamps_ns.is_empty():
            return True
        bounds_ns = int(self.timestamps_ns.min()), int(self.timestamps_ns.max())  # type: ignore[arg-type]
        return window.holds(bounds_ns) and _sizes_fine(int(self.line_bytes.max()), self, limits)

    def ends(self) -> NDArray[np.int64]:
        """The bytes of the rows before each, and at last of all."""
        sizes = np.zeros(len(self.line_bytes) + 1, np.int64)
        sizes[1:] = self.line_bytes
        if self.metadata_bytes:
            sizes[1:] += self.metadata_bytes
        return sizes.cumsum()


def truncated(entries: Entries, limits: IngestLimits) -> Entries:
    """With lines that are too long cut to the limit, at a whole character, if the tenant asks for that."""
    limit = limits.max_line_size
    room = limit - size_bytes(limits.max_line_size_truncate_identifier)
    if not limits.max_line_size_truncate or not limit or room <= 0 or max(entries.line_bytes) <= limit:
        return entries
    lines = [
        line
        if size <= limit
        else line.encode()[:room].decode(errors="ignore") + limits.max_line_size_truncate_identifier
        for line, size in zip(entries.lines, entries.line_bytes, strict=True)
    ]
    return replace(entries, lines=lines, line_bytes=_sizes_bytes(lines))


def checked(labels: Labels, entries: Entries, limits: IngestLimits, window: Window, refusals: Refusals) -> Entries:
    """The entries that pass, with clean metadata; the others go to `refusals`. There is at least one entry."""
    entries = _with_clean_metadata(entries)
    bounds_ns = min(entries.timestamps_ns), max(entries.timestamps_ns)
    if window.holds(bounds_ns) and _sizes_fine(max(entries.line_bytes), entries, limits):
        return entries
    stream = format_labels(labels)
    passed = []
    for row in range(len(entries.lines)):
        problem = _problem(stream, entries, row, limits, window)
        passed.append(problem is None)
        if problem is not None:
            refusals.add(problem, 1, entries.line_bytes[row] + (entries.metadata_bytes[row] if entries.metadata else 0))
    return entries.only(passed)


def with_distinct_timestamps(entries: Entries) -> Entries:
    """Each entry that has the timestamp of the one before it, but another line, comes a nanosecond later."""
    timestamps_ns = entries.timestamps_ns[:1]
    original_ns = entries.timestamps_ns[0]
    for row in range(1, len(entries.lines)):
        timestamp_ns, before_ns = entries.timestamps_ns[row], timestamps_ns[row - 1]
        if entries.lines[row] != entries.lines[row - 1] and timestamp_ns in (original_ns, before_ns):
            timestamps_ns.append(before_ns + 1)
        else:
            original_ns = timestamp_ns
            timestamps_ns.append(timestamp_ns)
    return replace(entries, timestamps_ns=timestamps_ns)


def _too_long(line_bytes: int, limits: IngestLimits) -> bool:
    return 0 < limits.max_line_size < line_bytes


def _sizes_bytes(lines: list[str]) -> list[int]:
    return list(map(len if all(map(str.isascii, lines)) else size_bytes, lines))


def _column_bytes(lines: pl.Series) -> NDArray[np.int64]:
    if len(lines) < _FEW_LINES:
        return np.array(_sizes_bytes(lines.to_list()), np.int64)
    return lines.str.len_bytes().to_numpy().astype(np.int64)


def _with_clean_metadata(entries: Entries) -> Entries:
    if not entries.metadata:
        return entries
    return replace(entries, metadata=[clean_metadata(own) for own in entries.metadata])


def _sizes_fine(longest_line: int, entries: Entries | PushEntries, limits: IngestLimits) -> bool:
    return not _too_long(longest_line, limits) and (not entries.metadata or _metadata_fine(entries, limits))


def _metadata_fine(entries: Entries | PushEntries, limits: IngestLimits) -> bool:
    if not limits.allow_structured_metadata and any(entries.metadata_counts):
        return False
    if 0 < limits.max_structured_metadata_size < max(entries.metadata_bytes):
        return False
    if 0 < limits.max_structured_metadata_entries_count < max(entries.metadata_counts):
        return False
    return not any("" in own for own in entries.metadata)


def _problem(stream: str, entries: Entries, row: int, limits: IngestLimits, window: Window) -> Problem | None:
    timestamp_ns, line_bytes = entries.timestamps_ns[row], entries.line_bytes[row]
    if timestamp_ns < window.oldest_ns:
        return Problem(Reason.TOO_OLD, messages.timestamp_too_old(stream, timestamp_ns, window.oldest_ns))
    if timestamp_ns > window.newest_ns:
        return Problem(Reason.TOO_NEW, messages.timestamp_too_new(stream, timestamp_ns))
    if _too_long(line_bytes, limits):
        return Problem(Reason.LINE_TOO_LONG, messages.line_too_long(stream, line_bytes, limits.max_line_size))
    if entries.metadata and (count := entries.metadata_counts[row]):
        return _metadata_problem(stream, entries.metadata[row], entries.metadata_bytes[row], count, limits)
    return None


def _metadata_problem(stream: str, own: dict[str, str], size: int, count: int, limits: IngestLimits) -> Problem | None:
    if not limits.allow_structured_metadata:
        return Problem(Reason.METADATA_DISALLOWED, messages.metadata_disallowed(stream))
    if 0 < limits.max_structured_metadata_size < size:
        message = messages.metadata_too_large(stream, size, limits.max_structured_metadata_size)
        return Problem(Reason.METADATA_TOO_LARGE, message)
    if 0 < limits.max_structured_metadata_entries_count < count:
        message = messages.too_much_metadata(stream, count, limits.max_structured_metadata_entries_count)
        return Problem(Reason.METADATA_TOO_MANY, message)
    if "" in own:
        return Problem(Reason.METADATA_NAME_INVALID, messages.invalid_metadata_name(stream))
    return None
