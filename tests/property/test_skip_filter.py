"""A skip filter never excludes a row group that holds what is looked for, wherever it was cut out."""

import polars as pl
from hypothesis import assume, event, given
from hypothesis import strategies as st

from log_aggregator.engine.skip_filter import minimizers, needles_of
from log_aggregator.formats.skip_filter import (
    SkipFilter,
    blocks_of,
    checked_block,
    decode_skip_filter,
    encode_filter,
    row_groups_with,
)
from log_aggregator.logql.ast import LineFilterStage, LineOperand
from log_aggregator.services.skip_filters import HashedNeedle

runs = st.text(alphabet="0123456789abcdefABCDEF-", min_size=1, max_size=70)
words = st.sampled_from(("", " ", "trace_id=", '"', "xyz", "ü", "日本", "\n", "\r", "\x00", "g"))
lines = st.lists(st.tuples(words, runs), max_size=4).map(lambda parts: "".join(map("".join, parts)))
row_groups = st.lists(st.lists(lines, max_size=8), min_size=1, max_size=5)


def stored(groups: list[list[str]]) -> tuple[SkipFilter, bytes]:
    encoded = encode_filter([minimizers(pl.Series(group, dtype=pl.String)) for group in groups])
    skip_filter = decode_skip_filter(encoded.stored_at(0))
    assert skip_filter is not None
    return skip_filter, encoded.data


def groups_that_may_hold(text: str, skip_filter: SkipFilter, data: bytes) -> set[int] | None:
    """None where the text does not qualify."""
    needles = needles_of([LineFilterStage("|=", (LineOperand(text),))])
    if not needles:
        return None
    (hashes,) = HashedNeedle.of(needles[0]).hashes
    blocks = blocks_of(skip_filter, hashes)
    payloads = {block.number: checked_block("chunk", data[block.start : block.end]) for block in blocks}
    return row_groups_with(skip_filter, hashes, payloads)


@given(row_groups, st.data())
def test_whatever_is_cut_out_of_a_line_is_found(groups: list[list[str]], data: st.DataObject) -> None:
    skip_filter, blocks = stored(groups)
    group = data.draw(st.integers(0, len(groups) - 1))
    assume(groups[group])
    line = data.draw(st.sampled_from(groups[group]))
    first = data.draw(st.integers(0, len(line)))
    literal = line[first : data.draw(st.integers(first, len(line)))]
    found = groups_that_may_hold(literal, skip_filter, blocks)
    event(f"qualifies: {found is not None}")
    assert found is None or group in found


@given(st.text(alphabet="0123456789abcdef-", min_size=16, max_size=40), words, words)
def test_every_literal_with_a_run_of_16_qualifies(run: str, before: str, behind: str) -> None:
    assert needles_of([LineFilterStage("|=", (LineOperand(before + run + behind),))])
