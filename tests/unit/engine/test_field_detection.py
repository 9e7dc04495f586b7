"""Fields of entries: their names, kinds, parsers and paths."""

import pytest

from log_aggregator.engine.field_detection import detect_fields, kind_of, values_of_field
from log_aggregator.engine.pipeline import Row
from log_aggregator.model.labels import Labels

STREAM: Labels = (("app", "a"), ("level", "x"))


def row(line: str, metadata: dict[str, str] | None = None, parsed: dict[str, str] | None = None) -> Row:
    return Row(0, line, STREAM, metadata or {}, parsed or {})


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("1", "int"),
        ("-7", "int"),
        ("+7", "int"),
        ("9223372036854775808", "float"),
        ("1.5", "float"),
        ("1e3", "float"),
        ("1_000", "float"),
        ("NaN", "float"),
        ("1e999", "string"),
        ("0x1F", "string"),
        ("true", "boolean"),
        ("F", "boolean"),
        ("1h30m", "duration"),
        ("-1.5s", "duration"),
        ("1d", "string"),
        ("1.5KiB", "bytes"),
        ("20kB", "bytes"),
        ("", "string"),
        ("٣", "string"),
        ("10.0.0.7", "string"),
    ],
)
def test_kind(value: str, kind: str) -> None:
    assert kind_of(value) == kind


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            '{"n":1,"user":{"id":"u"}}',
            {"n": ("int", ["json"], ("n",)), "user_id": ("string", ["json"], ("user", "id"))},
        ),
        ('{"a:b":1}', {"a_b": ("int", ["json"], ("a:b",))}),
        ('{"app":"x"}', {"app_extracted": ("string", ["json"], ("app",))}),
        ('{"level":"x","level_extracted":"y"}', {"level_extracted": ("string", ["json"], ("level",))}),
        ('{"a":[1,2],"b":null,"c":{}}', {}),
        ('{"__error__":"mine","b":"y"}', {"b": ("string", ["json"], ("b",))}),
        ("n=1 took=3ms", {"n": ("int", ["logfmt"], ()), "took": ("duration", ["logfmt"], ())}),
        ('{"broken": n=1', {"n": ("int", ["logfmt"], ())}),
        ("no fields at all", {}),
        ("", {}),
    ],
)
def test_fields_of_a_line(line: str, expected: dict[str, object]) -> None:
    found = detect_fields([row(line)], 100)
    assert {name: (one.kind, one.parsers, one.json_path) for name, one in found.items()} == expected


def test_metadata_has_no_parser_until_a_line_has_the_field_too() -> None:
    (trace, n) = detect_fields([row("n=1", {"trace": "t", "n": "x"})], 100).values()
    assert (trace.parsers, trace.values) == ([], {"t"})
    assert (n.parsers, n.values, n.kind) == (["logfmt"], {"x", "1"}, "int")


def test_last_entry_decides_the_kind() -> None:
    rows = [row("n=abc"), row("n=5s")]
    assert detect_fields(rows, 100)["n"].kind == "duration"


def test_last_line_of_json_decides_the_path() -> None:
    """Also where it has the field only by the query's own parser."""
    rows = [row('{"a":{"b":1}}'), row("a_b=2")]
    assert detect_fields(rows, 100)["a_b"].json_path == ("a", "b")
    assert detect_fields([*rows, row("{}", parsed={"a_b": ""})], 100)["a_b"].json_path == ()


def test_labels_that_the_query_extracts_count() -> None:
    found = detect_fields([row("plain", parsed={"word": "plain", "__error__": "e"})], 100)
    assert {name: one.values for name, one in found.items()} == {"word": {"plain"}}


def test_limits() -> None:
    assert list(detect_fields([row("a=1 b=2 c=3")], 2)) == ["a", "b"]
    assert values_of_field([row(f"n={number}") for number in range(9)], "n", 3) == ["0", "1", "2"]
    assert values_of_field([row("n=1", {"n": "meta"}), row("m=1")], "n", 10) == ["meta", "1"]


@pytest.mark.parametrize(
    ("value", "given"),
    [
        ("2500 KB", "2.5MB"),
        ("2MiB", "2.1MB"),
        ("3M", "3.0MB"),
        ("512B", "512B"),
        # What could be minutes is taken for a size, though it is the kind of field that has durations.
        ("5m", "5.0MB"),
        ("0m", "0B"),
        (".5m", "500kB"),
        ("1h", "1h"),
        ("3m4s", "3m4s"),
        ("-3m", "-3m"),
        ("1µs", "1µs"),
        # No unit.
        ("2500", "2500"),
        ("1,000", "1,000"),
        ("1e3", "1e3"),
        ("m", "m"),
    ],
)
def test_sizes_are_given_as_queries_have_them(value: str, given: str) -> None:
    assert values_of_field([row(f'n="{value}"')], "n", 10) == [given]
    assert values_of_field([row("m=1", {"n": value})], "n", 10) == [value]
