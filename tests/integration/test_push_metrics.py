"""What the metrics say of a push that was not stored as it was sent."""

import time

import httpx

from servers import LogAggregator

CONFIG = """
limits_config:
  max_line_size: 8
  max_line_size_truncate: true
  max_line_size_truncate_identifier: "..."
"""


def test_truncated_lines_are_counted() -> None:
    values = [[str(time.time_ns()), line] for line in ("short", "longer than that", "and another")]
    with LogAggregator(config=CONFIG) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        pushed = client.post("/loki/api/v1/push", json={"streams": [{"stream": {"job": "a"}, "values": values}]})
        assert pushed.status_code == 204, pushed.text
        metrics = client.get("/metrics").text.splitlines()
    labels = '{reason="line_too_long",tenant="fake"}'
    assert f"loki_mutated_samples_total{labels} 2.0" in metrics
    assert f"loki_mutated_bytes_total{labels} {16 - 5 + 11 - 5}.0" in metrics
