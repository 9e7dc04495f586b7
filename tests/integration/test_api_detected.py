"""Detected labels and fields over HTTP: the same answers from the write-ahead log and from the store."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from servers import LogAggregator

SECOND_NS = 1_000_000_000
# Yesterday, so that all of it lies in one index period.
START = int(time.time()) // 86_400 * 86_400 - 86_400 + 36_000
RANGE = {"start": str(START), "end": str(START + 600)}
CONFIG = """
limits_config:
  discover_service_name: []
  discover_log_levels: false
"""


@pytest.fixture(scope="module", params=["unflushed", "flushed", "half flushed"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Two applications with a stream of each of three pods: one writes logfmt, the other JSON."""
    with LogAggregator(config=CONFIG) as server, httpx.Client(base_url=server.url) as client:
        for app in ("api", "web"):
            for pod in range(3):
                ids = {"request": str(uuid.uuid4()), "number": str(pod)}
                line = f"n={pod} took={pod}ms" if app == "api" else f'{{"user":{{"id":{pod}}},"ok":true}}'
                values = [[str((START + pod) * SECOND_NS), line, {"trace": f"t{pod}"}]]
                body = {"streams": [{"stream": {"app": app, "pod": str(pod), **ids}, "values": values}]}
                assert client.post("/loki/api/v1/push", json=body).status_code == 204
            if request.param == "flushed" or (request.param == "half flushed" and app == "api"):
                assert client.post("/flush", timeout=30).status_code == 204
        yield client


def ask(client: httpx.Client, path: str, **params: Any) -> Any:
    answer = client.get(f"/loki/api/v1/{path}", params=RANGE | params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def fields(client: httpx.Client, **params: Any) -> dict[str, Any]:
    return {one.pop("label"): one for one in ask(client, "detected_fields", **params).get("fields", [])}


def test_labels_that_only_number_things_are_left_out_but_for_well_known_ones(client: httpx.Client) -> None:
    expected = [{"label": "app", "cardinality": 2}, {"label": "pod", "cardinality": 3}]
    assert ask(client, "detected_labels") == {"detectedLabels": expected}
    # What is only 0 or 1 may be a boolean.
    booleans = [{"label": "app", "cardinality": 1}, *({"label": name, "cardinality": 2} for name in ("number", "pod"))]
    assert ask(client, "detected_labels", query='{app="api", pod=~"0|1"}') == {"detectedLabels": booleans}
    assert ask(client, "detected_labels", query='{app="nosuch"}') == {}


def test_fields(client: httpx.Client) -> None:
    assert fields(client, query='{app="api"}') == {
        "n": {"type": "int", "cardinality": 3, "parsers": ["logfmt"]},
        "took": {"type": "duration", "cardinality": 3, "parsers": ["logfmt"]},
        "trace": {"type": "string", "cardinality": 3, "parsers": None},
    }
    assert fields(client, query='{app="web"}') == {
        "user_id": {"type": "int", "cardinality": 3, "parsers": ["json"], "jsonPath": ["user", "id"]},
        "ok": {"type": "boolean", "cardinality": 1, "parsers": ["json"], "jsonPath": ["ok"]},
        "trace": {"type": "string", "cardinality": 3, "parsers": None},
    }


def test_fields_are_found_in_the_newest_lines(client: httpx.Client) -> None:
    assert fields(client, query='{app="api"}', line_limit="1")["n"]["cardinality"] == 1
    assert ask(client, "detected_field/n/values", query='{app="api"}', line_limit="1") == {
        "values": ["2"],
        "limit": 1000,
    }


@pytest.mark.parametrize("name", ["limit", "field_limit"])
def test_number_of_fields_is_limited(client: httpx.Client, name: str) -> None:
    answer = ask(client, "detected_fields", query='{app="api"}', **{name: "2"})
    assert (len(answer["fields"]), answer["limit"]) == (2, 2)


def test_the_newer_name_of_the_limit_counts(client: httpx.Client) -> None:
    answer = ask(client, "detected_fields", query='{app="api"}', limit="1", field_limit="x")
    assert (len(answer["fields"]), answer["limit"]) == (1, 1)


def test_values(client: httpx.Client) -> None:
    answer = ask(client, "detected_field/took/values", query='{app="api"}')
    assert (sorted(answer["values"]), answer["limit"]) == (["0ms", "1ms", "2ms"], 1000)
    assert ask(client, "detected_field/nosuch/values", query='{app="api"}') == {}


@pytest.mark.parametrize(
    ("path", "params", "message"),
    [
        ("detected_labels", {"query": '{app="api"} |= "x"'}, "only label matchers are supported"),
        ("detected_fields", {"query": 'rate({app="api"}[5m])'}, "only log selector is supported"),
        ("detected_fields", {"query": '{app="api"}', "line_limit": "0"}, "limit must be a positive value"),
        ("detected_fields", {}, "parse error : syntax error: unexpected $end"),
        ("detected_field/n/values", {"query": '{app="api"}', "limit": "-1"}, "limit must be a positive value"),
        (
            "detected_fields",
            {"query": '{app="api"}', "line_limit": "4294967296"},
            "line_limit value 4294967296 is out of range [0, 4294967295]",
        ),
        ("detected_fields", {"query": '{app="api"}', "step": "x"}, 'cannot parse "x" to a valid duration'),
    ],
)
def test_bad_requests(client: httpx.Client, path: str, params: dict[str, str], message: str) -> None:
    answer = client.get(f"/loki/api/v1/{path}", params=RANGE | params)
    assert (answer.status_code, answer.text.splitlines()[0]) == (400, message)
