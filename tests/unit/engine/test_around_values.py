"""What is told of lines by their shape alone."""

import polars as pl
import pytest

from log_aggregator.engine.pattern_columns import captured
from log_aggregator.engine.shapes import VALUE, Shape, around, json_sample, json_shape, logfmt_shape

CUT_OUT = (
    ('{"a":"x","b":1.5}', "a", '{"a":",b:","b":2}', ",b:"),
    ('{"a":"x","b":1.5}', "b", '{"a":"b:","b":-2}', "-2"),
    ('{"a" : "x"}', "a", '{"a" : "y }"}', "y }"),
    ('{"a":{"b":true},"c":1}', "a_b", '{"a":{"b":false},"c":2}', "false"),
    ("a=x b=1", "b", "a=y b=2", "2"),
    ("a=x b=1", "a", "a=y b=2", "y"),
    ('a="x" b=1', "b", 'a="b=7 b=8" b=2', "2"),
    ('a=1 b="x y" c=2', "c", 'a=1 b=" c=3" c=4', "4"),
    ('xb=1 b="x"', "b", 'xb=2 b="b=3"', "b=3"),
)


def shape_of(line: str) -> Shape:
    shape = json_shape(line) or logfmt_shape(line)
    assert shape is not None
    return shape


@pytest.mark.parametrize(("like", "name", "line", "value"), CUT_OUT)
def test_what_is_around_a_value_captures_it(like: str, name: str, line: str, value: str) -> None:
    parts = around(shape_of(like), name)
    assert parts is not None
    assert captured(parts, pl.Series([line]), [VALUE])[VALUE].to_list() == [value]


def test_nothing_is_around_a_value_whose_key_another_object_has_too() -> None:
    shape = shape_of('{"a":{"x":1},"b":{"x":2},"c":3}')
    assert around(shape, "a_x") is None
    assert around(shape, "b_x") is None
    assert around(shape, "c") is not None


def test_nothing_is_around_a_value_whose_key_begins_like_what_follows_a_value() -> None:
    assert around(shape_of('{"p":":x","o":{":":5}}'), "o__") is None


def test_a_sample_has_the_values_of_its_shape_as_strings() -> None:
    line = '{"a":1,"b":{"c":"x","d":null},"e.f":[1, "g"],"h":true}'
    assert json_sample(shape_of(line)) == {"a": "", "b": {"c": "", "d": 0}, "e.f": [], "h": ""}


def test_there_is_no_sample_where_a_key_stands_twice_in_an_object() -> None:
    assert json_sample(shape_of('{"a":{"b":1},"a":2}')) is None
    assert json_sample(shape_of('{"a":{"b":{"c":1},"b":2}}')) is None
    assert json_sample(shape_of('{"a":{"b":1},"c":{"b":2}}')) == {"a": {"b": ""}, "c": {"b": ""}}
