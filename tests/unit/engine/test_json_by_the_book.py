"""What the decoder reads of JSON by the book is what the lenient readers find."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from json_documents import lines
from log_aggregator.engine import json_paths, json_stages
from log_aggregator.engine.entry_labels import Demand, EntryLabels
from log_aggregator.engine.stage import Process
from log_aggregator.logql.ast import Extraction

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
