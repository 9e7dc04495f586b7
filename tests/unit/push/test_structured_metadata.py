import pytest

from log_aggregator.formats.metadata import format_metadata
from log_aggregator.model.labels import clean_name
from log_aggregator.services.structured_metadata import clean_metadata, metadata_bytes


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("trace_id", "trace_id"),
        ("k-x.y", "k_x_y"),
        ("a__b", "a_b"),
        ("_a", "_a"),
        ("__a", "_a"),
        ("__a__", "__a__"),
        ("__a--b__", "__a_b__"),
        ("1a", "key_1a"),
        ("naïve", "na_ve"),
        ("x" * 200 + ".", "x" * 200 + "_"),
        ("", ""),
        ("_", ""),
        ("____", ""),
        ("ключ", ""),
    ],
)
def test_names_become_label_names(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned
    assert clean_metadata({name: "v"}) == {cleaned: "v"}


@pytest.mark.parametrize(
    ("metadata", "cleaned"),
    [
        ({}, {}),
        ({"a": "", "b": "x"}, {"b": "x"}),
        ({"a": "x\ufffdy", "b": "\ufffd"}, {"a": "x y", "b": " "}),
        ({"a.b": "changed", "a_b": "unchanged"}, {"a_b": "changed"}),
        ({"": ""}, {}),
    ],
)
def test_values_are_cleaned(metadata: dict[str, str], cleaned: dict[str, str]) -> None:
    assert clean_metadata(metadata) == cleaned


@pytest.mark.parametrize(
    ("metadata", "size"),
    [({}, 0), ({"ab": "c"}, 3), ({"é": "ü"}, 4), ({"ab": "c", "detected_level": "é"}, 3), ({"detected_level": "x"}, 0)],
)
def test_size_is_that_of_the_text_without_the_level(metadata: dict[str, str], size: int) -> None:
    assert metadata_bytes(metadata) == size


def test_text_is_canonical() -> None:
    rows = [{}, {"b": "1", "a": 'x"\n\té'}, {"a": 'x"\n\té', "b": "1"}]
    text = r'{"a":"x\"\n\té","b":"1"}'
    assert format_metadata(rows) == ["", text, text]
    assert format_metadata([]) == []
