from functools import partial

import pytest

from log_aggregator.engine.selector import Selector, compile_matcher, label_values
from log_aggregator.logql.ast import Matcher


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("a|b", "a", True),
        ("a|b", "ab", False),
        (".+", "first\nsecond", True),
        ("first.second", "first\nsecond", True),
        ("(?i)FIRST.*", "first\nsecond", True),
        ("(?-s)first.second", "first\nsecond", False),
        ("first$", "first\n", False),
    ],
)
def test_regular_expressions_match_all_of_a_value(pattern: str, value: str, matches: bool) -> None:
    assert compile_matcher(Matcher("app", "=~", pattern))(value) is matches
    assert compile_matcher(Matcher("app", "!~", pattern))(value) is not matches


@pytest.mark.parametrize(
    ("matchers", "accepted"),
    [
        ([Matcher("app", "=", "api")], [0, 1]),
        ([Matcher("app", "=~", "a.*"), Matcher("env", "=", "")], [0]),
        ([Matcher("app", "!~", "a.*")], [2, 3]),
        ([Matcher("env", "!=", "prod")], [0, 3]),
        ([Matcher("nosuch", "=~", ".*"), Matcher("app", "=~", ".+")], [0, 1, 2]),
        ([Matcher("nosuch", "=", "x")], []),
        ([], [0, 1, 2, 3]),
    ],
)
def test_a_table_of_streams_is_chosen_from_as_each_of_them(matchers: list[Matcher], accepted: list[int]) -> None:
    streams = ((("app", "api"),), (("app", "api"), ("env", "prod")), (("app", "web"), ("env", "prod")), ())
    selector = Selector(matchers)
    assert [number for number, labels in enumerate(streams) if selector(labels)] == accepted
    mask = selector.mask(len(streams), partial(label_values, streams))
    assert mask.nonzero()[0].tolist() == accepted
