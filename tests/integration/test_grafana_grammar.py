"""Grafana's editor reads what we print: otherwise a query that was laid out by us would be shown as wrong."""

import json
import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from log_aggregator.logql.errors import ParseError
from log_aggregator.logql.parser import parse_text
from log_aggregator.logql.printer import format_expr
from node_packages import installed

GRAMMAR = Path(__file__).parent / "grammar"
CASES = Path(__file__).parents[1] / "golden" / "corpus" / "cases"

# Names of labels that are keywords of the grammar or not ASCII, and an offset behind an unwrap.
UNKNOWN = re.compile(r'\{"?(?:vector|été)"?=|unwrap [^\[]*\[\w+\] offset')


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """Every query of the recorded corpus that can be read, as we print it."""
    found = {}
    for line in "".join(path.read_text() for path in sorted(CASES.glob("*.jsonl"))).splitlines():
        query = json.loads(line).get("params", {}).get("query", "")
        with suppress(ParseError):
            found[format_expr(parse_text(query))] = None
    return list(found)


def refused(queries: list[str]) -> list[str]:
    done = subprocess.run(
        ["node", "refused.js"],
        cwd=installed(GRAMMAR),
        input=json.dumps(queries),
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    answer: list[str] = json.loads(done.stdout)
    return answer


def test_grammar_refuses_what_is_no_query() -> None:
    assert refused(['{job="a"}', '{job="a"} | ERROR | x', "sum("]) == ['{job="a"} | ERROR | x', "sum("]


def test_grammar_takes_what_we_print(printed: list[str]) -> None:
    assert len(printed) > 1000
    assert [query for query in refused(printed) if not UNKNOWN.search(query)] == []


def test_grammar_lacks_what_loki_takes() -> None:
    """Not for want of another spelling."""
    queries = ['{vector="x"}', 'sum_over_time({a="b"} | logfmt | unwrap c [5m] offset 1h)']
    assert refused(queries) == queries
