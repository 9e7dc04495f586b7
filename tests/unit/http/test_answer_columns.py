from log_aggregator.engine.pipeline import Row
from log_aggregator.engine.steps import Steps
from log_aggregator.engine.vector import Sample
from log_aggregator.http.answer_columns import ENTRY_SCHEMA, SAMPLE_SCHEMA, entry_columns, sample_columns
from log_aggregator.services.queries import Matrix
from log_aggregator.services.statistics import ScanStatistics


def test_entries_have_the_labels_of_all_kinds() -> None:
    rows = [
        Row(3, "first", (("app", "a"), ("env", "b")), {"trace": "t"}, {"level": "info"}),
        Row(2, "", (), {}, {}),
        Row(1, "third\n", (("app", "ü"),), {}, {}),
    ]
    frame = entry_columns(rows)
    assert frame.schema == ENTRY_SCHEMA
    assert frame["labels"].to_list() == [
        {"app": "a", "env": "b", "level": "info", "trace": "t"},
        {},
        {"app": "ü"},
    ]
    assert frame["line"].to_list() == ["first", "", "third\n"]
    assert frame["timestamp"].dt.timestamp("ns").to_list() == [3, 2, 1]


def test_samples_stand_in_the_order_of_steps() -> None:
    steps = Steps.aligned(0, 10, 10)
    matrix = Matrix([[Sample((("a", "b"),), 1.5), Sample((), 2.0)], []], steps, ScanStatistics())
    frame = sample_columns(matrix)
    assert frame.schema == SAMPLE_SCHEMA
    assert frame.select("labels", "value").rows() == [({"a": "b"}, 1.5), ({}, 2.0)]


def test_no_rows() -> None:
    assert entry_columns([]).schema == ENTRY_SCHEMA
    assert entry_columns([]).is_empty()
