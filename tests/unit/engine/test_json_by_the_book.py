"""What the decoder reads of JSON by the book is what the lenient readers find."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log_aggregator.engine import json_paths, json_stages
from log_aggregator.engine.entry_labels import Demand, EntryLabels
from log_aggregator.engine.stage import Process
from log_aggregator.logql.ast import Extraction

SCALARS = (
    *("1", "-2.50", "1e5", "1E400", "12345678901234567890123", "true", "false", "null", "NaN", '"s"', '""', '" s "'),
    *(
        r'"\u003ca\u00e9"',
        r'"\uD83D\ude00"',
        r'"\ud800"',
        r'"\uDC00x"',
        r'"\\ud800"',
        r'"\uFFFd"',
        r'"\u0000"',
        r'"\u00"',
    ),
    *(r'"q\"x"', r'"b\\"', r'"t\n"', r'"\/"', r'"\u0041"', '"{a}"', '"[1"', '"é"', '"\ufffd"', '"a:b"', '"\t"'),
)
ESCAPED_KEYS = (r'"\u0061"', r'"\ud800"', r'"\ufffd"', r'"\u003c"')
KEYS = ("a", "b", "c", "_entry", "x y", "1x", "a.b", "é", 'a"q', "")
spaces = st.sampled_from(("", "", " "))


def joined(opening: str, space: str, parts: list[str], closing: str) -> str:
    return opening + space + f",{space}".join(parts) + closing


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    keys = st.sampled_from((*(json.dumps(key, ensure_ascii=False) for key in KEYS), *ESCAPED_KEYS))
    members = st.lists(st.builds("{}:{}".format, keys, values), max_size=4)
    return st.builds(joined, st.just("{"), spaces, members, st.just("}"))


values = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: objects(inner) | st.builds(joined, st.just("["), spaces, st.lists(inner, max_size=3), st.just("]")),
    max_leaves=12,
)
lines = st.builds(lambda line, cut, end: line[:cut] + end, objects(values), st.just(None) | st.integers(0, 30), spaces)
paths = st.sampled_from(
    ("a", "b", "a.b", "b.a", "a.b.c", 'a["x y"]', "a[0]", "a[1].b", "b[0][1]", '["a.b"]', "c.c[2]", "[0]", "a[0].a[0]")
)


def both(monkeypatch: pytest.MonkeyPatch, process: Process, line: str) -> list[object]:
    """Line, labels and error: with the decoder, and without."""
    outcomes: list[object] = []
    with monkeypatch.context() as patched:
        for _ in range(2):
            labels = EntryLabels(0, {"a": "of the stream"}, {}, Demand())
            outcomes.append((process(line, labels), labels.parsed, labels.error, labels.details))
            for module in (json_paths, json_stages):
                patched.setattr(module, "document_members", lambda line, decoder=None: None)
    return outcomes


@settings(max_examples=400)
@given(lines, st.lists(paths, min_size=1, max_size=3))
def test_extractions(line: str, expressions: list[str]) -> None:
    stage = [Extraction(f"label{number}", expression) for number, expression in enumerate(expressions)]
    first, second = both(pytest.MonkeyPatch(), json_paths.compile_json_paths(stage), line)
    assert first == second


@settings(max_examples=400)
@given(lines)
def test_unpack_and_all_fields(line: str) -> None:
    for process in (json_stages.unpack, json_stages.extract_json):
        first, second = both(pytest.MonkeyPatch(), process, line)
        assert first == second
