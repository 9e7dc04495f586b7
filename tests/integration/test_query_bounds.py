"""What bounds queries over HTTP: several tenants, limits of tenants and requests, clients that go away, the log."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from servers import LogAggregator
from waiting import wait_for

NOW = int(time.time())
RANGE = {"start": str(NOW - 600), "end": str(NOW + 1)}
CONFIG = """
auth_enabled: true
querier:
  multi_tenant_queries_enabled: true
  per_request_limits_enabled: true
  max_concurrent: 1
frontend:
  max_outstanding_per_tenant: 1
pattern_ingester:
  enabled: true
limits_config:
  discover_service_name: []
  discover_log_levels: false
  ingestion_rate_mb: 1000
  ingestion_burst_size_mb: 1000
  per_stream_rate_limit: 1GB
  per_stream_rate_limit_burst: 1GB
runtime_config:
  file: {overrides}
"""
OVERRIDES = """
overrides:
  blocking: {blocked_queries: [{pattern: 'rate', regex: true, types: [metric]}]}
  disabled: {tsdb_max_query_parallelism: 0}
  small: {max_query_bytes_read: 1KB}
  short: {max_query_length: 1h}
  narrow: {max_query_series: 4}
  recent: {max_query_lookback: 2h, max_query_length: 3h}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogAggregator]:
    overrides: Path = tmp_path_factory.mktemp("config") / "overrides.yaml"
    overrides.write_text(OVERRIDES)
    with LogAggregator(config=CONFIG.format(overrides=overrides)) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: LogAggregator) -> Iterator[httpx.Client]:
    """Tenants one and two have a line each minute, one's in chunks; two's stream has a label named as the tenant's."""
    with httpx.Client(base_url=server.url, timeout=60) as client:
        lines = [[f"{NOW - minute * 60}000000000", f"line {minute}"] for minute in range(5)]
        push(client, "one", {"job": "a"}, lines)
        assert client.post("/flush").status_code == 204
        push(client, "two", {"job": "a", "__tenant_id__": "mine"}, lines)
        push(client, "small", {"job": "big"}, [[f"{NOW - 1}000000000", "x" * 2000]])
        push(client, "small", {"job": "little"}, [[f"{NOW - 1}000000000", "x"]])
        push(client, "narrow", {"job": "a"}, lines)
        for tenant, number in (("three", 16), ("four", 17)):
            values = [[f"{NOW - 60}{n:09}", f"user={number * 100 + n} logs in"] for n in range(number)]
            push(client, tenant, {"job": "b", "of": tenant}, values)
        yield client


def push(client: httpx.Client, tenant: str, labels: dict[str, str], values: list[list[str]]) -> None:
    body = {"streams": [{"stream": labels, "values": values}]}
    assert client.post("/loki/api/v1/push", json=body, headers={"X-Scope-OrgID": tenant}).status_code == 204


def get(client: httpx.Client, tenant: str, path: str, headers: dict[str, str] | None = None, **params: Any) -> Any:
    answer = client.get(
        f"/loki/api/v1/{path}", params=RANGE | params, headers={"X-Scope-OrgID": tenant} | (headers or {})
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def refusal(
    client: httpx.Client, tenant: str, path: str, headers: dict[str, str] | None = None, **params: Any
) -> tuple[int, str]:
    answer = client.get(
        f"/loki/api/v1/{path}", params=RANGE | params, headers={"X-Scope-OrgID": tenant} | (headers or {})
    )
    return answer.status_code, answer.text.splitlines()[0] if answer.text else ""


# Several tenants


def test_streams_name_their_tenant(client: httpx.Client) -> None:
    found = get(client, "two|one", "query_range", query='{job="a"}', limit="4")["result"]
    assert [stream["stream"] for stream in found] == [
        {"__tenant_id__": "one", "job": "a"},
        {"__tenant_id__": "two", "job": "a", "original___tenant_id__": "mine"},
    ] or [stream["stream"]["__tenant_id__"] for stream in found] == ["two", "one"]
    assert sorted(value[1] for stream in found for value in stream["values"]) == [
        "line 0",
        "line 0",
        "line 1",
        "line 1",
    ]


@pytest.mark.parametrize(
    ("selector", "tenants"),
    [
        ('{job="a"}', ["one", "two"]),
        ('{job="a", __tenant_id__="one"}', ["one"]),
        ('{job="a", __tenant_id__!="one"}', ["two"]),
        ('{__tenant_id__=~"o.+|t.+"}', ["one", "two"]),
        ('{original___tenant_id__="mine"}', ["two"]),
        ('{__tenant_id__="mine"}', []),
    ],
)
def test_tenant_can_be_matched(client: httpx.Client, selector: str, tenants: list[str]) -> None:
    found = get(client, "one|two", "query_range", query=selector)["result"]
    assert sorted(stream["stream"]["__tenant_id__"] for stream in found) == tenants
    series = get(client, "one|two", "series", **{"match[]": selector})
    assert sorted(labels["__tenant_id__"] for labels in series) == tenants


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('sum(count_over_time({job="a"}[10m]))', [({}, "10")]),
        (
            'sum by (__tenant_id__) (count_over_time({job="a"} |= "line" [10m]))',
            [({"__tenant_id__": "one"}, "5"), ({"__tenant_id__": "two"}, "5")],
        ),
        ('sum by (__tenant_id__) (count_over_time({__tenant_id__="one"}[10m]))', [({"__tenant_id__": "one"}, "5")]),
        ('sum(count_over_time({job="a"} | pattern "line <n>" | n = "1" [10m]))', [({}, "2")]),
    ],
)
def test_metrics_are_over_all_tenants(client: httpx.Client, query: str, expected: list[Any]) -> None:
    found = get(client, "one|two", "query", query=query, time=str(NOW + 1))["result"]
    assert [(sample["metric"], sample["value"][1]) for sample in found] == expected


def test_labels_are_those_of_all_tenants(client: httpx.Client) -> None:
    assert get(client, "one|two", "labels") == ["__tenant_id__", "job", "original___tenant_id__"]
    assert get(client, "one|two", "label/__tenant_id__/values") == ["one", "two"]
    assert get(client, "one|two", "label/original___tenant_id__/values") == ["mine"]
    assert get(client, "one|two", "label/job/values", query='{__tenant_id__="two"}') == ["a"]


def test_sizes_are_those_of_all_tenants(client: httpx.Client) -> None:
    def stats(tenant: str, query: str) -> tuple[int, int]:
        answer = client.get(
            "/loki/api/v1/index/stats", params=RANGE | {"query": query}, headers={"X-Scope-OrgID": tenant}
        ).json()
        return answer["streams"], answer["entries"]

    assert stats("one|two", '{job="a"}') == (2, 10)
    assert stats("one|two", '{job="a", __tenant_id__="two"}') == (1, 5)
    assert stats("one|two", '{original___tenant_id__="mine"}') == (1, 5)

    def volumes(tenant: str, path: str, **params: str) -> dict[str, int]:
        found = get(client, tenant, path, query='{job=~".+"}', **params)["result"]
        samples = {one["metric"]["job"]: one.get("values") or [one["value"]] for one in found}
        return {job: sum(int(value) for _, value in own) for job, own in samples.items()}

    for path in ("index/volume", "index/volume_range"):
        apart = [volumes(tenant, path, step="60")["a"] for tenant in ("one", "two")]
        together = volumes("one|two|three", path, step="60")
        assert together["a"] == sum(apart)
        assert together.keys() == {"a", "b"}
        assert volumes("one|two|three", path, step="60", limit="1").keys() == {"b"}


def test_what_is_detected_is_of_all_tenants(client: httpx.Client) -> None:
    def detected(path: str, **params: str) -> Any:
        answer = client.get(f"/loki/api/v1/{path}", params=RANGE | params, headers={"X-Scope-OrgID": "three|four"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert detected("detected_labels")["detectedLabels"] == [
        {"label": "job", "cardinality": 1},
        {"label": "of", "cardinality": 2},
    ]
    assert detected("detected_labels", query='{__tenant_id__="four"}')["detectedLabels"][1]["cardinality"] == 1
    (field,) = detected("detected_fields", query='{job="b"}')["fields"]
    assert (field["label"], field["cardinality"]) == ("user", 33)
    assert len(detected("detected_field/user/values", query='{job="b", __tenant_id__="four"}')["values"]) == 17
    (pattern,) = detected("patterns", query='{job="b"}', step="10m")["data"]
    assert sum(count for _, count in pattern["samples"]) == 33
    assert detected("patterns", query='{job="b", __tenant_id__="four"}')["data"] == []  # of too few lines


def test_routes_of_old_clients_are_of_all_tenants_too(client: httpx.Client) -> None:
    def legacy(path: str, **params: str) -> Any:
        answer = client.get(f"/api/prom/{path}", params=RANGE | params, headers={"X-Scope-OrgID": "one|two"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert legacy("label")["data"] == ["__tenant_id__", "job", "original___tenant_id__"]
    assert legacy("label/__tenant_id__/values")["data"] == ["one", "two"]
    assert [labels["__tenant_id__"] for labels in legacy("series")["data"]] == ["one", "two"]
    streams = legacy("query", query='{job="a", __tenant_id__="one"}')["streams"]
    assert [(stream["labels"], len(stream["entries"])) for stream in streams] == [('{__tenant_id__="one", job="a"}', 5)]


def test_one_tenant_alone_has_no_label(client: httpx.Client) -> None:
    assert get(client, "one", "labels") == ["job"]
    assert get(client, "one", "label/__tenant_id__/values") == ["one"]  # yet it can ask which tenant it is
    assert get(client, "two", "series") == [{"__tenant_id__": "mine", "job": "a"}]


def test_the_tightest_limit_of_the_tenants_holds(client: httpx.Client) -> None:
    wide = {"query": '{job="a"}', "start": str(NOW - 7200)}
    assert refusal(client, "one|short", "query_range", **wide) == (
        400,
        "the query time range exceeds the limit (query length: 2h0m1s, limit: 1h)",
    )


def test_routes_of_one_tenant_take_no_more(client: httpx.Client) -> None:
    refused = (400, "multiple org IDs present")
    assert refusal(client, "one|two", "tail", query='{job="a"}') == refused
    assert refusal(client, "one|two", "push")[0] == 404
    body = {"streams": [{"stream": {"a": "b"}, "values": []}]}
    answer = client.post("/loki/api/v1/push", json=body, headers={"X-Scope-OrgID": "one|two"})
    assert (answer.status_code, answer.text) == (400, "multiple org IDs present\n")


# Limits


def test_blocked_query_is_refused(client: httpx.Client) -> None:
    query = 'rate({job="a"}[1m])'
    assert refusal(client, "blocking", "query", query=query) == (400, "query blocked by policy")
    assert refusal(client, "blocking|one", "query", query=query) == (400, "query blocked by policy")
    assert refusal(client, "one", "query", query=query)[0] == 200


def test_querying_can_be_disabled(client: httpx.Client) -> None:
    disabled = (429, "querying is disabled, please contact your Loki operator")
    assert refusal(client, "disabled", "query_range", query='{job="a"}') == disabled


@pytest.mark.parametrize(
    "query", ['{job="big"}', 'count_over_time({job="big"}[1m])', 'rate({job="little"}[1m]) + rate({job=~".+"}[1m])']
)
def test_query_that_would_read_too_much_is_refused(client: httpx.Client, query: str) -> None:
    assert refusal(client, "small", "query_range", query=query) == (
        400,
        "the query would read too many bytes (query: 2KB, limit: 1KB); consider adding more specific stream selectors "
        "or reduce the time range of the query",
    )
    assert refusal(client, "small", "query_range", query='{job="little"}')[0] == 200


def test_request_sets_itself_tighter_limits(client: httpx.Client) -> None:
    headers = {"X-Loki-Query-Limits": '{"maxEntriesLimitPerQuery": 10, "requiredLabels": ["env"]}'}
    assert refusal(client, "one", "query_range", headers, query='{job="a", env="x"}', limit="11") == (
        400,
        "max entries limit per query exceeded, limit > max_entries_limit_per_query (11 > 10)",
    )
    assert refusal(client, "one", "query_range", headers, query='{job="a"}', limit="5")[0] == 400
    params = RANGE | {"query": '{job="a"}', "limit": "5"}
    legacy = client.get("/api/prom/query", params=params, headers={"X-Scope-OrgID": "one"} | headers)
    assert (legacy.status_code, legacy.text.splitlines()[0]) == (
        400,
        "stream selector is missing required matchers [env], labels present in the query were [job]",
    )


@pytest.mark.parametrize(
    "path",
    [
        *("labels", "label/job/values", "series", "query_range", "patterns", "index/stats", "index/volume"),
        *("index/volume_range", "detected_labels", "detected_fields", "detected_field/x/values"),
    ],
)
def test_limits_of_a_request_hold_for_every_route(client: httpx.Client, path: str) -> None:
    headers = {"X-Loki-Query-Limits": '{"maxQueryLength": "1m"}'}
    asked = {"query": '{job="a"}', "step": "10m"}
    status, text = refusal(client, "one", path, headers, **asked)
    assert (status, text[: text.index(" (")]) == (400, "the query time range exceeds the limit")
    assert refusal(client, "one", path, headers, **asked, start=str(NOW - 30))[0] == 200
    bad = {"X-Loki-Query-Limits": '{"maxQueryLength": 60}'}
    assert refusal(client, "one", path, bad, **asked)[0] == 400


@pytest.mark.parametrize("path", ["query_range", "patterns", "detected_fields", "detected_field/x/values"])
def test_labels_that_a_request_must_match_hold_for_routes_that_show_lines(client: httpx.Client, path: str) -> None:
    headers = {"X-Loki-Query-Limits": '{"requiredLabels": ["env"]}'}
    assert refusal(client, "one", path, headers, query='{job="a"}') == (
        400,
        "stream selector is missing required matchers [env], labels present in the query were [job]",
    )
    assert refusal(client, "one", path, headers, query='{job="a", env="x"}')[0] == 200


# Clients that go away, queues, and the log


@pytest.fixture(scope="module")
def slow(client: httpx.Client) -> dict[str, str]:
    """A query that keeps the one slot busy for many seconds, if nothing ends it."""
    body = "line with some words and a number 123 " * 20
    for batch in range(20):
        lines = [[str((NOW - 500) * 10**9 + batch * 10_000 + number), body] for number in range(5000)]
        push(client, "slow", {"job": "slow"}, lines)
    query = "".join(f' | line_format "{{{{ regexReplaceAll `w(o)r` .job `{n}` }}}}{{{{__line__}}}}"' for n in range(20))
    return RANGE | {"query": f'count_over_time({{job="slow"}}{query} |~ "nothing" [10m])', "step": "1s"}


def test_client_that_goes_away_ends_its_query(
    server: LogAggregator, client: httpx.Client, slow: dict[str, str]
) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{server.url}/loki/api/v1/query_range", params=slow, headers={"X-Scope-OrgID": "slow"}, timeout=0.5)
    begun = time.monotonic()
    wait_for(lambda: metric(client, "loki_request_duration_seconds_count", "loki_api_v1_query_range", '"499"') == 1)
    # The slot is free again: the work has stopped.
    assert get(client, "one", "query_range", query='{job="a"}')["result"]
    assert time.monotonic() - begun < 5
    wait_for(lambda: "status=499" in (server.directory / "server.log").read_text())


def test_queries_beyond_those_that_may_wait_are_refused(
    server: LogAggregator, client: httpx.Client, slow: dict[str, str]
) -> None:
    """One runs, one waits, and of the others each is refused."""
    answers: list[tuple[int, str]] = []

    def ask() -> None:
        with suppress(httpx.ReadTimeout):
            headers = {"X-Scope-OrgID": "slow"}
            answer = httpx.get(f"{server.url}/loki/api/v1/query_range", params=slow, headers=headers, timeout=3)
            answers.append((answer.status_code, answer.text))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(answers) == 3)
    # What reads nothing does not wait, and so Grafana's check of a busy server passes.
    assert get(client, "slow", "query", query="vector(1)+vector(1)", time="4")["result"][0]["value"][1] == "2"
    for thread in threads:
        thread.join()
    refused = (429, "too many outstanding requests (limit: 1, frontend.max_outstanding_per_tenant)")
    assert answers == [refused] * 3


@pytest.mark.parametrize("time", ["9999999999", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
def test_time_may_lie_where_no_entry_can(client: httpx.Client, time: str) -> None:
    assert get(client, "one", "query", query='count_over_time({app="api"}[5m])', time=time)["result"] == []
    (series,) = get(client, "one", "query", query='absent_over_time({app="api"}[5m])', time=time)["result"]
    assert series["value"][1] == "1"


def test_range_may_begin_before_years_are_counted(client: httpx.Client) -> None:
    wanted = {"query": '{app="api"}', "end": "0001-01-01T00:00:00Z"}
    for path in ("index/volume", "index/stats", "series", "labels", "query_range"):
        answer = client.get(f"/loki/api/v1/{path}", params=wanted, headers={"X-Scope-OrgID": "one"})
        assert answer.status_code == 200, path


def test_steps_beyond_the_range_count_towards_its_length(client: httpx.Client) -> None:
    wanted = RANGE | {"query": 'rate({app="api"}[1m])', "step": "1y"}
    refused = client.get("/loki/api/v1/query_range", params=wanted, headers={"X-Scope-OrgID": "one"})
    assert "(query length: 8760h1m0s, limit: 30d1h)" in refused.text


def test_other_requests_do_not_wait_while_a_huge_query_is_read(server: LogAggregator, client: httpx.Client) -> None:
    seconds: list[float] = []

    def ask() -> None:
        with httpx.Client(base_url=server.url, timeout=60) as own:
            begun = time.perf_counter()
            answer = own.post(
                "/loki/api/v1/query", data={"query": "1" + "+1" * 65_000}, headers={"X-Scope-OrgID": "one"}
            )
            seconds.append(time.perf_counter() - begun)
            assert answer.json()["data"]["result"][1] == "65001"

    asking = threading.Thread(target=ask)
    asking.start()
    longest = 0.0
    while asking.is_alive():
        begun = time.perf_counter()
        assert client.get("/loki/api/v1/status/buildinfo").status_code == 200
        longest = max(longest, time.perf_counter() - begun)
    asking.join()
    assert longest < seconds[0] / 2


def test_each_query_is_logged(server: LogAggregator, client: httpx.Client) -> None:
    tags = {"X-Query-Tags": 'Source=logvolhist,Bad=a b"c'}
    get(client, "one", "query_range", tags, query='{job="a"} |= "line"')
    refusal(client, "one", "query", query="{")

    def lines() -> list[str]:
        return [line for line in (server.directory / "server.log").read_text().splitlines() if "msg=query " in line]

    wait_for(lambda: any("tag_source=logvolhist" in line for line in lines()))
    line = next(line for line in lines() if "tag_source=logvolhist" in line)
    for part in (
        "org_id=one",
        'query="{job=\\"a\\"} |= \\"line\\""',
        "query_type=filter",
        "range_type=range",
        "status=200",
        "returned_lines=5",
        "total_lines=5",
        'tag_bad="a b_c"',
    ):
        assert part in line, line
    assert any("status=400" in line and "parse error" in line for line in lines())


def test_cache_control_is_accepted(client: httpx.Client) -> None:
    assert get(client, "one", "query_range", {"Cache-Control": "no-cache"}, query='{job="a"}')["result"]


def metric(client: httpx.Client, name: str, *parts: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith(name) and all(part in line for part in parts)
    )


@pytest.mark.parametrize(
    ("path", "params", "nothing"),
    [
        ("query_range", {"query": '{job="a"}'}, {"resultType": "streams", "result": []}),
        ("query_range", {"query": 'rate({job="a"}[2h])'}, {"resultType": "matrix", "result": []}),
        ("query", {"query": 'rate({job="a"}[2h])', "time": str(NOW - 10_800)}, {"resultType": "vector", "result": []}),
        ("query", {"query": '{job="a"}', "time": str(NOW - 10_800)}, {"resultType": "streams", "result": []}),
        ("index/volume", {"query": '{job="a"}'}, {"resultType": "vector", "result": []}),
        ("index/volume_range", {"query": '{job="a"}'}, {"resultType": "vector", "result": []}),
        ("series", {}, []),
        ("labels", {}, None),
        ("label/job/values", {}, None),
        ("detected_labels", {}, None),
        ("detected_fields", {"query": '{job="a"}'}, None),
    ],
)
def test_what_is_older_than_the_lookback_is_not_there(
    client: httpx.Client, path: str, params: dict[str, str], nothing: Any
) -> None:
    old = {"start": str(NOW - 4 * 3600), "end": str(NOW - 3 * 3600)}
    push(client, "recent", {"job": "a"}, [[f"{NOW - 3 * 3600 - 1}000000000", "old"]])
    answer = client.get(f"/loki/api/v1/{path}", params=old | params, headers={"X-Scope-OrgID": "recent"})
    assert answer.status_code == 200, answer.text
    assert without_statistics(answer.json().get("data")) == nothing


def without_statistics(data: Any) -> Any:
    return {key: value for key, value in data.items() if key != "stats"} if isinstance(data, dict) else data


def test_the_lookback_cuts_a_range_before_its_length_is_looked_at(client: httpx.Client) -> None:
    push(client, "recent", {"job": "b"}, [[f"{NOW - age}000000000", f"{age}"] for age in (60, 3 * 3600)])
    wide = {"start": str(NOW - 4 * 3600), "end": str(NOW)}
    streams = get(client, "recent", "query_range", query='{job="b"}', **wide)["result"]
    assert [line for stream in streams for _, line in stream["values"]] == ["60"]
    series = get(client, "recent", "query_range", query='count_over_time({job="b"}[1m])', step="60", **wide)
    (one,) = series["result"]
    assert min(moment for moment, _ in one["values"]) > NOW - 2 * 3600
    wanted = {"query": '{job="b"}'} | wide
    answer = client.get("/loki/api/v1/index/stats", params=wanted, headers={"X-Scope-OrgID": "recent"})
    assert answer.json()["streams"] == 1


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ('count_over_time({job="a"} | pattern "line <n>" [10m])', 400),
        ('sum without (job) (count_over_time({job="a"} | pattern "line <n>" [10m]))', 400),
        ('sum by (n) (count_over_time({job="a"} | pattern "line <n>" [10m]))', 400),
        ('sum(count_over_time({job="a"} | pattern "line <n>" [10m]))', 200),
        ('sum(count_over_time({job="a"} | pattern "line <n>" | json | __error__!="" [10m]))', 200),
        ('absent_over_time({job="a"} | pattern "line <n>" [10m])', 200),
        ('count_over_time({job="a"} | pattern "line <n>" | n > 0 [10m])', 200),
    ],
)
def test_series_of_the_answer_count(client: httpx.Client, query: str, status: int) -> None:
    answer = client.get(
        "/loki/api/v1/query", params={"query": query, "time": str(NOW + 1)}, headers={"X-Scope-OrgID": "narrow"}
    )
    assert answer.status_code == status
    if status == 400:
        assert answer.text.startswith("maximum number of series (4) reached for a single query")
        assert answer.text.rstrip().endswith("hint: the limit is limits_config.max_query_series")


@pytest.mark.parametrize(("window", "without"), [("1h", {"odd": ""}), ("2h", {})])
def test_label_of_an_empty_value_is_none_where_windows_are_split(
    client: httpx.Client, window: str, without: dict[str, str]
) -> None:
    query = f'sum by (odd) (count_over_time({{job="a"}} | regexp "line (?P<odd>[13])?" [{window}]))'
    found = get(client, "one", "query", query=query, time=str(NOW + 1))["result"]
    counts = [(one["metric"], one["value"][1]) for one in found]
    assert sorted(counts, key=str) == sorted([({"odd": "1"}, "1"), ({"odd": "3"}, "1"), (without, "3")], key=str)
