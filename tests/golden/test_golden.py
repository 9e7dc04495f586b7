"""Our answers are those of a real Loki: all of the recorded corpus, before a flush and after it."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from comparison import differences
from corpus import CATEGORIES, Answer, Case, cases_of, pushes

from servers import LogAggregator

# The settings that the corpus was recorded with.
CONFIG = """
limits_config:
  discover_service_name: []
  discover_log_levels: false
  reject_old_samples: false
  ingestion_rate_mb: 1000
  ingestion_burst_size_mb: 1000
  per_stream_rate_limit: 1GB
  per_stream_rate_limit_burst: 1GB
  volume_enabled: true
querier:
  allow_instant_log_queries: false
pattern_ingester:
  enabled: true
"""
CONCURRENT = 4
TIMEOUT_SECONDS = 60


@pytest.fixture(scope="module", params=["unflushed", "flushed"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of a server that has the dataset."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")  # toDate and __timestamp__
        with (
            LogAggregator(config=CONFIG) as server,
            httpx.Client(base_url=server.url, timeout=TIMEOUT_SECONDS) as client,
        ):
            for body in pushes():
                answer = client.post("/loki/api/v1/push", content=body, headers={"Content-Type": "application/json"})
                assert answer.status_code == 204, answer.text
            if request.param == "flushed":
                assert client.post("/flush").status_code == 204
            yield server.url


@pytest.mark.parametrize("category", CATEGORIES)
async def test_answers_are_those_of_loki(url: str, category: str) -> None:
    slots = asyncio.Semaphore(CONCURRENT)

    async def check(client: httpx.AsyncClient, case: Case, expected: Answer) -> list[str]:
        async with slots:
            actual = await ask(client, case)
        return differences(case, expected, actual)

    cases = cases_of(category)
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS) as client, asyncio.TaskGroup() as group:
        tasks = {case.id: group.create_task(check(client, case, expected)) for case, expected in cases}
    failed = {name: task.result() for name, task in tasks.items() if task.result()}
    assert not failed, "\n" + "\n".join(f"{name}: {'; '.join(found)}" for name, found in failed.items())


async def ask(client: httpx.AsyncClient, case: Case) -> Answer:
    body = None if case.body is None else case.body.encode()
    # Given so, it is sent as it is, and may be longer than the client's own limit.
    target = {"target": case.target.encode()}
    answer = await client.request(case.method, case.path, content=body, headers=dict(case.headers), extensions=target)
    if answer.next_request is not None:  # Loki's answers were recorded by a client that follows
        answer = await client.get(answer.next_request.url)
    text = answer.content.decode("utf-8", "replace").strip()
    is_document = answer.is_success and text[:1] in ("{", "[")
    return Answer(answer.status_code, answer.json() if is_document else text)
