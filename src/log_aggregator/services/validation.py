"""From decoded streams to accepted columns: a tenant's limits, `service_name` and `detected_level`.

Partial acceptance, as in Loki: what breaks a limit is dropped and counted, the rest is stored, and the client is told.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final, NamedTuple

import polars as pl

from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.formats.metadata import format_metadata
from log_aggregator.model.columns import IT, computed, told_apart
from log_aggregator.model.labels import Labels
from log_aggregator.model.push import Push, PushStream
from log_aggregator.model.segment import LINE, METADATA, STREAM, TIMESTAMP
from log_aggregator.services import push_messages as messages
from log_aggregator.services.detected_level import detect_levels
from log_aggregator.services.entry_checks import (
    Entries,
    PushEntries,
    Window,
    checked,
    truncated,
    with_distinct_timestamps,
)
from log_aggregator.services.ingest_limits import IngestLimits
from log_aggregator.services.level import DETECTED_LEVEL, LEVEL_OF_NAME, UNKNOWN
from log_aggregator.services.refusals import Reason, Refusals, summary
from log_aggregator.services.stream_checks import (
    StreamRules,
    fine_labels,
    size_bytes,
    stream_problem,
    with_service_name,
)

_SILENT_STATUS: Final = 200
# Below this, one by one they cost less than operations on columns.
_FEW_ROWS: Final = 200
_FEW_ODD_ROWS: Final = 2000  # of which some have a level of another name, as a label may say any


class IngestionBlocked(LogAggregatorError):
    """The tenant may not write for now. `status` is the HTTP status that its limits say to answer with.

    `lines` are those that are not stored.
    """

    code: ClassVar[ErrorCode] = ErrorCode.FORBIDDEN

    def __init__(self, message: str, status: int, lines: int) -> None:
        super().__init__(message)
        self.status = status
        self.lines = lines


class Share(NamedTuple):
    """What one stream has of a push; `bytes` as limits count them."""

    lines: int
    bytes: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class AcceptedBatch:
    """What is to be stored of a push; may be empty.

    `frame` has a segment's columns, its rows in order of arrival; `bytes` is the size of lines and structured metadata
    as limits count it, without the level that was added here. `shares` go with `streams`.
    """

    streams: tuple[Labels, ...]
    shares: tuple[Share, ...]
    frame: pl.DataFrame
    lines: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Validated:
    """A push after validation: what is stored, and what was refused."""

    accepted: AcceptedBatch
    errors: Counter[str]
    """Messages for the client, and how many streams or entries each is about. A push with any is answered 400."""
    discarded: Mapping[Reason, tuple[int, int]]
    """Lines and bytes by reason."""
    blocked: IngestionBlocked | None
    """The answer if ingestion is blocked, other than silently, and there are no errors."""
    truncated_lines: int
    truncated_bytes: int
    """What was cut off them, whatever took its place."""

    def message(self, max_messages: int) -> str:
        """The errors in one text, of at most that many distinct messages (0: all)."""
        return summary(self.errors, max_messages)


def validate(push: Push, limits: IngestLimits, now_ns: int, tenant: str) -> Validated:
    """Applies all limits that concern one push alone; rates and numbers of streams are not among them."""
    whole = accepted_whole(push, limits, now_ns)
    return _by_stream(push, limits, now_ns, tenant) if whole is None else Validated(whole, Counter(), {}, None, 0, 0)


def accepted_whole(push: Push, limits: IngestLimits, now_ns: int) -> AcceptedBatch | None:
    """All of the push, if none of it is to be refused, and no line or timestamp changed; else None.

    As `validate`, it applies the limits that concern the push alone.
    """
    if now_ns < limits.block_ingestion_until or limits.increment_duplicate_timestamp:
        return None
    entries = PushEntries.of(push)
    if not entries.all_fine(limits, Window.of(limits, now_ns)):
        return None
    streams, rules = _Streams(), StreamRules.of(limits)
    times_ns, ends = push.timestamps_ns.to_numpy(), entries.ends()
    for sent, begin, end in push.ranges():
        if begin == end:
            continue
        labels = fine_labels(sent, rules)
        if labels is None:
            return None
        streams.add(labels, end - begin, int(ends[end] - ends[begin]), int(times_ns[end - 1]))
    return streams.accepted(push.timestamps_ns, push.lines, entries.metadata, limits)


def _by_stream(push: Push, limits: IngestLimits, now_ns: int, tenant: str) -> Validated:
    window = Window.of(limits, now_ns)
    refusals, streams = Refusals(), _Streams()
    passed: list[PushStream] = []
    blocked = now_ns < limits.block_ingestion_until
    truncated_lines = truncated_bytes = 0
    for stream in push.by_stream():
        if not stream.lines:
            continue
        labels = with_service_name(stream.labels, limits.discover_service_name)
        whole = Entries.of(stream)
        entries = truncated(whole, limits)
        if entries is not whole:
            cut = sum(size > limits.max_line_size for size in whole.line_bytes)
            truncated_lines += cut
            truncated_bytes += whole.size_bytes - entries.size_bytes
            truncated_bytes += cut * size_bytes(limits.max_line_size_truncate_identifier)
        problem = stream_problem(labels, limits, tenant)
        if problem is not None:
            refusals.add(problem, len(entries.lines), entries.size_bytes)
            continue
        if blocked:
            refusals.count(Reason.BLOCKED_INGESTION, len(entries.lines), entries.size_bytes)
            continue
        entries = checked(labels, entries, limits, window, refusals)
        if not entries.lines:
            continue
        if limits.increment_duplicate_timestamp:
            entries = with_distinct_timestamps(entries)
        streams.add(labels, len(entries.lines), entries.size_bytes, entries.timestamps_ns[-1])
        passed.append(PushStream(labels, entries.timestamps_ns, entries.lines, entries.metadata))
    accepted = Push.of(passed)
    return Validated(
        streams.accepted(accepted.timestamps_ns, accepted.lines, accepted.metadata or (), limits),
        refusals.messages,
        refusals.discarded,
        _blocked(limits, tenant, refusals),
        truncated_lines,
        truncated_bytes,
    )


def _blocked(limits: IngestLimits, tenant: str, refusals: Refusals) -> IngestionBlocked | None:
    status = limits.block_ingestion_status_code
    if status == _SILENT_STATUS or Reason.BLOCKED_INGESTION not in refusals.discarded:
        return None
    lines, _ = refusals.discarded[Reason.BLOCKED_INGESTION]
    return IngestionBlocked(messages.ingestion_blocked(tenant, limits.block_ingestion_until, status), status, lines)


class _Streams:
    """The streams of a batch, and which row is of which."""

    def __init__(self) -> None:
        self._streams: dict[Labels, int] = {}
        self._shares: list[Share] = []
        self._of_row: list[int] = []

    def add(self, labels: Labels, rows: int, size_bytes: int, last_ns: int) -> None:
        number = self._streams.setdefault(labels, len(self._streams))
        if number == len(self._shares):
            self._shares.append(Share(0, 0, 0))
        lines, size, _ = self._shares[number]
        self._shares[number] = Share(lines + rows, size + size_bytes, last_ns)
        self._of_row += [number] * rows

    def accepted(
        self, timestamps_ns: pl.Series, lines: pl.Series, metadata: Sequence[dict[str, str]], limits: IngestLimits
    ) -> AcceptedBatch:
        """`metadata` is empty when no row has any."""
        texts = self._metadata_texts(lines, metadata, limits)
        of_row = pl.Series(STREAM, self._of_row, dtype=pl.UInt32)
        frame = pl.DataFrame([of_row, timestamps_ns.alias(TIMESTAMP), lines.alias(LINE), texts.alias(METADATA)])
        size = sum(share.bytes for share in self._shares)
        return AcceptedBatch(tuple(self._streams), tuple(self._shares), frame, frame.height, size)

    def _metadata_texts(self, lines: pl.Series, metadata: Sequence[dict[str, str]], limits: IngestLimits) -> pl.Series:
        if not limits.allow_structured_metadata or not limits.discover_log_levels or lines.is_empty():
            texts = format_metadata(metadata) if metadata else [""] * len(lines)
            return pl.Series(texts, dtype=pl.String)
        levels = detect_levels(tuple(self._streams), self._of_row, lines, metadata, limits)
        if not metadata:
            return _texts_of(levels)
        rows = [{**own, DETECTED_LEVEL: level} for own, level in zip(metadata, levels, strict=True)]
        return pl.Series(format_metadata(rows), dtype=pl.String)


def _texts_of(levels: pl.Series) -> pl.Series:
    """Few levels, many rows: each text is made once."""
    if len(levels) >= _FEW_ROWS:
        numbers = computed(levels, _NUMBER)
        if not numbers.null_count():
            return _TEXTS[numbers]
    if len(levels) >= _FEW_ODD_ROWS:
        levels, numbers = told_apart(levels)
        return pl.Series(list(map(_text_of, levels[:-1])), dtype=pl.String)[numbers]
    return pl.Series(list(map(_text_of, levels.to_list())), dtype=pl.String)


@lru_cache(100)
def _text_of(level: str) -> str:
    (text,) = format_metadata([{DETECTED_LEVEL: level}])
    return text


_LEVELS: Final = sorted({*LEVEL_OF_NAME.values(), UNKNOWN})
_NUMBER: Final = IT.cast(pl.Enum(_LEVELS), strict=False).to_physical()
_TEXTS: Final = pl.Series(list(map(_text_of, _LEVELS)), dtype=pl.String)
