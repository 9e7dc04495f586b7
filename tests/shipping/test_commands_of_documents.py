"""Commands that documents show are run as they stand, against a server of the test's own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import LogAggregator

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).parent / "log-aggregator"
SHOWN_URL = "http://localhost:3100"


@pytest.fixture(scope="module")
def server() -> Iterator[LogAggregator]:
    with LogAggregator() as server:
        yield server


def blocks(page: str, section: str) -> list[str]:
    """Of one section, those in bash."""
    text = (ROOT / page).read_text()
    after = re.split(rf"^## {section}$", text, maxsplit=1, flags=re.M)[1]
    return re.findall(r"```bash\n(.*?)```", re.split(r"^## ", after, maxsplit=1, flags=re.M)[0], re.S)


def run(script: str, server: LogAggregator) -> str:
    script = script.replace("uv run --no-dev log-aggregator", str(PROGRAM)).replace(SHOWN_URL, server.url)
    script = re.sub(r"^log-aggregator", str(PROGRAM), script, flags=re.M).replace("curl ", "curl -sS --fail-with-body ")
    script = "\n".join(line for line in script.splitlines() if " tail " not in line)  # it would not end
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env={**os.environ, "LOKI_ADDR": server.url},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, script + done.stdout + done.stderr
    return done.stdout


def test_tour_of_the_readme(server: LogAggregator) -> None:
    pushed, queried, with_client = blocks("README.md", "Five minutes")
    assert run(pushed, server) == ""
    answers = run(queried, server)
    assert answers.count("log message here") == 2
    assert '"metric":{"job":"manager"}' in answers
    assert '"data":["manager"]' in answers
    assert "loki_distributor_received_lines_total" in answers
    assert '{job="demo", service_name="demo"}' in run(with_client, server)


def test_check_of_a_configuration(server: LogAggregator) -> None:
    (check, *_) = blocks("README.md", "Configuration")
    assert run(check, server).count("the configuration is valid\n") == 2


def test_commands_of_the_api_page(server: LogAggregator) -> None:
    (pushed,) = blocks("docs/api.md", "Push")
    (queried,) = blocks("docs/api.md", "Query")
    run(pushed, server)
    assert "log message here" in run(queried, server)


def test_commands_of_the_client_page(server: LogAggregator) -> None:
    text = (ROOT / "docs" / "client.md").read_text()
    out = run(re.findall(r"```bash\n(.*?)```", text, re.S)[0], server)
    assert re.search(r"^entries: \d+$", out, re.M)
    assert "demo\n" in out
