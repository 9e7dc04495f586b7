"""Documents say what the program has: every key, route, metric and format version; their links lead somewhere."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import duckdb
import httpx
import polars as pl
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from log_aggregator import __version__
from log_aggregator.formats import chunk, delete_request, index, index_period, wal_record
from servers import LogAggregator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "helm").rglob("*.md")])


@pytest.fixture(scope="module")
def server() -> Iterator[LogAggregator]:
    with LogAggregator() as server:
        yield server


# Configuration


def test_configuration_page_is_up_to_date() -> None:
    generated = runpy.run_path(str(DOCS / "generate_configuration.py"))
    regenerate = "run: uv run docs/generate_configuration.py"
    assert (DOCS / "configuration.md").read_text() == generated["document"](), regenerate


def test_every_key_has_a_meaning_and_no_other() -> None:
    generated = runpy.run_path(str(DOCS / "generate_configuration.py"))
    assert set(generated["MEANINGS"]) == generated["keys_outside_s3"]()
    assert generated["OURS"] <= set(generated["MEANINGS"])
    assert {section.__name__ for section in generated["LIST_MEANINGS"]} == {
        section.__name__ for section in generated["sections_of_lists"]()
    }


# Routes


def test_every_route_is_documented_and_no_other() -> None:
    rows = re.findall(r"^\|([^|]*)\|", (DOCS / "api.md").read_text(), re.M)
    sources = [path.read_text() for path in (ROOT / "src" / "log_aggregator" / "http").glob("*.py")]
    paths = {path for source in sources for path in re.findall(r'"(/(?:[a-z_][^" ]*)?)"', source)}
    assert {path for row in rows for path in re.findall(r"`(/[^` ]*)`", row)} == paths


# Metrics


def test_every_metric_is_documented(server: LogAggregator) -> None:
    push = {"streams": [{"stream": {"job": "a"}, "values": [["1", "too old"]]}]}
    httpx.post(f"{server.url}/loki/api/v1/push", json=push)
    text = httpx.get(f"{server.url}/metrics").text
    shown = {family.name + ("_total" if family.type == "counter" else "") for family in families(text)}
    documented = set(re.findall(r"^\| `((?:loki|log_aggregator)_\w+)`", (DOCS / "metrics.md").read_text(), re.M))
    assert shown - documented == set()
    assert documented - shown == set()


def test_labels_of_metrics_are_documented(server: LogAggregator) -> None:
    page = (DOCS / "metrics.md").read_text()
    text = httpx.get(f"{server.url}/metrics").text
    for family in families(text):
        labels = {name for sample in family.samples for name in sample.labels} - {"le"}
        row = re.search(rf"^\| `{family.name}(_total)?` \|[^|]*\|([^|]*)\|", page, re.M)
        assert row is not None
        if "above" not in row[2]:
            assert labels <= set(re.findall(r"\w+", row[2])), family.name


def families(text: str) -> list[Metric]:
    """Without the times of creation that the client library adds, and what it tells of the process."""
    found = text_string_to_metric_families(text)
    return [one for one in found if one.name.startswith(("loki_", "log_agg")) and not is_time_of_creation(one)]


def is_time_of_creation(family: Metric) -> bool:
    return family.name.endswith("_created") and family.type == "gauge"


# Formats


@pytest.mark.parametrize(
    ("page", "magic", "version"),
    [
        ("wal-record.md", wal_record.MAGIC, wal_record.VERSION),
        ("index.md", index.MAGIC, index.VERSION),
        ("chunk.md", None, chunk.VERSION),
        ("delete-request.md", b"LADR", delete_request.VERSION),
        ("index-period.md", index_period.MAGIC, index_period.VERSION),
    ],
)
def test_format_page_has_the_version_of_the_code(page: str, magic: bytes | None, version: int) -> None:
    introduction = (DOCS / "format" / page).read_text().split("\n|")[0]
    assert re.search(r"[Vv]ersion (\d+)", introduction)[1] == str(version)  # type: ignore[index]
    assert magic is None or f"`{magic.decode()}`" in introduction


def test_page_of_the_envelope_has_every_magic() -> None:
    sources = [path.read_text() for path in (ROOT / "src" / "log_aggregator" / "formats").glob("*.py")]
    magics = {magic for source in sources for magic in re.findall(r'MAGIC = b"(LA\w\w)"', source)}
    page = (DOCS / "format" / "envelope.md").read_text()
    assert len(magics) > 2
    assert [magic for magic in sorted(magics) if f"`{magic}`" not in page] == []


def test_pages_name_every_column() -> None:
    assert all(f"`{column}`" in (DOCS / "format" / "chunk.md").read_text() for column in (*chunk.COLUMNS, chunk.SHAPE))
    assert all(f"`{column}`" in (DOCS / "format" / "index.md").read_text() for column in index.INDEX_REF_SCHEMA)
    assert all(f"`{column}`" in (DOCS / "format" / "wal-record.md").read_text() for column in wal_record.SEGMENT_SCHEMA)


def test_page_of_redis_names_every_key() -> None:
    page = (DOCS / "format" / "redis.md").read_text()
    source = (ROOT / "src" / "log_aggregator" / "wal" / "names.py").read_text()
    names = re.findall(r"\{(?:tag|self\._tag)\}:([a-z-]+)", source)
    assert len(names) > 5
    assert [name for name in names if not re.search(rf"^\| `{name}[`:]", page, re.M)] == []


# Chunks are the user's


def test_chunks_are_read_by_other_engines(server: LogAggregator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's own queries."""
    now = int(
        httpx.get(f"{server.url}/loki/api/v1/query", params={"query": "vector(1)"}).json()["data"]["result"][0][
            "value"
        ][0]
    )
    values = [[f"{now}000000000", "log message here", {"trace_id": "42"}], [f"{now}000000001", '{"status": 200}']]
    push = {"streams": [{"stream": {"job": "manager"}, "values": values}]}
    assert httpx.post(f"{server.url}/loki/api/v1/push", json=push).status_code == 204
    assert httpx.post(f"{server.url}/flush").status_code == 204
    monkeypatch.chdir(server.directory)
    page = (DOCS / "parquet.md").read_text()
    counts, lines = re.findall(r"```sql\n(.*?)```", page, re.S)
    assert duckdb.sql(counts).fetchall() == [("manager", 2, 31)]
    assert [row[1:] for row in duckdb.sql(lines).fetchall()] == [("manager", "42", "log message here")]
    polars_code = re.search(r"import polars.*?```", page, re.S)
    assert polars_code is not None
    code = polars_code[0].removesuffix("```").replace("logs.group_by", "found = logs.group_by")
    names: dict[str, pl.DataFrame] = {}
    exec(code, names)
    assert names["found"].rows() == [("manager", 2)]


# Links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert versions[0] in ("Unreleased", __version__)
    assert __version__ in versions
