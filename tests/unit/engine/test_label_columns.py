"""What label filters make of columns."""

import polars as pl
import pytest

from log_aggregator.engine.conversions import to_duration_ns, to_seconds
from log_aggregator.engine.label_columns import LabelColumns, durations_ns, durations_seconds, judged
from log_aggregator.logql.ast import LabelFilter, LabelFilterStage, LogExpr
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.segment import METADATA, STREAM


def filter_of(text: str) -> LabelFilter:
    expr = parse_expr(f'{{app="a"}} | {text}')
    assert isinstance(expr, LogExpr)
    (stage,) = expr.stages
    assert isinstance(stage, LabelFilterStage)
    return stage.filter


YES, NO, UNSURE = "passes", "fails", "for the rows to tell"
UNUSUAL = "passes, or is for the rows to tell"  # a value that is only known once it is tried
TEXTS = (
    ("x=`a`", {"a": YES, "b": NO, None: NO}),
    ("x!=`a`", {"a": NO, "b": YES, None: YES}),
    ("x=``", {"": YES, "b": NO, None: YES}),
    ("x=~`(a|b)c*`", {"a": YES, "ab": NO, "bc": YES, None: NO}),
    ("x!~`a`", {"a": NO, "ab": YES, None: YES}),
    ("x=~`.*`", {"a": YES, None: YES}),
    ("x=~`\\pL`", {"a": YES, "1": NO, None: NO}),
    ("x > 5", {"5": NO, "5.5": YES, "-7": NO, "1e3": UNUSUAL, "odd": UNSURE, "": UNSURE, None: NO}),
    ("x != 5", {"5": NO, "5.0": NO, "6": YES, None: NO}),
    ("x >= 1.5s", {"1500ms": YES, "1m": YES, "1s": NO, "1m30s": UNUSUAL, "odd": UNSURE, None: NO}),
    ("x < 1KB", {"999B": YES, "1KB": NO, "odd": UNSURE, None: NO}),
    ("x = ip(`10.0.0.0/8`)", {"10.1.2.3": YES, "a 10.1.2.3 b": YES, "11.1.2.3": NO, None: NO}),
    ("x != ip(`10.0.0.0/8`)", {"10.1.2.3": NO, "11.1.2.3": YES, None: NO}),
    ("x=`a` or x > 5", {"a": UNUSUAL, "6": YES, "5": NO, None: NO}),
    ("x!=`a` and x!=`b`", {"a": NO, "b": NO, "c": YES, None: YES}),
)


@pytest.mark.parametrize("is_coded", [False, True])
@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_columns_of_texts_are_judged(text: str, expected: dict[str | None, str], is_coded: bool) -> None:
    column = pl.Series(list(expected), dtype=pl.String)
    if is_coded:
        column = column.cast(pl.Enum(column.drop_nulls()))
    verdict = judged(filter_of(text), {"x": column}.get)
    assert verdict is not None
    for number, (value, answer) in enumerate(expected.items()):
        if verdict.unsure is not None and verdict.unsure[number]:
            assert answer in (UNSURE, UNUSUAL), value
        else:
            assert verdict.passes[number] is (answer in (YES, UNUSUAL)), value
            assert answer != UNSURE, value


def test_numbers_are_compared_and_missing_ones_never_pass() -> None:
    column = pl.Series([5.0, 6.5, None])
    verdict = judged(filter_of("x != 5"), {"x": column}.get)
    assert verdict is not None
    assert verdict.passes.to_list() == [False, True, False]
    assert verdict.unsure is None


def test_nothing_is_judged_by_half() -> None:
    columns = {"x": pl.Series(["a"])}
    assert judged(filter_of("y=`a`"), columns.get) is None
    assert judged(filter_of("x=`b` and y=`a`"), columns.get) is None
    assert judged(filter_of("x=`a` or y=`a`"), columns.get) is None


PLAIN = (
    *("1s", "-1s", "0s", "1.5ms", "999999h", "0.000000001s", "-0.5us", "2µs", "3μs", "7ns", "1.999999999m", "0.1h"),
    "0.123456789s",
)
OTHERS = ("1m30s", "+1s", ".5s", "1", "1d", "1 s", "", "odd", "-0s", "1234567s", "1.1234567890s", "1s\n")


def test_durations_of_one_unit_are_those_of_rows() -> None:
    column = pl.Series(PLAIN)
    assert durations_ns(column).to_list() == list(map(to_duration_ns, PLAIN))
    assert durations_seconds(column).to_list() == list(map(to_seconds, PLAIN))


def test_other_durations_are_left_out() -> None:
    column = pl.Series([*OTHERS, None])
    assert durations_ns(column).null_count() == len(column)
    assert durations_seconds(column).null_count() == len(column)


FRAME = pl.DataFrame({STREAM: [0, 1], METADATA: ['{"trace":"t","n":"5"}', ""]}, schema_overrides={STREAM: pl.UInt32})
SHOP, SHOP_PROD = (("app", "shop"),), (("app", "shop"), ("env", "prod"))


def test_labels_come_from_stream_metadata_or_parsers() -> None:
    fields = {"level": pl.Series(["info", None]), "n": pl.Series(["6", "7"]), "app": pl.Series(["x", "y"])}
    columns = LabelColumns(FRAME, {0: SHOP, 1: SHOP_PROD}, fields)

    def values(name: str, *, parsed: bool) -> list[str | None] | None:
        column = columns.of(name, parsed=parsed)
        return None if column is None else column.to_list()

    assert values("app", parsed=True) == ["shop", "shop"]
    assert values("trace", parsed=True) == ["t", None]
    assert values("level", parsed=True) == ["info", None]
    assert values("level", parsed=False) == [None, None]
    assert values("n", parsed=False) == ["5", None]
    assert values("none", parsed=True) == [None, None]
    # Of metadata and a field, or a stream label that not all have, rows differ in which it is.
    assert values("n", parsed=True) is None
    assert values("env", parsed=True) is None
    assert values("app_extracted", parsed=True) is None
    assert values("__error__", parsed=True) is None


@pytest.mark.parametrize("is_coded", [False, True])
def test_a_label_of_the_metadata_is_told_from_text_in_it(is_coded: bool) -> None:
    texts = ['{"a":"x"}', r'{"b":"\"a\":\"y\""}', '{"a":"é","b":"2"}', ""]
    column = pl.Series(METADATA, texts)
    frame = pl.DataFrame({STREAM: [0] * 4, METADATA: column.cast(pl.Enum(texts)) if is_coded else column})
    found = LabelColumns(frame, {0: SHOP}, {}).of("a", parsed=False)
    assert found is not None
    assert found.to_list() == ["x", None, "é", None]


def test_an_escaped_value_of_the_metadata_is_not_known() -> None:
    frame = pl.DataFrame({STREAM: [0], METADATA: [r'{"a":"\n"}']})
    assert LabelColumns(frame, {0: SHOP}, {}).of("a", parsed=False) is None
