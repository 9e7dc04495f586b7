"""The program's own client, as people use it: against a running server, by command line, output and exit status."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from servers import LogAggregator, free_port

PROGRAM = Path(sys.executable).parent / "log-aggregator"
SECOND_NS = 1_000_000_000
DEADLINE_SECONDS = 20.0
POLL_SECONDS = 0.02
BEGIN_NS = time.time_ns() - 600 * SECOND_NS  # of what is there when the tests begin


@pytest.fixture(scope="module")
def server() -> Iterator[LogAggregator]:
    with LogAggregator() as server:
        push(server, "paged", [(BEGIN_NS + number // 3, f"line {number:03}") for number in range(100)])
        push(server, "api", [(BEGIN_NS, '{"status": 500}'), (BEGIN_NS + 1, '{"status": 200}')])
        yield server


@pytest.fixture(scope="module", autouse=True)
def _no_variables() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("LOKI_")]:
            patch.delenv(name)
        yield


def push(server: LogAggregator, job: str, entries: list[tuple[int, str]]) -> None:
    values = [[str(timestamp_ns), line, {"trace_id": "42"}] for timestamp_ns, line in entries]
    streams = {"streams": [{"stream": {"job": job}, "values": values}]}
    assert httpx.post(f"{server.url}/loki/api/v1/push", json=streams).status_code == 204


def client(server: LogAggregator, *arguments: str, text: str = "", status: int = 0) -> str:
    """What the command prints."""
    done = subprocess.run(
        [PROGRAM, *arguments],
        input=text,
        env={**os.environ, "LOKI_ADDR": server.url},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS * 2,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def test_delete_asks_as_a_loki_understands() -> None:
    asked: list[str] = []

    class Loki(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Loki) as loki, ThreadPoolExecutor(1) as pool:
        answered = pool.submit(loki.handle_request)
        url = f"http://127.0.0.1:{loki.server_port}"
        subprocess.run([PROGRAM, "delete", "--older-than", "1d", "--addr", url], check=True, timeout=DEADLINE_SECONDS)
        answered.result(DEADLINE_SECONDS)
    given = parse_qs(urlsplit(asked[0]).query)
    # Seconds of fewer or more than ten digits are refused.
    assert (given["query"], given["start"], len(given["end"][0])) == (["{}"], ["1970-01-01T00:00:00Z"], 10)


def test_delete_says_what_a_server_needs_for_it(server: LogAggregator) -> None:
    assert client(server, "delete", "--older-than", "7d", status=1) == (
        "the server answered 404: 404 page not found: the server deletes nothing unless compactor.retention_enabled is "
        "true\n"
    )


def test_query_prints_the_newest_lines(server: LogAggregator) -> None:
    lines = client(server, "query", '{job="paged"}', "--limit", "4", "-o", "raw").splitlines()
    assert lines[0] == "line 099"
    assert len(lines) == 4


@pytest.mark.parametrize("batch", ["4", "7", "100", "1000"])
@pytest.mark.parametrize("order", ["forward", "backward"])
def test_pages_lose_and_repeat_nothing(server: LogAggregator, batch: str, order: str) -> None:
    flags = ["--forward"] if order == "forward" else []
    lines = client(server, "query", '{job="paged"}', "--limit", "0", "--batch", batch, "-o", "raw", *flags).splitlines()
    assert sorted(lines) == [f"line {number:03}" for number in range(100)]
    groups = [int(line.removeprefix("line ")) // 3 for line in lines]
    assert groups == sorted(groups, reverse=order == "backward")


@pytest.mark.parametrize("order", ["forward", "backward"])
def test_pages_keep_entries_that_differ_in_metadata_only(server: LogAggregator, order: str) -> None:
    values = [[str(BEGIN_NS + number // 3), "the same", {"number": str(number)}] for number in range(9)]
    stream = {"stream": {"job": f"alike-{order}"}, "values": values}
    assert httpx.post(f"{server.url}/loki/api/v1/push", json={"streams": [stream]}).status_code == 204
    flags = ["--forward"] if order == "forward" else []
    query = f'{{job="alike-{order}"}}'
    lines = client(server, "query", query, "--limit", "0", "--batch", "5", "-o", "jsonl", *flags).splitlines()
    numbers = sorted(json.loads(line)["structuredMetadata"]["number"] for line in lines)
    assert numbers == [str(number) for number in range(9)]


def test_page_that_is_smaller_than_one_moment_is_an_error(server: LogAggregator) -> None:
    message = client(server, "query", '{job="paged"}', "--limit", "0", "--batch", "3", status=1)
    assert "raise --batch" in message


def test_default_form_has_time_labels_and_line(server: LogAggregator) -> None:
    (line,) = client(server, "query", '{job="api"} |= "500"').splitlines()
    moment, rest = line.split(" ", 1)
    assert moment.endswith("Z")
    assert rest == '{job="api", service_name="api"} {"status": 500}'


def test_colours_are_for_terminals_unless_asked_for(server: LogAggregator) -> None:
    assert "\x1b[" not in client(server, "query", '{job="api"}')
    assert "\x1b[" in client(server, "query", '{job="api"}', "--color", "always")


def test_logfmt_quotes_what_must_be(server: LogAggregator) -> None:
    (line,) = client(server, "query", '{job="api"} |= "500"', "-o", "logfmt").splitlines()
    assert "trace_id=42" in line
    assert line.endswith('line="{\\"status\\": 500}"')


def test_samples_of_a_metric_query(server: LogAggregator) -> None:
    out = client(server, "query", 'sum by (job) (count_over_time({job="paged"}[1h]))', "--instant")
    _, number, labels = out.strip().split(" ", 2)
    assert (number, labels) == ("100", '{job="paged"}')
    over_time = client(server, "query", 'count_over_time({job="paged"}[1h])', "--step", "60s", "--since", "5m")
    assert {line.split()[1] for line in over_time.splitlines()} == {"100"}
    assert client(server, "query", "vector(2)", "--instant").split()[1] == "2"


def test_number_has_the_moment_that_was_asked_for(server: LogAggregator) -> None:
    at = ["--instant", "--to", "2026-01-31T12:00:00.25Z"]
    assert client(server, "query", "1 + 1", *at) == "2026-01-31T12:00:00.25Z 2 {}\n"


def test_proxy_of_the_environment_is_not_asked_for_this_machine(
    server: LogAggregator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    assert client(server, "query", '{job="paged"}', "--limit", "1", "-o", "raw") == "line 099\n"
    assert "only log selector is supported" in client(server, "tail", 'rate({job="paged"}[1m])', status=1)


def test_query_that_is_wrong_is_told(server: LogAggregator) -> None:
    assert client(server, "query", '{job="paged"', status=1).startswith("the server answered 400: parse error")


def test_server_that_is_not_there_is_told() -> None:
    done = subprocess.run(
        [PROGRAM, "labels", "--addr", f"http://127.0.0.1:{free_port()}"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Connection refused" in done.stderr


def test_labels_values_series_stats(server: LogAggregator) -> None:
    assert "job\n" in client(server, "labels")
    assert {"api", "paged"} <= set(client(server, "labels", "job").split())
    assert client(server, "series", '{job="paged"}') == '{job="paged", service_name="paged"}\n'
    assert "job: 1 values" in client(server, "series", '{job="paged"}', "--count")
    assert "entries: 100\n" in client(server, "stats", '{job="paged"}')
    assert client(server, "labels", "job", "--from", "2020-01-01", "--to", "2020-01-02") == ""


def test_push_of_standard_input_and_files(server: LogAggregator, tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_text("one\ntwo\n")
    client(server, "push", "--label", "job=files", "--label", "host=a", str(file))
    client(server, "push", "--label", "job=stdin", text="three\n\nfour")
    assert client(server, "query", '{job="files", host="a"}', "--forward", "-o", "raw") == "one\ntwo\n"
    assert client(server, "query", '{job="stdin"}', "--forward", "-o", "raw") == "three\n\nfour\n"


def test_what_query_prints_push_reads(server: LogAggregator) -> None:
    printed = client(server, "query", '{job="api"}', "-o", "jsonl", "--forward")
    assert json.loads(printed.splitlines()[0])["structuredMetadata"]["trace_id"] == "42"
    client(server, "push", "--format", "jsonl", "--label", "job=copy", text=printed)
    again = client(server, "query", '{job="copy"}', "-o", "jsonl", "--forward")
    assert again == printed.replace('"job":"api"', '"job":"copy"')


def test_push_that_is_refused_in_part_fails_and_says_so(server: LogAggregator) -> None:
    old = '{"line": "old", "timestamp": "2001-01-01T00:00:00Z"}\n{"line": "new"}\n'
    message = client(server, "push", "--format", "jsonl", "--label", "job=partly", text=old, status=1)
    assert "timestamp too old" in message
    assert client(server, "query", '{job="partly"}', "-o", "raw") == "new\n"


def test_push_ends_with_its_error_though_standard_input_goes_on() -> None:
    with subprocess.Popen(
        [PROGRAM, "push", "--format", "jsonl"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"[]\n")
        assert process.wait(DEADLINE_SECONDS) == 1
        assert process.stderr.read() == b"line 1 is not an entry: Expected `object`, got `array`\n"


def test_push_without_labels_is_refused(server: LogAggregator) -> None:
    assert "--label job=example" in client(server, "push", text="a\n", status=1)


def test_reader_that_has_enough_is_no_error(server: LogAggregator) -> None:
    command = f"'{PROGRAM}' query '{{job=\"paged\"}}' --limit 0 --batch 10 -o raw | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env={**os.environ, "LOKI_ADDR": server.url},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("line 099\n", "")


def test_tail_prints_lines_as_they_arrive_and_ends_with_ctrl_c(server: LogAggregator, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with out.open("wb") as file:
        process = subprocess.Popen(
            [PROGRAM, "tail", '{job="tailed"}', "-o", "raw", "--addr", server.url], stdout=file, stderr=file
        )
    try:
        wait_for(out, "connected to")
        push(server, "tailed", [(time.time_ns(), "here it is")])
        wait_for(out, "here it is\n")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_SECONDS) == 130


def test_tail_ends_when_its_reader_has_enough(server: LogAggregator) -> None:
    command = f"'{PROGRAM}' tail '{{job=\"piped\"}}' -o raw | head -1"
    environment = {**os.environ, "LOKI_ADDR": server.url}
    process = subprocess.Popen(
        ["bash", "-c", command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + DEADLINE_SECONDS
    while process.poll() is None:
        assert time.monotonic() < deadline
        push(server, "piped", [(time.time_ns(), "one of many")])
        time.sleep(POLL_SECONDS)
    assert process.communicate() == ("one of many\n", f"connected to {server.url}\n")


def wait_for(out: Path, text: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while text not in out.read_text():
        assert time.monotonic() < deadline, out.read_text()
        time.sleep(POLL_SECONDS)


def test_tail_of_a_wrong_query_ends(server: LogAggregator) -> None:
    assert client(server, "tail", "{", status=1).startswith("the server answered 400: parse error")


# Without a server


def local(*arguments: str, status: int = 0) -> str:
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_config_check_tells_what_a_server_would_use(tmp_path: Path) -> None:
    file = tmp_path / "loki.yml"
    file.write_text("ingester: {lifecycler: {ring: {}}, max_chunk_age: 1h}\nmemberlist: {join_members: [a]}\n")
    told = local("config", "check", str(file))
    assert "note: keys without an effect here: ingester.lifecycler, memberlist" in told
    assert told.endswith("the configuration is valid\n")
    assert "there are notes" in local("config", "check", str(file), "--strict", status=1)
    assert "max_chunk_age: 1h0m0s" in local("config", "check", str(file), "--print")


def test_config_check_refuses_what_a_server_would_refuse(tmp_path: Path) -> None:
    file = tmp_path / "loki.yml"
    file.write_text("ingester: {max_chunk_ages: 1h}\n")
    assert "did you mean ingester.max_chunk_age?" in local("config", "check", str(file), status=1)
    file.write_text("runtime_config: {file: /nowhere.yml}\n")
    assert "/nowhere.yml: cannot be read" in local("config", "check", str(file), status=1)


def test_config_check_notes_unknown_limits_of_tenants_if_not_strict(tmp_path: Path) -> None:
    file, runtime = tmp_path / "loki.yml", tmp_path / "runtime.yml"
    file.write_text(f"runtime_config: {{file: {runtime}}}\n")
    runtime.write_text("overrides: {a: {max_lines: 1}}\n")
    note = f"{runtime}:1:17: unknown key limits_config.max_lines; did you mean limits_config.max_line_size?\n"
    assert local("config", "check", str(file), status=1) == note
    lenient = (str(file), "--", "-config.strict=false")
    assert f"note: {note}" in local("config", "check", *lenient)
    assert "there are notes" in local("config", "check", "--strict", *lenient, status=1)


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"
    script.write_text(local("completion", "bash"))

    def completed(*words: str) -> set[str]:
        line = " ".join(f"'{word}'" for word in words)
        command = f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _log_aggregator; "
        done = subprocess.run(["bash", "-c", command + 'echo "${COMPREPLY[@]}"'], capture_output=True, text=True)
        assert done.stderr == ""
        return set(done.stdout.split())

    assert completed("log-aggregator", "l") == {"labels"}
    assert completed("log-aggregator", "se") == {"serve", "series"}
    assert completed("log-aggregator", "query", "--o") == {"--org-id", "--output"}
    assert completed("log-aggregator", "config", "ch") == {"check"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_with_every_command(shell: str) -> None:
    script = local("completion", shell)
    assert all(name in script for name in ("query", "tail", "push", "org-id"))
