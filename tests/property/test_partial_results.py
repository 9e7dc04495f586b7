"""A range aggregation that several have a part in is what one alone computes."""

from hypothesis import assume, given
from hypothesis import strategies as st

from both_ways import Entry, Form, add_columns, assert_same, batches_of, by_columns
from hostile_entries import forms, range_aggregations, records, steps
from log_aggregator.engine.columnar_leaf import ColumnarLeaf
from log_aggregator.engine.leaf_plan import plan_leaf
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.windows import Windows
from log_aggregator.formats.partial_result import PartialReply, decode_reply, encode_reply
from log_aggregator.logql.ast import RangeAggregation


@given(
    leaf=range_aggregations(),
    records=records,
    forms=forms,
    times=steps,
    owners=st.lists(st.integers(0, 2), min_size=3, max_size=3),
)
def test_parts_give_what_one_gives(
    leaf: RangeAggregation, records: list[list[Entry]], forms: list[Form], times: Steps, owners: list[int]
) -> None:
    plan = plan_leaf(leaf)
    assume(plan is not None)
    assert plan is not None
    batches = batches_of(records, forms)
    expected = by_columns(plan, batches, times)
    assume(expected is not None)
    parts = [ColumnarLeaf(plan, Windows(leaf, times)) for _ in range(3)]
    for owner, batch in zip(owners, batches, strict=False):
        add_columns(parts[owner], batch)
    asker, *workers = parts
    for worker in workers:
        reply = decode_reply(encode_reply(PartialReply(worker.partial(), {})))
        assert isinstance(reply, PartialReply)
        asker.merge(reply.result)
    assert_same(expected, asker.vectors())
