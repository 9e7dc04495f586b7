import pytest

from log_aggregator.engine.selector import compile_matcher
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
