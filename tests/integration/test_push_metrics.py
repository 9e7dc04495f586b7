"""What the metrics say of a push that was not stored as it was sent."""

import time
from pathlib import Path

import httpx

from servers import LogAggregator

CONFIG = """
limits_config:
  max_line_size: 8
  max_line_size_truncate: true
  max_line_size_truncate_identifier: "..."
"""


def test_truncated_lines_are_counted(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    values = [[str(time.time_ns()), line] for line in ("short", "longer than that", "and another")]
    with LogAggregator(f"-config.file={config}") as server, httpx.Client(base_url=server.url, timeout=30) as client:
        pushed = client.post("/loki/api/v1/push", json={"streams": [{"stream": {"job": "a"}, "values": values}]})
        assert pushed.status_code == 204, pushed.text
        metrics = client.get("/metrics").text.splitlines()
    labels = '{reason="line_too_long",tenant="fake"}'
    assert f"loki_mutated_samples_total{labels} 2.0" in metrics
    assert f"loki_mutated_bytes_total{labels} {16 - 5 + 11 - 5}.0" in metrics
