"""Labels, series, statistics and volumes over HTTP: the same answers from the write-ahead log and from the store."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from servers import LogAggregator

SECOND_NS = 1_000_000_000
# Yesterday, so that all of it lies in one index period, on a multiple of every step used here.
START = int(time.time()) // 86_400 * 86_400 - 86_400 + 36_000
END = START + 600
RANGE = {"start": str(START), "end": str(END)}
STREAMS = [
    {"app": "api", "env": "prod", "pod": "api-1"},
    {"app": "api", "env": "prod", "pod": "api-2"},
    {"app": "web", "env": "dev"},
    {"job": "batch"},
]
PLAIN = """
limits_config:
  discover_service_name: []
  discover_log_levels: false
"""
TENANTS = """
auth_enabled: true
runtime_config:
  file: {overrides}
"""
OVERRIDES = """
overrides:
  one-series: {volume_max_series: 1}
  no-volume: {volume_enabled: false}
"""


# The ends of 64 bits of nanoseconds.
OUTERMOST = [((1 << 63) - 1 - 3600 * SECOND_NS, (1 << 63) - 1), (-(1 << 63), -(1 << 63) + 3600 * SECOND_NS)]


def entry(second: float, line: str) -> list[str]:
    return [str(int((START + second) * SECOND_NS)), line]


@pytest.fixture(scope="module", params=["unflushed", "flushed", "half flushed"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Three streams have a line of ten bytes a minute, for ten minutes; the batch job has one line of five bytes."""
    with LogAggregator(config=PLAIN) as server, httpx.Client(base_url=server.url) as client:
        for stream in STREAMS[:2]:
            push(client, stream, [entry(minute * 60, "ten bytes.") for minute in range(10)])
        if request.param == "half flushed":
            assert client.post("/flush").status_code == 204
        push(client, STREAMS[2], [entry(minute * 60, "ten bytes.") for minute in range(10)])
        push(client, STREAMS[3], [entry(90, "5byte")])
        if request.param == "flushed":
            assert client.post("/flush").status_code == 204
        yield client


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    overrides: Path = tmp_path_factory.mktemp("config") / "overrides.yaml"
    overrides.write_text(OVERRIDES)
    config = TENANTS.format(overrides=overrides)
    with LogAggregator(config=config) as server, httpx.Client(base_url=server.url) as client:
        yield client


def push(client: httpx.Client, labels: dict[str, str], values: list[list[str]], **headers: str) -> None:
    body = {"streams": [{"stream": labels, "values": values}]}
    assert client.post("/loki/api/v1/push", json=body, headers=headers).status_code == 204


def ask(client: httpx.Client, path: str, **params: Any) -> Any:
    answer = client.get(path, params=RANGE | params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def by_text(series: list[dict[str, str]]) -> list[str]:
    return sorted(str(sorted(labels.items())) for labels in series)


def test_labels(client: httpx.Client) -> None:
    for path in ("/loki/api/v1/labels", "/loki/api/v1/label", "/api/prom/label"):
        assert ask(client, path) == {"status": "success", "data": ["app", "env", "job", "pod"]}
    assert ask(client, "/loki/api/v1/labels", query='{env="dev"}') == {
        "status": "success",
        "data": ["app", "env"],
    }


def test_label_values(client: httpx.Client) -> None:
    for path in ("/loki/api/v1/label/app/values", "/loki/api/v1/labels/app/values", "/api/prom/label/app/values"):
        assert ask(client, path) == {"status": "success", "data": ["api", "web"]}
    narrowed = ask(client, "/loki/api/v1/label/pod/values", query='{pod!~".*2", app=~".+"}')
    assert narrowed == {"status": "success", "data": ["api-1"]}


def test_nothing_found_leaves_data_out(client: httpx.Client) -> None:
    assert ask(client, "/loki/api/v1/label/nosuch/values") == {"status": "success"}
    assert ask(client, "/loki/api/v1/labels", query='{app="nosuch"}') == {"status": "success"}
    other_day = {"start": str(START - 2 * 86_400), "end": str(END - 2 * 86_400)}
    assert ask(client, "/loki/api/v1/labels", **other_day) == {"status": "success"}
    assert ask(client, "/loki/api/v1/series", **other_day) == {"status": "success", "data": []}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, STREAMS),
        ({"match[]": "{}"}, STREAMS),
        ({"match[]": ['{app="web"}', '{pod=~".+1"}']}, [STREAMS[0], STREAMS[2]]),
        ({"match[]": '{app="api"}', "match": '{pod="api-1"}'}, STREAMS[:2]),
        ({"match[]": '{job=~".+", pod=""}'}, [STREAMS[3]]),
        # From and to the milliseconds of the bounds, the end excluded. The batch job's line comes at second 90.
        ({"match": '{job="batch"}', "end": str((START + 90) * SECOND_NS)}, []),
        ({"match": '{job="batch"}', "end": str((START + 90) * SECOND_NS + 999_999)}, []),
        ({"match": '{job="batch"}', "end": str((START + 90) * SECOND_NS + 1_000_000)}, [STREAMS[3]]),
        ({"match": '{job="batch"}', "start": str((START + 90) * SECOND_NS + 999_999)}, [STREAMS[3]]),
        ({"match": '{job="batch"}', "start": str((START + 90) * SECOND_NS + 1_000_000)}, []),
        ({"match": '{app="web"}', "end": str(START)}, []),
    ],
)
def test_series(client: httpx.Client, params: dict[str, Any], expected: list[dict[str, str]]) -> None:
    for path in ("/loki/api/v1/series", "/api/prom/series"):
        assert by_text((ask(client, path, **params))["data"]) == by_text(expected)


def test_series_takes_a_posted_form(client: httpx.Client) -> None:
    form = RANGE | {"match[]": ['{app="web"}', '{job="batch"}']}
    answer = client.post("/loki/api/v1/series", data=form)
    assert by_text(answer.json()["data"]) == by_text(STREAMS[2:])


def test_statistics(client: httpx.Client) -> None:
    found = ask(client, "/loki/api/v1/index/stats", query='{app="api"}')
    assert found == {"streams": 2, "chunks": 2, "bytes": 200, "entries": 20}
    assert ask(client, "/loki/api/v1/index/stats", query='{app="nosuch"}') == {
        "streams": 0,
        "chunks": 0,
        "bytes": 0,
        "entries": 0,
    }


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"query": '{app=~".+"}'}, [({"app": "api"}, "200"), ({"app": "web"}, "100")]),
        ({"query": '{app=~".+"}', "limit": "1"}, [({"app": "api"}, "200")]),
        ({"query": '{app=~".+"}', "targetLabels": "pod"}, [({"pod": "api-1"}, "100"), ({"pod": "api-2"}, "100")]),
        ({"query": '{job=~".+", app=""}'}, [({"job": "batch"}, "5")]),
        (
            {"query": "{}", "targetLabels": "env,app"},
            [({"app": "api", "env": "prod"}, "200"), ({"app": "web", "env": "dev"}, "100")],
        ),
        (
            {"query": "{}", "aggregateBy": "labels"},
            [({"app": ""}, "300"), ({"env": ""}, "300"), ({"pod": ""}, "200"), ({"job": ""}, "5")],
        ),
        ({"query": '{env="dev"}', "aggregateBy": "labels", "targetLabels": "app"}, [({"app": ""}, "100")]),
        ({"query": '{app="nosuch"}'}, []),
        ({"query": "{}", "targetLabels": "app,app"}, [({"app": "api"}, "200"), ({"app": "web"}, "100")]),
        ({"query": "{}", "targetLabels": ",app"}, []),  # no stream has a label without a name
        ({"query": '{app="web"}', "limit": "0"}, [({"app": "web"}, "100")]),
    ],
)
def test_volume(client: httpx.Client, params: dict[str, str], expected: list[tuple[dict[str, str], str]]) -> None:
    found = ask(client, "/loki/api/v1/index/volume", **params)
    result = [{"metric": metric, "value": [END, size]} for metric, size in expected]
    assert found == {"status": "success", "data": {"resultType": "vector", "result": result}}


def test_end_of_volumes_is_a_whole_millisecond(client: httpx.Client) -> None:
    moment = str(END * SECOND_NS + 1)
    for path in ("volume", "volume_range"):
        answer = ask(client, f"/loki/api/v1/index/{path}", query='{app="web"}', end=moment, step="1d")
        assert [series["value"][0] for series in answer["data"]["result"]] == [END + 0.001]


def test_volume_without_target_labels_is_by_stream_for_the_empty_selector(client: httpx.Client) -> None:
    found = ask(client, "/loki/api/v1/index/volume", query="{}")
    assert [series["metric"] for series in found["data"]["result"]] == STREAMS


def test_volume_of_steps_adds_up(client: httpx.Client) -> None:
    found = ask(client, "/loki/api/v1/index/volume_range", query='{app="api"}', step="120")
    (series,) = found["data"]["result"]
    assert found["data"]["resultType"] == "matrix"
    assert series["metric"] == {"app": "api"}
    # The last lines come at minute nine, so the last step holds half as much.
    assert [moment for moment, _ in series["values"]] == [START + 120 * n - 0.001 for n in range(1, 5)] + [END]
    sizes = [int(size) for _, size in series["values"]]
    assert sum(sizes) == pytest.approx(200, abs=3)
    assert sizes[:4] == pytest.approx([44] * 4, abs=1)


def test_volume_of_steps_without_any_is_a_vector(client: httpx.Client) -> None:
    found = ask(client, "/loki/api/v1/index/volume_range", query='{app="nosuch"}')
    assert found["data"] == {"resultType": "vector", "result": []}


def test_volume_of_one_step_is_a_vector(client: httpx.Client) -> None:
    found = ask(client, "/loki/api/v1/index/volume_range", query='{app="api"}', step="1d")
    assert found["data"] == {"resultType": "vector", "result": [{"metric": {"app": "api"}, "value": [END, "200"]}]}


def test_steps_of_volumes_are_limited_each(client: httpx.Client) -> None:
    wanted = {"query": '{app="api"}', "start": str(END - 60 * 86_400), "step": "1d"}
    assert ask(client, "/loki/api/v1/index/volume_range", **wanted)["data"]["result"]
    refused = client.get("/loki/api/v1/index/volume_range", params=RANGE | wanted | {"step": "50d"})
    assert refused.text.startswith("the query time range exceeds the limit (query length: 1200h0m0s, limit: 30d1h)")


def test_legacy_query(client: httpx.Client) -> None:
    found = ask(client, "/api/prom/query", query='{app=~".+"}', regexp="^ten", limit="1", direction="forward")
    moment = datetime.fromtimestamp(START, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    entries = [{"ts": moment, "line": "ten bytes."}]
    assert found["streams"] == [{"labels": '{app="api", env="prod", pod="api-1"}', "entries": entries}]
    nothing = ask(client, "/api/prom/query", query='{app=~".+"}', regexp="^eleven")
    assert nothing["streams"] == []
    refused = client.get("/api/prom/query", params=RANGE | {"query": 'rate({app="api"}[1m])'})
    assert (refused.status_code, refused.text) == (400, "legacy endpoints only support streams result type")


@pytest.mark.parametrize(
    ("path", "params", "message"),
    [
        ("labels", {"query": '{app="a"} |= "x"'}, "only label matchers are supported"),
        (
            "labels",
            {"start": "x"},
            "could not parse 'start' parameter: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            "labels",
            {"start": str(END + 1)},
            "this data is no longer available, it is past now - max_query_lookback (0s)",
        ),
        (
            "labels",
            {"start": str(END - 60 * 86_400)},
            "the query time range exceeds the limit (query length: 1440h0m0s, limit: 30d1h)",
        ),
        ("series", {"match[]": ""}, "parse error : syntax error: unexpected $end"),
        # Matchers are read before the range, and in the order of their texts, but what is too broad is told last.
        (
            "series",
            {"match[]": ['{b=~"("}', '{a!="x"}'], "start": str(END - 60 * 86_400)},
            "parse error : error parsing regexp: missing closing ): `(`",
        ),
        (
            "series",
            {"match[]": ['{b="x"}', '{a!="x"}'], "start": str(END - 60 * 86_400)},
            "the query time range exceeds the limit (query length: 1440h0m0s, limit: 30d1h)",
        ),
        ("index/stats", {}, "parse error : syntax error: unexpected $end"),
        # Loki reads these as range queries.
        ("index/stats", {"direction": "up", "limit": "x"}, 'strconv.Atoi: parsing "x": invalid syntax'),
        ("index/stats", {"direction": "up", "step": "0"}, "invalid direction 'up'"),
        ("index/stats", {"interval": "NaN"}, "interval must be >= 0"),
        ("index/volume", {"time": "x", "aggregateBy": "x"}, 'strconv.ParseInt: parsing "x": invalid syntax'),
        (
            "index/volume",
            {"query": "{ }"},  # only {} accepts all streams
            "parse error : queries require at least one regexp or equality matcher that does not have an "
            'empty-compatible value. For instance, app=~".*" does not meet this requirement, but app=~".+" will',
        ),
        ("index/volume", {"limit": "4294967296"}, "limit value 4294967296 is out of range [0, 4294967295]"),
        (
            "index/volume_range",
            {"query": "{}", "step": "0.01"},
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step "
            "parameter",
        ),
        ("index/volume", {"query": "{}", "limit": "-1"}, "limit must be a positive value"),
        ("index/volume", {"query": "{}", "aggregateBy": "x"}, "invalid aggregation option"),
        ("index/volume_range", {"query": "{}", "step": "x"}, 'cannot parse "x" to a valid duration'),
    ],
)
def test_refusals(client: httpx.Client, path: str, params: dict[str, Any], message: str) -> None:
    answer = client.get(f"/loki/api/v1/{path}", params=RANGE | params)
    assert (answer.status_code, answer.text.splitlines()[0]) == (400, message)


def test_more_volumes_than_the_limit_are_refused(tenants: httpx.Client) -> None:
    tenant = {"X-Scope-OrgID": "one-series"}
    for app in ("a", "b"):
        push(tenants, {"app": app}, [entry(0, "line")], **tenant)
    answer = tenants.get("/loki/api/v1/index/volume", params=RANGE | {"query": '{app=~".+"}'}, headers=tenant)
    message = "the query hit the max number of series limit (limit: 1 series)"
    assert (answer.status_code, answer.text) == (400, message)


def test_volume_can_be_turned_off(tenants: httpx.Client) -> None:
    tenant = {"X-Scope-OrgID": "no-volume"}
    answer = tenants.get("/loki/api/v1/index/volume", params=RANGE | {"query": '{app=~".+"}'}, headers=tenant)
    assert (answer.status_code, answer.text) == (404, "not found")


def test_tenants_do_not_see_each_other(tenants: httpx.Client) -> None:
    push(tenants, {"app": "a"}, [entry(0, "line")], **{"X-Scope-OrgID": "one"})
    path = "/loki/api/v1/label/app/values"
    assert tenants.get(path, params=RANGE, headers={"X-Scope-OrgID": "one"}).json()["data"] == ["a"]
    assert tenants.get(path, params=RANGE, headers={"X-Scope-OrgID": "two"}).json() == {"status": "success"}
    assert tenants.get(path, params=RANGE).status_code == 401


@pytest.mark.parametrize("bounds", OUTERMOST)
@pytest.mark.parametrize(
    "path", ["labels", "label/app/values", "series", "index/stats", "index/volume", "index/volume_range"]
)
def test_there_is_nothing_at_the_ends_of_time(client: httpx.Client, path: str, bounds: tuple[int, int]) -> None:
    selector = "match[]" if path == "series" else "query"
    params = {selector: '{app="api"}', "start": str(bounds[0]), "end": str(bounds[1]), "step": "3600"}
    answer = client.get(f"/loki/api/v1/{path}", params=params)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    found = body["entries"] if path == "index/stats" else body.get("data", [])
    assert not (found["result"] if isinstance(found, dict) else found)
