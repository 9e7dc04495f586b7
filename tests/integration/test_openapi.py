"""The description of the API, and what becomes of requests that are made up from it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

from log_aggregator.http.openapi import OPERATIONS, PARAMETERS
from servers import LogAggregator

CONFIG = """
pattern_ingester:
  enabled: true
compactor:
  retention_enabled: true
frontend:
  support_parquet_encoding: true
"""
# They end the process, wait for others, or are no plain HTTP.
LEFT_OUT = r"/ingester/.*|/flush|.*/tail"
SOURCES = Path(__file__).parents[2] / "src" / "log_aggregator" / "http"


@pytest.fixture(scope="module")
def server() -> Iterator[LogAggregator]:
    """Everything that can be switched on has its routes."""
    with LogAggregator(config=CONFIG) as server:
        push = {"streams": [{"stream": {"job": "a"}, "values": [["1", "old"]]}]}
        httpx.post(f"{server.url}/loki/api/v1/push", json=push)
        yield server


@pytest.fixture(scope="module")
def document(server: LogAggregator) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_route_is_described(document: dict[str, Any]) -> None:
    assert [f"{method} {path}" for path, method, one in operations(document) if not one["summary"]] == []


def test_every_path_of_the_routes_is_there(document: dict[str, Any]) -> None:
    text = "".join(path.read_text() for path in SOURCES.glob("*.py"))
    paths = {re.sub(r"<(\w+)>", r"{\1}", path) for path in re.findall(r'"(/(?:[a-z_][^" ]*)?)"', text)}
    assert paths == set(document["paths"])


def test_nothing_is_described_that_is_not_there(document: dict[str, Any]) -> None:
    identifiers = {one["operationId"] for _, _, one in operations(document)}
    names = {name.replace(" ", "_").lower() for name in OPERATIONS}
    assert [name for name in names if not any(one.startswith(name) for one in identifiers)] == []
    assert {name for one in OPERATIONS.values() for name in one.parameters} == set(PARAMETERS)


def test_identifiers_are_distinct(document: dict[str, Any]) -> None:
    identifiers = [one["operationId"] for _, _, one in operations(document)]
    assert len(identifiers) == len(set(identifiers))


@pytest.fixture(scope="module")
def schema(server: LogAggregator) -> Any:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json").exclude(path_regex=LEFT_OUT)


def test_requests_that_follow_the_description_do_not_fail(schema: Any) -> None:
    ask_all(schema, GenerationMode.POSITIVE)


def test_requests_that_do_not_follow_the_description_do_not_fail(schema: Any) -> None:
    """Elsewhere every text is right, and so nothing is wrong."""
    strict = schema.include(path_regex=".*/(query|query_range|export|volume|volume_range)$", method="GET")
    ask_all(strict, GenerationMode.NEGATIVE)


def ask_all(schema: Any, mode: GenerationMode) -> None:
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=10, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            case.call_and_validate(checks=[not_a_server_error], timeout=10)

        ask()
