import pytest

from log_aggregator.engine.label_table import LabelTable
from log_aggregator.engine.selector import Selector
from log_aggregator.logql.parser import parse_selector
from log_aggregator.model.labels import Labels, labels_of

STREAMS: list[Labels] = [
    labels_of({"app": "api", "env": "prod"}),
    labels_of({"app": "api"}),
    labels_of({"job": "api"}),
    labels_of({"app": "web", "env": "dev"}),
]


def test_streams_keep_their_number() -> None:
    table = LabelTable()
    assert table.numbers(STREAMS[:2]).to_list() == [0, 1]
    assert table.numbers(STREAMS[1:]).to_list() == [1, 2, 3]
    assert table.streams(table.numbers(STREAMS)) == STREAMS
    assert len(table) == 4
    assert set(table.names) == {"app", "env", "job"}


def test_columns_grow_with_the_table() -> None:
    table = LabelTable()
    table.numbers(STREAMS[:1])
    assert table.column("app").rows() == [(0, "api")]
    assert table.column("job").rows() == []
    table.numbers(STREAMS)
    assert table.column("app").rows() == [(0, "api"), (1, "api"), (3, "web")]
    assert table.column("job").rows() == [(2, "api")]


@pytest.mark.parametrize(
    "text",
    [
        '{app="api"}',
        '{app!="api", job=~".*"}',
        '{env=""}',
        '{env!=""}',
        '{app=~"a.*", env!~"prod|dev"}',
        '{job=~"pi"}',
        '{nosuch="x"}',
        '{nosuch=""}',
    ],
)
def test_selectors_accept_what_they_accept_of_each_stream(text: str) -> None:
    selector = parse_selector(text, allow_empty=True)
    table = LabelTable()
    table.numbers(STREAMS)
    accepts = Selector(selector)
    assert table.accepted(selector).to_list() == [accepts(labels) for labels in STREAMS]


def test_selectors_see_streams_that_have_joined_since() -> None:
    selector = parse_selector('{app="web"}')
    table = LabelTable()
    table.numbers(STREAMS[:3])
    assert not table.accepted(selector).any()
    table.numbers(STREAMS)
    assert table.accepted(selector).arg_true().to_list() == [3]
    assert table.accepted(parse_selector('{job=""}', allow_empty=True)).to_list() == [True, True, False, True]


def test_empty_table() -> None:
    table = LabelTable()
    assert table.accepted(parse_selector('{app="api"}')).to_list() == []
    assert table.present(table.numbers([])).to_list() == []
