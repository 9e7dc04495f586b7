"""A record of the log is read if some of its rows are in no index object."""

from hypothesis import given
from hypothesis import strategies as st

from log_aggregator.formats.keys import IndexKey
from log_aggregator.formats.wal_record import RecordHeader, WalRecord
from log_aggregator.model.position import Coverage, Position
from log_aggregator.services.scan import uncovered
from log_aggregator.services.tail import TailRecord

PERIOD_NS = 100
wals = st.sampled_from("ab")
positions = st.builds(Position, st.integers(0, 5), st.integers(0, 1))
times = st.integers(0, 399)


@st.composite
def records(draw: st.DrawFn) -> TailRecord:
    header = RecordHeader("fake", 1, *sorted((draw(times), draw(times))), 1)
    return TailRecord(draw(wals), draw(positions), header, WalRecord(header, (), b""))


@st.composite
def index_keys(draw: st.DrawFn) -> IndexKey:
    first, last = sorted((draw(positions), draw(positions)))
    period = draw(times) // PERIOD_NS * PERIOD_NS
    return IndexKey("", period, period, period, (Coverage(draw(wals), 0, first, last),))


def periods_held(record: TailRecord, keys: list[IndexKey]) -> set[int]:
    return {
        key.period_start_ns
        for key in keys
        if key.coverages[0].wal == record.wal and key.coverages[0].holds(record.position)
    }


@given(st.lists(records(), max_size=6), st.lists(index_keys(), max_size=6))
def test_records_are_read_until_all_their_periods_are_held(tail: list[TailRecord], keys: list[IndexKey]) -> None:
    expected = []
    for record in tail:
        held = periods_held(record, keys)
        span_ns = range(record.header.min_ns, record.header.max_ns + 1)
        of_record = {time_ns // PERIOD_NS * PERIOD_NS for time_ns in span_ns}
        if not of_record <= held:
            expected.append((record, held))
    assert [(record, set(held)) for record, held in uncovered(tail, keys, PERIOD_NS)] == expected
