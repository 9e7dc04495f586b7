"""How the combinations of rows are numbered and answered."""

from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest

from log_aggregator.engine.combinations import Combinations
from log_aggregator.engine.query_memory import QueryMemory, QueryTooLarge
from log_aggregator.formats.metadata import format_metadata
from log_aggregator.model.labels import Labels
from log_aggregator.model.segment import METADATA, STREAM

STREAMS: dict[int, Labels] = {0: (("app", "a"),), 1: (("app", "a"), ("pod", "p"))}
FRAME = pl.DataFrame({STREAM: [0, 1, 0, 1], METADATA: ["", "", '{"n":"5"}', ""]}, schema_overrides={STREAM: pl.UInt32})
LEVELS = pl.Series(["info", "warn", None, "warn"])


class Answers:
    """Answers with the length of the level, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Labels, dict[str, str], dict[str, str]]] = []

    def __call__(self, stream: Labels, metadata: Mapping[str, str], fields: Mapping[str, str]) -> int | None:
        self.asked.append((stream, dict(metadata), dict(fields)))
        return len(fields["level"]) if "level" in fields else None


def test_each_combination_is_answered_once() -> None:
    answers = Answers()
    combinations = Combinations(frozenset({"pod"}), answers, QueryMemory())
    packed = combinations.packed(FRAME, STREAMS, {"level": LEVELS})
    assert packed is not None
    assert combinations.answers(packed, packed.numbers).tolist() == [4, 4, -1, 4]
    info, warn, none = ((), {}, {"level": "info"}), ((("pod", "p"),), {}, {"level": "warn"}), ((), {}, {})
    assert sorted(answers.asked, key=str) == sorted((info, warn, none), key=str)


def test_all_of_stream_and_metadata_counts_where_no_names_are_given() -> None:
    answers = Answers()
    combinations = Combinations(None, answers, QueryMemory())
    packed = combinations.packed(FRAME, STREAMS, {})
    assert packed is not None
    combinations.answers(packed, packed.numbers)
    assert (STREAMS[0], {"n": "5"}, {}) in answers.asked
    assert (STREAMS[1], {}, {}) in answers.asked


def test_rows_that_are_not_counted_have_no_answer_and_are_not_asked_about() -> None:
    answers = Answers()
    combinations = Combinations(frozenset(), answers, QueryMemory())
    packed = combinations.packed(FRAME, STREAMS, {"level": LEVELS})
    assert packed is not None
    only = packed.only(np.array([True, False, True, False]))
    assert only.numbers.max() < only.size
    assert combinations.answers(only, only.numbers).tolist() == [4, -1, -1, -1]
    assert {"level": "warn"} not in [fields for _, _, fields in answers.asked]
    all_of_them = packed.only(np.array([True] * 4))
    assert combinations.answers(all_of_them, all_of_them.numbers).tolist() == [4, 4, -1, 4]


def test_many_combinations_are_answered_as_few_are() -> None:
    levels = pl.Series([f"{number}" for number in range(5000)])
    frame = pl.DataFrame({STREAM: [0] * 5000, METADATA: [f'{{"n":"{n}"}}' for n in range(5000)]})
    combinations = Combinations(None, Answers(), QueryMemory())
    packed = combinations.packed(frame, STREAMS, {"level": levels})
    assert packed is not None
    assert combinations.answers(packed, packed.numbers).tolist() == [len(level) for level in levels]
    only = packed.only(np.arange(5000) == 17)
    assert (combinations.answers(only, only.numbers) >= 0).nonzero()[0].tolist() == [17]


@pytest.mark.parametrize("is_cheap", [False, True])
def test_answers_are_remembered_in_the_memory(*, is_cheap: bool) -> None:
    answers = Answers()
    combinations = Combinations(frozenset(), answers, QueryMemory(), is_cheap=is_cheap)
    for _ in range(2):
        packed = combinations.packed(FRAME[:1], STREAMS, {"level": LEVELS[:1]})
        assert packed is not None
        assert combinations.answers(packed, packed.numbers).tolist() == [4]
    assert len(answers.asked) == 1
    full = Combinations(frozenset(), answers, QueryMemory(limit_bytes=100), is_cheap=is_cheap)
    with pytest.raises(QueryTooLarge):
        full.answers(packed, packed.numbers)


def test_a_column_of_numbers_does_not_tell_texts() -> None:
    combinations = Combinations(frozenset(), Answers(), QueryMemory())
    assert combinations.packed(FRAME, STREAMS, {"level": pl.Series([1.0, 2.0, 3.0, 4.0])}) is None


@pytest.mark.parametrize("odd", ["plain", 'quoted "', 'a,"level":"x'])
def test_metadata_that_differs_in_every_row_is_looked_at_member_by_member(odd: str) -> None:
    rows: list[dict[str, str]] = [
        {"id": f"{number:032x}", "level": ("info", "warn", "")[number % 3], "zone": f"z{number % 2}"}
        if number % 5
        else {"id": str(number), "level_": odd, **({"level": odd} if number == 1000 else {})}
        for number in range(3000)
    ]
    texts = format_metadata([{name: own[name] for name in sorted(own)} for own in rows])
    frame = pl.DataFrame({STREAM: [0] * 3000, METADATA: texts}, schema_overrides={STREAM: pl.UInt32})
    seen: list[dict[str, str]] = []

    def answer(_: Labels, metadata: Mapping[str, str], __: Mapping[str, str]) -> int:
        seen.append(dict(metadata))
        return len(seen) - 1

    combinations = Combinations(frozenset({"level", "zone", "absent"}), answer, QueryMemory())
    packed = combinations.packed(frame, {0: STREAMS[0]}, {})
    assert packed is not None
    found = combinations.answers(packed, packed.numbers)
    assert [seen[number] for number in found] == [
        {name: value for name, value in own.items() if name in ("level", "zone")} for own in rows
    ]
    assert len(seen) <= 8
