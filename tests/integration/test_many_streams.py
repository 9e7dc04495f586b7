"""Pushes of more streams than are admitted at once."""

import time

import httpx

from servers import LogAggregator

CONFIG = "limits_config: {max_global_streams_per_user: 1500}"
STREAMS = 2_500


def test_the_first_streams_up_to_the_limit_are_stored_and_the_others_named() -> None:
    now = time.time_ns()
    body = {"streams": [{"stream": {"n": f"{n:04}"}, "values": [[str(now), f"line {n}"]]} for n in range(STREAMS)]}
    with LogAggregator(config=CONFIG) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        for _ in range(2):  # what is active stays so, and nothing else becomes it
            refused = client.post("/loki/api/v1/push", json=body)
            assert refused.status_code == 429, refused.text
            assert 'create stream {n="1500"' in refused.text.splitlines()[0]
        span = {"start": str(now - 10**9), "end": str(now + 10**9)}
        series = client.get("/loki/api/v1/series", params={"match[]": '{n=~".+"}', **span}).json()["data"]
        assert sorted(one["n"] for one in series) == [f"{n:04}" for n in range(1_500)]
        count = {"query": 'sum(count_over_time({n=~".+"}[1m]))', "time": str(now)}
        found = client.get("/loki/api/v1/query", params=count).json()["data"]["result"]
        assert [sample["value"][1] for sample in found] == ["1500"]
