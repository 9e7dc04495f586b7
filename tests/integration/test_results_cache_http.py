"""Cached results over HTTP: where they are used, and how they are refused."""

from collections.abc import Iterator

import httpx
import pytest

from servers import LogAggregator

START = 1_768_471_200  # a whole hour
CONFIG = """
limits_config: {reject_old_samples: false}
query_range: {cache_results: %s, max_retries: 2, results_cache: {cache: {embedded_cache: {enabled: true}}}}
"""


def client_of(cache_results: str) -> Iterator[httpx.Client]:
    config = CONFIG % cache_results
    with LogAggregator(config=config) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        values = [[f"{START + minute * 60}000000001", f"line {minute}"] for minute in range(60)]
        body = {"streams": [{"stream": {"job": "a"}, "values": values}]}
        assert client.post("/loki/api/v1/push", json=body).status_code == 204
        assert client.post("/flush").status_code == 204
        yield client


@pytest.fixture(scope="module")
def caching() -> Iterator[httpx.Client]:
    yield from client_of("true")


@pytest.fixture(scope="module")
def computing() -> Iterator[httpx.Client]:
    yield from client_of("false")


def lines_read(client: httpx.Client, headers: dict[str, str] | None = None) -> int:
    params = {
        "query": 'sum(count_over_time({job="a"}[1m]))',
        "start": str(START),
        "end": str(START + 3540),
        "step": "60",
    }
    answer = client.get("/loki/api/v1/query_range", params=params, headers=headers or {})
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert sum(float(value) for _, value in data["result"][0]["values"]) == 59
    lines = data["stats"]["summary"]["totalLinesProcessed"]
    assert isinstance(lines, int)
    return lines


def test_results_are_computed_once_unless_the_request_says_no_cache(caching: httpx.Client) -> None:
    assert lines_read(caching) == 59
    assert lines_read(caching) == 0
    assert lines_read(caching, {"Cache-Control": "no-cache"}) == 59
    counted = 'log_aggregator_cached_results_total{outcome="found"} 1.0'
    assert counted in caching.get("/metrics").text


def test_results_are_not_kept_where_that_is_switched_off(computing: httpx.Client) -> None:
    assert [lines_read(computing) for _ in range(2)] == [59, 59]
