from dataclasses import replace

import polars as pl
import pytest
from ingest_settings import SECOND_NS, Settings

from log_aggregator.model.labels import Labels
from log_aggregator.model.push import Push, PushStream
from log_aggregator.model.segment import SEGMENT_SCHEMA
from log_aggregator.services import push_messages as messages
from log_aggregator.services.refusals import Reason
from log_aggregator.services.validation import Validated, validate

NOW = 1_768_471_200 * SECOND_NS  # 2026-01-15T10:00:00Z
DAY = 86_400 * SECOND_NS
PLAIN = Settings(discover_service_name=(), discover_log_levels=False)
ANY_AGE = replace(PLAIN, reject_old_samples=False)
LABELS: Labels = (("a", "b"),)


def stream(
    *lines: str, labels: Labels = LABELS, at: int = NOW, metadata: list[dict[str, str]] | None = None
) -> PushStream:
    return PushStream(labels, [at + row for row in range(len(lines))], list(lines), metadata)


def check(*streams: PushStream, limits: Settings = PLAIN) -> Validated:
    return validate(Push.of(streams), limits, NOW, "fake")


def rows(validated: Validated) -> list[tuple[Labels, int, str, str]]:
    streams = validated.accepted.streams
    return [(streams[number], *rest) for number, *rest in validated.accepted.frame.iter_rows()]


def test_streams_become_one_segment_in_order_of_arrival() -> None:
    other = (("c", "d"),)
    validated = check(stream("1", "2"), stream(), stream("é", labels=other), stream("4", at=NOW - 1))
    assert rows(validated) == [
        (LABELS, NOW, "1", ""),
        (LABELS, NOW + 1, "2", ""),
        (other, NOW, "é", ""),
        (LABELS, NOW - 1, "4", ""),
    ]
    assert validated.accepted.streams == (LABELS, other)
    assert validated.accepted.frame.schema == SEGMENT_SCHEMA
    assert (validated.accepted.lines, validated.accepted.bytes) == (4, 5)
    assert not validated.errors
    assert validated.discarded == {}


@pytest.mark.parametrize("streams", [[], [stream(labels=())]])
@pytest.mark.parametrize("limits", [PLAIN, Settings()])
def test_nothing_is_a_valid_push(streams: list[PushStream], limits: Settings) -> None:
    validated = check(*streams, limits=limits)
    assert validated.accepted.frame.schema == SEGMENT_SCHEMA
    assert (validated.accepted.lines, validated.accepted.bytes, validated.errors) == (0, 0, {})


@pytest.mark.parametrize("levels", [["info"], ["notice"], ["info", "notice"]])
@pytest.mark.parametrize("entries", [1, 300, 2000])
def test_levels_of_streams_are_those_of_their_entries(levels: list[str], entries: int) -> None:
    sent = [stream(*["x"] * entries, labels=(("level", level),)) for level in levels]
    validated = check(*sent, limits=Settings(discover_service_name=()))
    expected = [f'{{"detected_level":"{level}"}}' for level in levels for _ in range(entries)]
    assert [metadata for *_, metadata in rows(validated)] == expected


# Streams

S = '{a="b"}'
STREAM_PROBLEMS: dict[Reason, tuple[Labels, Settings, str]] = {
    Reason.MISSING_LABELS: ((), PLAIN, "error at least one label pair is required per stream"),
    Reason.TOO_MANY_LABEL_NAMES: (
        (("a", "1"), ("b", "2"), ("service_name", "3")),
        replace(PLAIN, max_label_names_per_series=1),
        'entry for stream \'{a="1", b="2", service_name="3"}\' has 2 label names; limit 1',
    ),
    Reason.LABEL_NAME_TOO_LONG: (
        (("a", "1"), ("bcd", "2")),
        replace(PLAIN, max_label_name_length=2),
        "stream '{a=\"1\", bcd=\"2\"}' has label name too long: 'bcd'",
    ),
    Reason.LABEL_VALUE_TOO_LONG: (
        (("a", "éé"),),
        replace(PLAIN, max_label_value_length=3),
        "stream '{a=\"éé\"}' has label value too long: 'éé'",
    ),
    Reason.DUPLICATE_LABEL_NAMES: (
        (("a", "1"), ("a", "2")),
        PLAIN,
        "stream '{a=\"1\", a=\"2\"}' has duplicate label name: 'a'",
    ),
    Reason.MISSING_ENFORCED_LABELS: (
        LABELS,
        replace(PLAIN, enforced_labels=("team", "a", "env", "team")),
        f"missing required labels 'team,env' for user 'fake' for stream '{S}' (policy: '')",
    ),
}


@pytest.mark.parametrize(("reason", "case"), STREAM_PROBLEMS.items(), ids=STREAM_PROBLEMS)
def test_a_bad_stream_is_refused_and_the_others_are_not(reason: Reason, case: tuple[Labels, Settings, str]) -> None:
    labels, limits, message = case
    good = (("__aggregated_metric__", "x" * 9), ("long_internal_name", "1"))
    bad = stream("xy", "é", labels=labels, metadata=[{"k": "v"}, {}])
    validated = check(bad, stream("ok", labels=good), limits=limits)
    assert validated.message(10) == message
    assert validated.discarded == {reason: (2, 6)}
    assert rows(validated) == [(good, NOW, "ok", "")]


@pytest.mark.parametrize(
    ("labels", "limits"),
    [
        ((("a", "1"), ("service_name", "3")), replace(PLAIN, max_label_names_per_series=1)),
        ((("ab", "1"),), replace(PLAIN, max_label_name_length=2)),
        ((("a", "é"),), replace(PLAIN, max_label_value_length=2)),
        (LABELS, replace(PLAIN, enforced_labels=("a",))),
    ],
)
def test_stream_limits_are_inclusive(labels: Labels, limits: Settings) -> None:
    assert not check(stream("x", labels=labels), limits=limits).errors


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ((), (("service_name", "unknown_service"),)),
        ((("app", "x"), ("service", "y")), (("app", "x"), ("service", "y"), ("service_name", "y"))),
        ((("app", "x"), ("zone", "z")), (("app", "x"), ("service_name", "x"), ("zone", "z"))),
        ((("app", "x"), ("service_name", "mine")), (("app", "x"), ("service_name", "mine"))),
        ((("__pattern__", "x"), ("app", "x")), (("__pattern__", "x"), ("app", "x"))),
    ],
)
def test_service_name_is_discovered(labels: Labels, expected: Labels) -> None:
    assert check(stream("x", labels=labels), limits=Settings()).accepted.streams == (expected,)


# Entries

ENTRY_PROBLEMS: dict[Reason, tuple[PushStream, Settings, str, int]] = {
    Reason.TOO_OLD: (
        stream("old", at=NOW - 7 * DAY - 1),
        PLAIN,
        f"entry for stream '{S}' has timestamp too old: 2026-01-08T09:59:59Z, "
        "oldest acceptable timestamp is: 2026-01-08T10:00:00Z",
        3,
    ),
    Reason.TOO_NEW: (
        stream("new", at=NOW + 600 * SECOND_NS + 1),
        PLAIN,
        f"entry for stream '{S}' has timestamp too new: 2026-01-15T10:10:00Z",
        3,
    ),
    Reason.LINE_TOO_LONG: (
        stream("éé", metadata=[{"k": "v"}]),
        replace(PLAIN, max_line_size=3),
        f"max entry size '3' bytes exceeded for stream '{S}' while adding an entry with length '4' bytes",
        6,
    ),
    Reason.METADATA_DISALLOWED: (
        stream("x", metadata=[{"k": ""}]),
        replace(PLAIN, allow_structured_metadata=False),
        f"stream '{S}' includes structured metadata, but this feature is disallowed. Please see "
        "`limits_config.allow_structured_metadata` or contact your Loki administrator to enable it",
        2,
    ),
    Reason.METADATA_TOO_LARGE: (
        stream("x", metadata=[{"k": "vv", "detected_level": "x"}]),
        replace(PLAIN, max_structured_metadata_size=2),
        f"stream '{S}' has structured metadata too large: '3' bytes, limit: '2' bytes. Please see "
        "`limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it",
        4,
    ),
    Reason.METADATA_TOO_MANY: (
        stream("x", metadata=[{"k": "v", "m": ""}]),
        replace(PLAIN, max_structured_metadata_entries_count=1),
        f"stream '{S}' has too many structured metadata labels: '2', limit: '1'. Please see "
        "`limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it",
        4,
    ),
    Reason.METADATA_NAME_INVALID: (
        stream("x", metadata=[{"--": "v"}]),
        PLAIN,
        f"stream '{S}' has a structured metadata name that is invalid: expected an ASCII letter or digit in it",
        4,
    ),
}


@pytest.mark.parametrize(("reason", "case"), ENTRY_PROBLEMS.items(), ids=ENTRY_PROBLEMS)
def test_a_bad_entry_is_dropped_and_the_others_are_not(
    reason: Reason, case: tuple[PushStream, Settings, str, int]
) -> None:
    bad, limits, message, size = case
    metadata = [{}, *(bad.metadata or [{}]), {}]
    mixed = PushStream(LABELS, [NOW, *bad.timestamps_ns, NOW + 1], ["1", *bad.lines, "2"], metadata)
    validated = check(mixed, limits=limits)
    assert validated.message(10) == message
    assert validated.discarded == {reason: (1, size)}
    assert rows(validated) == [(LABELS, NOW, "1", ""), (LABELS, NOW + 1, "2", "")]
    assert (validated.accepted.lines, validated.accepted.bytes) == (2, 2)


@pytest.mark.parametrize(
    ("good", "limits"),
    [
        (stream("x", at=NOW - 7 * DAY), PLAIN),
        (stream("x", at=0), ANY_AGE),
        (stream("x", at=NOW + 600 * SECOND_NS), PLAIN),
        (stream("abc"), replace(PLAIN, max_line_size=3)),
        (stream("abc"), replace(PLAIN, max_line_size=0)),
        (stream("x", metadata=[{}]), replace(PLAIN, allow_structured_metadata=False)),
        (stream("x", metadata=[{"k": "v"}]), replace(PLAIN, max_structured_metadata_size=2)),
        (stream("x", metadata=[{"k": "v"}]), replace(PLAIN, max_structured_metadata_size=0)),
        (stream("x", metadata=[{"k": "v"}]), replace(PLAIN, max_structured_metadata_entries_count=1)),
        (stream("x", metadata=[{"k": "v"}]), replace(PLAIN, max_structured_metadata_entries_count=0)),
    ],
)
def test_entry_limits_are_inclusive_and_zero_is_none(good: PushStream, limits: Settings) -> None:
    validated = check(good, limits=limits)
    assert not validated.errors
    assert validated.accepted.lines == 1


def test_any_past_begins_where_64_bits_hold_whole_index_periods() -> None:
    validated = check(stream("x", at=-(1 << 63)), stream("y", at=-(1 << 63) + 367 * DAY), limits=ANY_AGE)
    assert validated.discarded == {Reason.TOO_OLD: (1, 1)}
    assert validated.message(10).endswith("oldest acceptable timestamp is: 1678-09-22T00:12:43Z")
    assert [line for _, _, line, _ in rows(validated)] == ["y"]


def test_equal_errors_are_counted_and_only_the_first_are_told() -> None:
    ancient = [stream("x", "y", at=second * SECOND_NS) for second in range(12)]
    validated = check(*ancient, stream("1"))
    parts = validated.message(10).split("; ")
    assert parts[0].startswith(f"2 errors like: entry for stream '{S}' has timestamp too old: 1970-01-01T00:00:00Z")
    assert len(parts) == 11
    assert parts[-1] == "4 more errors"
    assert len(validated.message(0).split("; ")) == 12
    assert validated.discarded == {Reason.TOO_OLD: (24, 24)}


@pytest.mark.parametrize(
    ("identifier", "lines", "sizes"),
    [("", ["abcd", "éé", "ok"], (2, 4)), ("…", ["a…", "…", "ok"], (2, 11)), ("too long", ["ok"], (0, 0))],
)
def test_lines_are_truncated_on_request(identifier: str, lines: list[str], sizes: tuple[int, int]) -> None:
    limits = replace(PLAIN, max_line_size=4, max_line_size_truncate=True, max_line_size_truncate_identifier=identifier)
    validated = check(stream("abcdef", "ééé", "ok"), limits=limits)
    assert validated.accepted.frame["line"].to_list() == lines
    assert (validated.truncated_lines, validated.truncated_bytes) == sizes


def test_duplicate_timestamps_are_incremented_on_request() -> None:
    same = PushStream(LABELS, [5, 5, 5, 6, 7, 7], ["a", "b", "b", "c", "d", "e"], None)
    limits = replace(PLAIN, reject_old_samples=False)
    assert check(same, limits=limits).accepted.frame["timestamp_ns"].to_list() == [5, 5, 5, 6, 7, 7]
    moved = check(same, limits=replace(limits, increment_duplicate_timestamp=True))
    assert moved.accepted.frame["timestamp_ns"].to_list() == [5, 6, 5, 6, 7, 8]


# Metadata and levels


def test_metadata_is_canonical_text() -> None:
    own = [{"b": "2", "a-1": 'x"'}, {}, {"empty": ""}]
    validated = check(stream("1"), stream("2", "3", "4", metadata=own))
    assert validated.accepted.frame["metadata"].to_list() == ["", '{"a_1":"x\\"","b":"2"}', "", ""]
    assert validated.accepted.bytes == 4 + 7 + 5


@pytest.mark.parametrize("copies", [1, 400])
def test_levels_are_added_to_metadata(copies: int) -> None:
    lines = ["level=info", "an error", "nothing"] * copies
    metadata = check(stream(*lines), limits=Settings()).accepted.frame["metadata"].to_list()
    levels = ["info", "error", "unknown"]
    assert metadata == [f'{{"detected_level":"{level}"}}' for level in levels] * copies


def test_levels_join_the_metadata_that_is_there() -> None:
    own = [{"trace_id": "x"}, {"detected_level": "WARN"}, {}]
    streams = [stream("an error", "2", "fatal", metadata=own), stream("error", labels=(("level", 'odd"one'),))]
    validated = check(*streams, limits=Settings())
    assert validated.accepted.frame["metadata"].to_list() == [
        '{"detected_level":"error","trace_id":"x"}',
        '{"detected_level":"warn"}',
        '{"detected_level":"fatal"}',
        '{"detected_level":"odd\\"one"}',
    ]
    assert validated.accepted.bytes == len("an error" + "2" + "fatal" + "trace_id" + "x" + "error")


@pytest.mark.parametrize("limits", [Settings(discover_log_levels=False), Settings(allow_structured_metadata=False)])
def test_levels_are_not_added_unless_allowed(limits: Settings) -> None:
    assert check(stream("an error"), limits=limits).accepted.frame["metadata"].to_list() == [""]


# Blocked ingestion

BLOCKED = replace(PLAIN, block_ingestion_until=NOW + DAY)


def test_blocked_ingestion_drops_everything() -> None:
    validated = check(stream("x", "y"), limits=BLOCKED)
    assert validated.accepted.lines == 0
    assert validated.discarded == {Reason.BLOCKED_INGESTION: (2, 2)}
    assert validated.blocked is not None
    assert validated.blocked.status == 260
    expected = "ingestion blocked for user 'fake' until '2026-01-16T10:00:00Z' with status code '260'"
    assert str(validated.blocked) == expected


def test_blocked_ingestion_may_be_silent() -> None:
    validated = check(stream("x"), limits=replace(BLOCKED, block_ingestion_status_code=200))
    assert validated.accepted.lines == 0
    assert (validated.blocked, validated.errors) == (None, {})


@pytest.mark.parametrize("until", [0, NOW])
def test_a_block_ends(until: int) -> None:
    validated = check(stream("x"), limits=replace(BLOCKED, block_ingestion_until=until))
    assert validated.accepted.lines == 1
    assert validated.blocked is None


# Messages of checks that are made elsewhere


def test_messages_about_quotas() -> None:
    assert messages.rate_limited("fake", 4_194_304, 3, 100) == (
        "ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while attempting to ingest '3' lines "
        "totaling '100' bytes, reduce log volume or contact your Loki administrator to see if the limit can be "
        "increased"
    )
    assert messages.stream_limit_exceeded(LABELS, "fake") == (
        'maximum active stream limit exceeded when trying to create stream {a="b"}, reduce the number of active '
        "streams (reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be "
        "increased, user: 'fake'"
    )
    assert messages.stream_rate_limited(LABELS, NOW, 3 << 20, 2, 1025, "fake") == (
        "entry with timestamp 2026-01-15 10:00:00 +0000 UTC ignored, reason: 'Per stream rate limit exceeded "
        "(limit: 3MB/sec) while attempting to ingest for stream '{a=\"b\"}' totaling 1025B, consider splitting a "
        "stream via additional labels or contact your Loki administrator to see if the limit can be increased',\n"
        "user 'fake', total ignored: 2 out of 2 for stream: {a=\"b\"}"
    )


def test_the_whole_push_is_one_frame_without_chunks_of_its_streams() -> None:
    frame = check(*(stream("x") for _ in range(50))).accepted.frame
    assert [column.n_chunks() for column in frame] == [1, 1, 1, 1]
    assert frame["stream"].dtype == pl.UInt32
