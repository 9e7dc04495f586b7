"""With `querier.partial_results`, answers lack what is damaged and say so; they never hold an entry twice for it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cluster import LATER_NS, TENANT, Cluster, flipped
from log_aggregator.engine.steps import Steps
from log_aggregator.formats.chunk import FIELD_PREFIX, SHAPE
from log_aggregator.formats.parquet import ParquetFooter
from log_aggregator.logql.ast import MetricExpr
from log_aggregator.logql.parser import parse_expr
from log_aggregator.model.segment import LINE
from log_aggregator.services.damage import current_damage, damage_left_out
from log_aggregator.services.metric_query import MetricQueries
from replica import HOUR_NS, Entry, Replica
from servers import LogAggregator

START = 1_768_471_200  # a whole hour
RANGE = {"start": str(START), "end": str(START + 3600), "step": "60"}
CONFIG = """
limits_config: {reject_old_samples: false}
querier: {partial_results: %s, fan_out_row_groups: 1}
frontend: {support_parquet_encoding: true}
pattern_ingester: {enabled: true}
"""


class Damaged:
    """A server with a flush of job `lost` and one of job `kept`, and the object of the first one that is damaged."""

    def __init__(self, directory: Path, part: str, partial: str) -> None:
        with (
            LogAggregator(config=CONFIG % "true", directory=directory) as server,
            httpx.Client(base_url=server.url) as client,
        ):
            known: set[Path] = set()
            for job in ("kept", "lost"):
                values = [[f"{START + minute * 60}000000001", f"{job} {minute}"] for minute in range(50)]
                body = {"streams": [{"stream": {"job": job}, "values": values}]}
                assert client.post("/loki/api/v1/push", json=body).status_code == 204
                assert client.post("/flush").status_code == 204
                written = {path for path in directory.glob(f"**/fake/{part}/**/*") if path.is_file()} - known
                known |= written
        (path,) = written
        self.path, self.whole = path, path.read_bytes()
        place = len(self.whole) // 2
        if part == "chunks":
            place = ParquetFooter.of_file(self.whole).row_groups[0].spans[LINE].start + 9
        path.chmod(0o600)
        path.write_bytes(flipped(self.whole, place))
        self.name = f"fake/{part}/" + str(path).rpartition(f"fake/{part}/")[2]
        self.server = LogAggregator(config=CONFIG % partial, directory=directory)

    def get(self, path: str, headers: dict[str, str] | None = None, **params: str) -> httpx.Response:
        return httpx.get(f"{self.server.url}/loki/api/v1/{path}", params=RANGE | params, headers=headers, timeout=60)


@pytest.fixture(scope="module", params=["chunks", "index"])
def damaged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Damaged]:
    damaged = Damaged(tmp_path_factory.mktemp("damaged"), request.param, "true")
    with damaged.server:
        yield damaged


@pytest.fixture(scope="module")
def lost_index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Damaged]:
    damaged = Damaged(tmp_path_factory.mktemp("lost"), "index", "true")
    with damaged.server:
        yield damaged


def assert_warned(answer: httpx.Response, damaged: Damaged) -> None:
    assert answer.status_code == 200, answer.text
    (warning,) = answer.json()["warnings"]
    assert warning.startswith("the answer is not complete: ")
    assert damaged.name in warning


def test_log_queries_answer_what_can_be_read(damaged: Damaged) -> None:
    answer = damaged.get("query_range", query='{job=~".+"}')
    assert_warned(answer, damaged)
    (stream,) = answer.json()["data"]["result"]
    assert stream["stream"]["job"] == "kept"
    assert len(stream["values"]) == 50


@pytest.mark.parametrize("stage", ["", '|~ "[0-9]"'])
def test_metric_queries_answer_what_can_be_read(damaged: Damaged, stage: str) -> None:
    answer = damaged.get("query_range", query=f'sum by (job) (count_over_time({{job=~".+"}} {stage} |= " " [1m]))')
    assert_warned(answer, damaged)
    (series,) = answer.json()["data"]["result"]
    assert series["metric"] == {"job": "kept"}
    assert len(series["values"]) == 50


def test_what_needs_nothing_damaged_is_not_warned_of(damaged: Damaged) -> None:
    answer = damaged.get("query_range", query='{job="kept"}')
    assert "warnings" not in answer.json() or "index" in damaged.name


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("labels", {}),
        ("label/job/values", {}),
        ("series", {"match[]": '{job=~".+"}'}),
        ("index/stats", {"query": '{job=~".+"}'}),
        ("index/volume", {"query": '{job=~".+"}'}),
        ("index/volume_range", {"query": '{job=~".+"}'}),
        ("detected_labels", {}),
        ("detected_fields", {"query": '{job=~".+"}'}),
        ("patterns", {"query": '{job=~".+"}'}),
    ],
)
def test_every_route_that_reads_the_index_warns(lost_index: Damaged, path: str, params: dict[str, str]) -> None:
    answer = lost_index.get(path, **params)
    assert_warned(answer, lost_index)
    assert '"lost' not in answer.text


def test_parquet_has_no_room_for_a_warning(damaged: Damaged) -> None:
    answer = damaged.get("query_range", {"Accept": "application/vnd.apache.parquet"}, query='{job=~".+"}')
    assert answer.status_code == 500
    assert damaged.name in answer.text


def test_exports_stay_errors(damaged: Damaged) -> None:
    answer = damaged.get("export", query='{job=~".+"}')
    assert answer.status_code == 500
    assert damaged.name in answer.text


def test_without_it_the_answer_is_an_error(tmp_path: Path) -> None:
    damaged = Damaged(tmp_path, "chunks", "false")
    with damaged.server:
        answer = damaged.get("query_range", query='{job=~".+"}')
        assert answer.status_code == 500
        assert damaged.name in answer.text


def test_what_is_repaired_is_complete_at_once(tmp_path: Path) -> None:
    damaged = Damaged(tmp_path, "chunks", "true")
    query = 'sum(count_over_time({job=~".+"} |~ "[0-9]" [1m]))'
    with damaged.server:
        for _ in range(2):
            assert_warned(damaged.get("query_range", query=query), damaged)
        damaged.path.write_bytes(damaged.whole)
        answer = damaged.get("query_range", query=query)
        assert "warnings" not in answer.json()
        assert sum(float(value) for _, value in answer.json()["data"]["result"][0]["values"]) == 100


async def damage(cluster: Cluster, key: str, column: str | None = None) -> None:
    data = await cluster.store.get(key)
    place = ParquetFooter.of_file(data).row_groups[0].spans[column].start + 9 if column else len(data) // 2
    await cluster.store.put(key, flipped(data, place))


async def values(reader: Replica, text: str) -> list[float]:
    """Of an instant query at the end of the first hour."""
    expr = parse_expr(text)
    assert isinstance(expr, MetricExpr)
    answer = await MetricQueries(reader.scanner).run(TENANT, expr, Steps.at(HOUR_NS - 1))
    return [sample.value for sample in answer.vectors[0]]


async def test_a_copy_of_a_damaged_entry_counts_once(cluster: Cluster) -> None:
    writer = await cluster.writer()
    for _ in range(2):
        await writer.push([Entry(TENANT, "a", at, f"line {at}") for at in range(10)])
        await writer.flush()
    keys = await cluster.keys("chunks")
    await damage(cluster, keys[0], LINE)
    with damage_left_out(allowed=True):
        found = await values(cluster.reader(), 'sum(count_over_time({stream="a"}[1h]))')
        assert current_damage()
    assert found == [10.0]


@pytest.mark.parametrize("chunk", [0, 1])
@pytest.mark.parametrize("column", [FIELD_PREFIX + "n", SHAPE, LINE])
async def test_what_is_damaged_does_not_take_its_copy_with_it(cluster: Cluster, column: str, chunk: int) -> None:
    writer = await cluster.writer()
    for _ in range(2):
        await writer.push([Entry(TENANT, "a", at, f'{{"n":"{at % 2}"}}') for at in range(100)])
        await writer.flush()
    keys = await cluster.keys("chunks")
    await damage(cluster, keys[chunk], column)
    with damage_left_out(allowed=True):
        found = await values(cluster.reader(), 'sum(count_over_time({stream="a"} | json | n >= 0 [1h]))')
        assert current_damage()
    assert found == [100.0]


async def test_a_missing_chunk_is_left_out(cluster: Cluster) -> None:
    entries = await cluster.flushed(2)
    keys = await cluster.keys("chunks")
    await cluster.store.delete(keys[:1])
    with damage_left_out(allowed=True):
        assert len(await cluster.reader().entries(TENANT)) == len(entries) // 2
        damage = current_damage()
        assert damage is not None
        assert damage.warnings() == [f"the answer is not complete: chunk {keys[0]} is missing"]


async def test_a_period_whose_compacted_index_object_is_damaged_is_left_out(cluster: Cluster) -> None:
    await cluster.flushed(2)
    await cluster.reader().compactor.compact(TENANT, 0, LATER_NS)
    _, compacted = [key for key in await cluster.keys("index") if "compacted." in key]
    await damage(cluster, compacted)
    writer = await cluster.writer()
    unflushed, other_period = Entry(TENANT, "a", 7, "unflushed"), Entry(TENANT, "a", HOUR_NS * 30, "later")
    await writer.push([other_period])
    await writer.flush()
    await writer.push([unflushed])
    with damage_left_out(allowed=True):
        assert sorted(await cluster.reader().entries(TENANT)) == sorted([unflushed, other_period])
        assert current_damage()


async def test_a_damaged_skip_filter_is_done_without(cluster: Cluster) -> None:
    trace = "deadbeef00112233445566778899aabb"
    writer = await cluster.writer()
    await writer.push([Entry(TENANT, "a", at, f'{{"trace":"{trace[:-2]}{at:02}"}}') for at in range(100)])
    await writer.flush()
    (key,) = await cluster.keys("chunks")
    reader = cluster.reader()
    (index,) = await reader.catalog.load(await reader.catalog.keys(TENANT, 0, HOUR_NS))
    data = await cluster.store.get(key)
    await cluster.store.put(key, flipped(data, len(data) - 8 - len(index.chunks[0].footer) - 10))
    with damage_left_out(allowed=True):
        found = await values(reader, f'sum(count_over_time({{stream="a"}} |= "{trace[:-2]}07" [1h]))')
        assert not current_damage()
    assert found == [1.0]
