import logging

import pytest

from log_aggregator.logs import LogfmtFormatter, logfmt_value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        (3, "3"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("two\nlines", '"two\\nlines"'),
        ("ü", '"ü"'),
    ],
)
def test_value_is_quoted_where_it_must_be(value: object, text: str) -> None:
    assert logfmt_value(value) == text


def test_record_is_one_line_with_its_extra_fields() -> None:
    record = logging.makeLogRecord(
        {
            "name": "log_aggregator.services.ingester",
            "levelno": logging.WARNING,
            "lineno": 7,
            "msg": "flush %s",
            "args": ("failed",),
            "created": 0.5,
            "error": "no\nstore",
        }
    )
    assert LogfmtFormatter().format(record) == (
        'ts=1970-01-01T00:00:00.500Z level=warn caller=services.ingester:7 msg="flush failed" error="no\\nstore"'
    )
