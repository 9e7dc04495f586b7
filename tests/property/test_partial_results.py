"""A range aggregation that several have a part in is what one alone computes."""

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from both_ways import Entry, Form, assert_same, batches_of, by_columns
from log_aggregator.engine.columnar_leaf import ColumnarLeaf
from log_aggregator.engine.combinations import LinesNeeded
from log_aggregator.engine.leaf_plan import plan_leaf
from log_aggregator.engine.samples import PipelineFailed
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.windows import Windows
from log_aggregator.formats.partial_result import PartialReply, decode_reply, encode_reply
from log_aggregator.logql.ast import RangeAggregation
from test_columnar_leaf import forms, queries, records, steps


@settings(deadline=None)
@given(leaf=queries(), records=records, forms=forms, times=steps, owners=st.lists(st.integers(0, 2), min_size=3))
def test_parts_give_what_one_gives(
    leaf: RangeAggregation, records: list[list[Entry]], forms: list[Form], times: Steps, owners: list[int]
) -> None:
    plan = plan_leaf(leaf)
    assume(plan is not None)
    assert plan is not None
    batches = batches_of(records, forms)
    expected = by_columns(plan, batches, times)
    assume(expected is not None)
    asker, *workers = (ColumnarLeaf(plan, Windows(leaf, times)) for _ in range(3))
    try:
        for owner, batch in zip(owners, batches, strict=False):
            part = (asker, *workers)[owner]
            streams = [batch.streams[number] for number in batch.frame["stream"].unique()]
            columns = part.columns(batch.frame.columns, batch.shapes, streams)
            try:
                part.add(replace(batch, frame=batch.frame.select(columns)))
            except LinesNeeded:
                part.add(replace(batch, frame=batch.frame.select(part.everything(batch.frame.columns))))
    except PipelineFailed:
        raise AssertionError("one alone did not fail") from None
    for worker in workers:
        reply = decode_reply(encode_reply(PartialReply(worker.partial(), {})))
        assert isinstance(reply, PartialReply)
        asker.merge(reply.result)
    assert_same(expected, asker.vectors())
