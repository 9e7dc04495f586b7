"""Shares and replies between replicas: round trips, refusals of what is too large or broken."""

import random

import polars as pl
import pytest

from log_aggregator.engine.partial import TOTALS_SCHEMA
from log_aggregator.engine.windows import SAMPLES_SCHEMA
from log_aggregator.formats.errors import CorruptData
from log_aggregator.formats.partial_result import (
    FailedReply,
    PartialReply,
    PartialResult,
    RefusedReply,
    Reply,
    decode_reply,
    encode_reply,
)
from log_aggregator.formats.subquery import NamedUnit, Subquery, decode_subquery, encode_subquery

SERIES = ((("app", "shop"),), ())
TOTALS = pl.DataFrame({"series": [1], "place": [2], "count": [3], "value": [1 << 40]}, TOTALS_SCHEMA)
SUBQUERY = Subquery("q", "one|two", 'rate({app="shop"}[1m])', 0, 60, 120, 60, (NamedUnit("k", 1, 2, (5, 7)),))


def result(samples: pl.DataFrame) -> PartialReply:
    partial = PartialResult(SERIES, TOTALS, samples)
    return PartialReply(partial, {"lines": 5})


def test_result_comes_back() -> None:
    sent = result(pl.DataFrame({"series": [0], "time_ns": [1], "value": [float("inf")]}, SAMPLES_SCHEMA))
    reply = decode_reply(encode_reply(sent))
    assert isinstance(reply, PartialReply)
    assert reply.statistics == sent.statistics
    assert reply.result.series == SERIES
    for name in ("totals", "samples"):
        assert getattr(reply.result, name).equals(getattr(sent.result, name))


@pytest.mark.parametrize("reply", [FailedReply("JSONParserErr", SERIES[0]), RefusedReply("the store is down")])
def test_failure_comes_back(reply: Reply) -> None:
    assert decode_reply(encode_reply(reply)) == reply


def test_large_result_is_refused() -> None:
    values = random.Random(1).randbytes(8 << 20)
    samples = pl.DataFrame(
        {"series": [0] * (1 << 20), "time_ns": list(range(1 << 20)), "value": pl.Series(memoryview(values).cast("d"))},
        SAMPLES_SCHEMA,
    )
    assert decode_reply(encode_reply(result(samples))) == RefusedReply("the partial result is too large")


def test_subquery_comes_back() -> None:
    assert decode_subquery(encode_subquery(SUBQUERY)) == SUBQUERY


def test_damage_is_noticed() -> None:
    subquery, reply = bytearray(encode_subquery(SUBQUERY)), bytearray(encode_reply(RefusedReply("x")))
    subquery[-1] ^= 1
    reply[-1] ^= 1
    with pytest.raises(CorruptData):
        decode_subquery(bytes(subquery))
    with pytest.raises(CorruptData):
        decode_reply(bytes(reply))
