"""More entries than one answer holds: pages by cursor, the streamed export, Parquet."""

import csv
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import polars as pl
import pytest

from servers import LogAggregator

START = int(time.time()) - 7200
RANGE = {"start": str(START), "end": str(START + 3600)}
CONFIG = """
frontend:
  support_parquet_encoding: true
limits_config:
  discover_service_name: []
  discover_log_levels: false
  max_query_length: 30m
"""
ENTRIES = 700
QUERY = '{job=~".+"}'


@pytest.fixture(scope="module", params=["unflushed", "half flushed"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Two streams, of which ten entries in a row have the same timestamp, and some have the same line."""
    with LogAggregator(config=CONFIG) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        for half in range(2):
            numbers = range(half * ENTRIES // 2, (half + 1) * ENTRIES // 2)
            for job in ("a", "b"):
                values = [
                    [f"{START + number // 10}000000000", f'line {number}, "{number % 7}"\n', {"n": str(number)}]
                    for number in numbers
                    if (number % 2 == 0) == (job == "a")
                ]
                push = {"streams": [{"stream": {"job": job}, "values": values}]}
                assert client.post("/loki/api/v1/push", json=push).status_code == 204
            if half == 0 and request.param == "half flushed":
                assert client.post("/flush").status_code == 204
        yield client


def pages(client: httpx.Client, **params: str) -> Iterator[list[str]]:
    """The numbers of the entries of each page, in order of time."""
    asked = {"query": QUERY, "start": str(START), "end": str(START + 1000)} | params
    while True:
        answer = client.get("/loki/api/v1/query_range", params=asked)
        assert answer.status_code == 200, answer.text
        streams = answer.json()["data"]["result"]
        entries = [(int(time_ns), stream["stream"]["n"]) for stream in streams for time_ns, _ in stream["values"]]
        yield [n for _, n in sorted(entries, reverse=params["direction"] == "backward")]
        cursor = answer.headers.get("X-Next-Cursor")
        if cursor is None:
            return
        asked = {"query": asked["query"], "cursor": cursor, "limit": params["limit"]}


@pytest.mark.parametrize("limit", ["1000", "350", "99", "7"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_pages_hold_every_entry_once_in_order(client: httpx.Client, direction: str, limit: str) -> None:
    found = [n for page in pages(client, direction=direction, limit=limit) for n in page]
    seconds = [int(n) // 10 for n in found]
    assert sorted(map(int, found)) == list(range(ENTRIES))
    assert seconds == sorted(seconds, reverse=direction == "backward")


def test_cursor_that_is_none_is_refused(client: httpx.Client) -> None:
    answer = client.get("/loki/api/v1/query_range", params={"query": QUERY, "cursor": "next"})
    assert answer.status_code == 400
    assert answer.text == (
        "could not parse 'cursor' parameter: give back what the X-Next-Cursor header of an answer had"
    )


def export(client: httpx.Client, accept: str = "", **params: Any) -> httpx.Response:
    headers = {"Accept": accept} if accept else {}
    return client.get("/loki/api/v1/export", params=RANGE | {"query": QUERY} | params, headers=headers)


def test_export_holds_every_entry_in_order(client: httpx.Client) -> None:
    answer = export(client)
    assert answer.headers["content-type"] == "application/x-ndjson"
    entries = [json.loads(line) for line in answer.text.splitlines()]
    assert sorted(int(entry["structuredMetadata"]["n"]) for entry in entries) == list(range(ENTRIES))
    assert [entry["timestamp"] for entry in entries] == sorted(entry["timestamp"] for entry in entries)
    assert entries[0] == {
        "timestamp": f"{START}000000000",
        "stream": {"job": "a"},
        "line": 'line 0, "0"\n',
        "structuredMetadata": {"n": "0"},
    }


def test_export_backward_is_the_mirror(client: httpx.Client) -> None:
    forward, backward = (export(client, direction=one).text.splitlines() for one in ("forward", "backward"))
    assert forward == backward[::-1]


def test_export_ends_at_its_limit_only(client: httpx.Client) -> None:
    assert len(export(client, limit="123").text.splitlines()) == 123
    assert len(export(client, start="0").text.splitlines()) == ENTRIES  # of decades, whatever max_query_length is


def test_export_runs_the_pipeline(client: httpx.Client) -> None:
    query = '{job="a"} |= "line 12," | pattern "line <found>," | line_format "{{.found}}"'
    (line,) = export(client, query=query).text.splitlines()
    entry = json.loads(line)
    assert (entry["line"], entry["parsed"]) == ("12", {"found": "12"})


@pytest.mark.parametrize(("accept", "params"), [("text/csv", {}), ("", {"format": "csv"})])
def test_export_as_csv(client: httpx.Client, accept: str, params: dict[str, str]) -> None:
    answer = export(client, accept, limit="2", **params)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START))
    assert list(csv.reader(io.StringIO(answer.text))) == [
        ["timestamp_ns", "timestamp", "labels", "line"],
        [f"{START}000000000", moment, '{job="a", n="0"}', 'line 0, "0"\n'],
        [f"{START}000000000", moment, '{job="a", n="2"}', 'line 2, "2"\n'],
    ]


def test_export_as_parquet(client: httpx.Client) -> None:
    frame = pl.read_parquet(export(client, "application/vnd.apache.parquet").content)
    assert frame.height == ENTRIES
    assert frame["timestamp"].is_sorted()
    assert sorted(int(labels["n"]) for labels in frame["labels"]) == list(range(ENTRIES))


@pytest.mark.parametrize("kind", ["ndjson", "csv", "parquet"])
def test_export_of_nothing(client: httpx.Client, kind: str) -> None:
    answer = export(client, query='{job="none"}', format=kind)
    assert answer.status_code == 200
    if kind == "parquet":
        assert pl.read_parquet(answer.content).is_empty()
    else:
        assert len(answer.text.splitlines()) == (kind == "csv")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"query": "{"}, "parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }"),
        ({"query": 'rate({job="a"}[1m])'}, "only log selector is supported"),
        ({"format": "xml"}, "invalid format 'xml': use one of ndjson, csv, parquet"),
        ({"end": "0"}, "end timestamp must not be before or equal to start time"),
    ],
)
def test_export_that_cannot_begin_is_refused(client: httpx.Client, params: dict[str, str], message: str) -> None:
    answer = export(client, **params)
    assert (answer.status_code, answer.text.splitlines()[0]) == (400, message)


def test_client_that_leaves_an_export_ends_it(client: httpx.Client) -> None:
    with client.stream("GET", "/loki/api/v1/export", params=RANGE | {"query": QUERY}) as answer:
        next(answer.iter_raw(chunk_size=10))
    assert export(client, limit="1").status_code == 200


def test_range_query_answers_in_parquet(client: httpx.Client) -> None:
    headers = {"Accept": "application/vnd.apache.parquet"}
    short = {"start": str(START), "end": str(START + 600)}
    answer = client.get("/loki/api/v1/query_range", params=short | {"query": QUERY, "limit": "5"}, headers=headers)
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    frame = pl.read_parquet(answer.content)
    assert frame.columns == ["timestamp", "labels", "line"]
    assert frame.height == 5
    query = "sum by (job) (count_over_time({job=~'.+'}[1m]))".replace("'", '"')
    answer = client.get("/loki/api/v1/query_range", params=short | {"query": query, "step": "60"}, headers=headers)
    frame = pl.read_parquet(answer.content)
    assert frame.columns == ["timestamp", "labels", "value"]
    assert frame["value"].sum() == ENTRIES


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_pages_fit_together_where_entries_are_flushed_between_them(client: httpx.Client, direction: str) -> None:
    """Last in this file, as it flushes. All entries have one timestamp and come in one push."""
    time_ns = f"{START + 2000}000000000"
    streams = [
        {"stream": {"of": f"ties {direction}", "job": job}, "values": [[time_ns, "line", {"n": f"{job}{part}"}]]}
        for part in range(3)
        for job in ("z", "a", "m")
    ]
    assert client.post("/loki/api/v1/push", json={"streams": streams}).status_code == 204
    asked = {"query": f'{{of="ties {direction}"}}', "start": str(START + 1500), "end": str(START + 2500), "limit": "2"}
    found = []
    for number, page in enumerate(pages(client, **asked, direction=direction)):
        found += page
        if number == 1:
            assert client.post("/flush").status_code == 204
    assert sorted(found) == [f"{job}{part}" for job in "amz" for part in range(3)]
