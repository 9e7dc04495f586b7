"""A push that is accepted as a whole is accepted as it would be stream by stream."""

from hypothesis import given
from hypothesis import strategies as st

from log_aggregator.model.limits import Limits
from log_aggregator.model.push import Push, PushStream
from log_aggregator.services.validation import _by_stream, accepted_whole

NOW = 1_768_471_200 * 10**9
HOUR_NS = 3600 * 10**9

texts = st.text(st.sampled_from("aé \ufffd\t0"), max_size=6)
lines = st.one_of(texts, st.sampled_from(("level=info x", '{"level":"warn"}', "an error", "x" * 40)))
names = st.sampled_from(("a", "trace_id", "level", "a.b", "", "é", "\ufffd"))
metadata = st.none() | st.dictionaries(names, texts, max_size=2)
# Most streams and times are such that nothing is refused.
GOOD_LABELS = ((("app", "a"),), (("app", "b"), ("level", "info")))
BAD_LABELS = ((), (("a", "1"), ("a", "2")), (("long_name", "x" * 30),))
labels = st.sampled_from((*GOOD_LABELS * 12, *BAD_LABELS))
times = st.sampled_from((*(NOW, NOW - 1, NOW - 2) * 10, NOW - 2 * HOUR_NS, NOW + 2 * HOUR_NS))


@st.composite
def streams(draw: st.DrawFn) -> PushStream:
    rows = draw(st.lists(st.tuples(times, lines, metadata), max_size=4))
    own = [row[2] or {} for row in rows]
    return PushStream(draw(labels), [row[0] for row in rows], [row[1] for row in rows], own if any(own) else None)


limits = st.builds(
    Limits,
    reject_old_samples=st.booleans(),
    reject_old_samples_max_age=st.just("1h"),
    creation_grace_period=st.just("1h"),
    max_line_size=st.sampled_from((0, 30)),
    max_line_size_truncate=st.booleans(),
    max_structured_metadata_entries_count=st.sampled_from((0, 1)),
    max_label_names_per_series=st.sampled_from((*(15,) * 5, 1)),
    max_label_name_length=st.sampled_from((*(1024,) * 5, 4)),
    max_label_value_length=st.sampled_from((20, 100)),
    discover_service_name=st.sampled_from(([], ["app"])),
    enforced_labels=st.sampled_from((*([],) * 5, ["level"])),
    allow_structured_metadata=st.booleans(),
    discover_log_levels=st.booleans(),
    increment_duplicate_timestamp=st.booleans(),
)


@given(st.lists(streams(), max_size=4), limits)
def test_whole_is_what_its_streams_are(sent: list[PushStream], limits: Limits) -> None:
    push = Push.of(sent)
    whole = accepted_whole(push, limits, NOW)
    by_stream = _by_stream(push, limits, NOW, "fake")
    if whole is None:
        assert (
            by_stream.errors or by_stream.discarded or by_stream.truncated_lines or limits.increment_duplicate_timestamp
        )
        return
    assert not by_stream.errors
    assert not by_stream.discarded
    expected = by_stream.accepted
    assert (whole.streams, whole.shares, whole.lines, whole.bytes) == (
        expected.streams,
        expected.shares,
        expected.lines,
        expected.bytes,
    )
    assert whole.frame.equals(expected.frame)
