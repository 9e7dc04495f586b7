from log_aggregator.engine.pipeline import Row
from log_aggregator.http.encode import streams


def test_what_was_no_utf8_is_a_blank_in_labels() -> None:
    row = Row(1, "\ufffd", (("app", "a"),), {}, {"x": "b\ufffd"})
    assert streams([row], frozenset()) == [{"stream": {"app": "a", "x": "b "}, "values": [["1", "\ufffd"]]}]
