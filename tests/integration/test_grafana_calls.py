"""What Grafana asks a Loki data source, in its own words, and what it needs of the answers.

The sequences are those of its Loki data source (health check, Explore, label browser), of Logs Drilldown, and of the
alerting page.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from servers import LogAggregator

SECOND_NS = 1_000_000_000
NOW = int(time.time())
START, END = NOW - 900, NOW + 1
START_NS, END_NS = str(START * SECOND_NS), str(END * SECOND_NS)
LINES = 12
LABELS = {"app": "shop", "env": "prod"}


def rfc3339(second: int) -> str:
    """As the plug-in's resource calls have times."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


RESOURCE_RANGE = {"start": rfc3339(START), "end": rfc3339(END)}


@pytest.fixture(scope="module", params=["unflushed", "flushed"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """With defaults but for the pattern ingester. Half of the lines are errors; all have a trace in their metadata."""
    with LogAggregator("-pattern-ingester.enabled=true") as server, httpx.Client(base_url=server.url) as client:
        values = [
            [
                str((NOW - 60 * number) * SECOND_NS),
                f'level={"error" if number % 2 else "info"} duration={number}ms msg="request {number} served"',
                {"trace_id": f"t{number}"},
            ]
            for number in range(LINES)
        ]
        push = {"streams": [{"stream": LABELS, "values": values}]}
        assert client.post("/loki/api/v1/push", json=push).status_code == 204
        if request.param == "flushed":
            assert client.post("/flush").status_code == 204
        client.headers.update({"User-Agent": "Grafana/12.0.0", "Accept-Encoding": "gzip"})
        yield client


def get(client: httpx.Client, path: str, headers: dict[str, str] | None = None, **params: Any) -> Any:
    answer = client.get(path, params=params, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


def resource(client: httpx.Client, path: str, **params: Any) -> Any:
    return get(client, f"/loki/api/v1/{path}", **(RESOURCE_RANGE | params))


# Data source


def test_health_check(client: httpx.Client) -> None:
    """Save & test: one sample, which is 2."""
    found = get(client, "/loki/api/v1/query", query="vector(1)+vector(1)", time="4000000000", direction="backward")
    assert found["status"] == "success"
    assert found["data"]["resultType"] == "vector"
    assert [sample["value"][1] for sample in found["data"]["result"]] == ["2"]


def explore(client: httpx.Client, query: str, step: str, tags: str = "", **params: str) -> Any:
    headers = {"X-Loki-Response-Encoding-Flags": "categorize-labels"} | ({"X-Query-Tags": tags} if tags else {})
    found = get(
        client,
        "/loki/api/v1/query_range",
        headers,
        query=query,
        start=START_NS,
        end=END_NS,
        step=step,
        direction="backward",
        **params,
    )
    assert found["status"] == "success"
    assert {"summary", "querier", "ingester"} <= set(found["data"]["stats"])
    return found["data"]


def test_explore_logs(client: httpx.Client) -> None:
    data = explore(client, '{app="shop"} | logfmt', "1000ms", limit="1000")
    assert data["resultType"] == "streams"
    assert data["encodingFlags"] == ["categorize-labels"]
    (stream,) = data["result"]
    assert stream["stream"] == LABELS | {"service_name": "shop"}
    assert len(stream["values"]) == LINES
    timestamp, line, categories = stream["values"][0]
    assert timestamp == str(NOW * SECOND_NS)
    assert line.startswith("level=info")
    assert categories == {
        "structuredMetadata": {"trace_id": "t0", "detected_level": "info"},
        "parsed": {"level": "info", "duration": "0ms", "msg": "request 0 served"},
    }


def test_explore_log_volume(client: httpx.Client) -> None:
    query = 'sum by (level, detected_level) (count_over_time({app="shop"} | logfmt | drop __error__[1m]))'
    data = explore(client, query, "60000ms", tags="Source=logvolhist")
    assert data["resultType"] == "matrix"
    levels = {series["metric"]["level"]: series["values"] for series in data["result"]}
    assert set(levels) == {"info", "error"}
    assert all(isinstance(moment, int | float) and float(value) > 0 for one in levels.values() for moment, value in one)
    assert sum(float(value) for one in levels.values() for _, value in one) == LINES


def test_explore_samples_of_a_metric_query(client: httpx.Client) -> None:
    data = explore(client, '{app="shop"} |= "error"', "1000ms", tags="Source=logsample", limit="10")
    assert [len(stream["values"]) for stream in data["result"]] == [LINES // 2]


def test_error_is_shown_as_it_is(client: httpx.Client) -> None:
    """Grafana takes `message` of a JSON body, else the text."""
    answer = client.get("/loki/api/v1/query_range", params={"query": '{app="shop"', "start": START_NS, "end": END_NS})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.startswith("parse error at line 1")


# Label browser and query builder


def test_label_browser(client: httpx.Client) -> None:
    detected = resource(client, "detected_labels")["detectedLabels"]
    assert {one["label"]: one["cardinality"] for one in detected} == {"app": 1, "env": 1, "service_name": 1}
    assert resource(client, "labels") == {"status": "success", "data": ["app", "env", "service_name"]}
    assert resource(client, "label/env/values", query='{app="shop"}') == {"status": "success", "data": ["prod"]}
    series = resource(client, "series", **{"match[]": '{app="shop"}'})
    assert series == {"status": "success", "data": [LABELS | {"service_name": "shop"}]}


def test_query_builder(client: httpx.Client) -> None:
    stats = resource(client, "index/stats", query='{app="shop"}')
    assert (stats["streams"], stats["entries"]) == (1, LINES)
    assert stats["bytes"] > 0
    formatted = get(client, "/loki/api/v1/format_query", query='{app="shop"}|logfmt|duration>1s')
    assert formatted == {"status": "success", "data": '{app="shop"} | logfmt | duration>1s'}
    fields = resource(client, "detected_fields", query='{app="shop"}', line_limit="1000", limit="1000")
    by_label = {field["label"]: field for field in fields["fields"]}
    assert {"level", "duration", "msg", "trace_id"} <= set(by_label)
    assert by_label["duration"]["type"] == "duration"
    assert by_label["duration"]["parsers"] == ["logfmt"]
    assert by_label["trace_id"]["parsers"] is None
    values = resource(client, "detected_field/level/values", query='{app="shop"}', limit="1000")
    assert sorted(values["values"]) == ["error", "info"]


# Logs Drilldown


def test_drilldown_services(client: httpx.Client) -> None:
    limits = get(client, "/loki/api/v1/drilldown-limits")
    assert limits["pattern_ingester_enabled"] is True
    assert {"retention_period", "max_entries_limit_per_query", "volume_enabled"} <= set(limits["limits"])
    volume = resource(client, "index/volume", query='{service_name=~".+"}', limit="5000")
    assert volume["data"]["resultType"] == "vector"
    (service,) = volume["data"]["result"]
    assert service["metric"] == {"service_name": "shop"}
    assert int(service["value"][1]) > 0
    assert isinstance(service["value"][0], int | float)


def test_drilldown_service(client: httpx.Client) -> None:
    query = 'sum by (detected_level) (count_over_time({service_name="shop"} | detected_level != "" [1m]))'
    found = {series["metric"]["detected_level"] for series in explore(client, query, "60000ms")["result"]}
    assert found == {"info", "error"}
    assert resource(client, "patterns", query='{service_name="shop"}') == {"status": "success", "data": []}
    values = [[str((NOW - 60) * SECOND_NS + number), f"request {number} served"] for number in range(40)]
    push = {"streams": [{"stream": {"service_name": "busy"}, "values": values}]}
    assert client.post("/loki/api/v1/push", json=push).status_code == 204
    (pattern,) = resource(client, "patterns", query='{service_name="busy"}')["data"]
    assert pattern["pattern"] == "request <_> served"
    assert sum(count for _, count in pattern["samples"]) == len(values)
    shards = client.get("/loki/api/v1/label/__stream_shard__/values", params=RESOURCE_RANGE)
    assert shards.json() == {"status": "success"}


# Alerting


def test_alerting_page_lists_no_rules(client: httpx.Client) -> None:
    """A ruler is taken to be there if a group that is not there is refused in other words than an unknown page."""
    assert get(client, "/prometheus/api/v1/rules")["data"] == {"groups": []}
    answer = client.get("/api/prom/rules/test/test")
    assert answer.status_code == 404
    assert "page not found" not in answer.text
    assert client.get("/api/prom/rules").status_code == 404


def test_build_is_that_of_a_loki(client: httpx.Client) -> None:
    assert {"version", "revision", "branch", "goVersion"} <= set(get(client, "/loki/api/v1/status/buildinfo"))
