"""The program as processes: how it starts, is stopped, is killed, and starts again."""

import asyncio
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import yaml

from buckets import ensure_bucket
from log_aggregator.embedded import program_path, socket_path
from log_aggregator.formats.index_period import encode_index_period
from log_aggregator.formats.keys import INDEX_PERIOD_KEY
from log_aggregator.storage.s3 import open_s3_store
from log_aggregator.storage.s3_settings import S3Settings
from servers import MotoServer, RedisServer, free_port

PROGRAM = Path(sys.executable).parent / "log-aggregator"
SEED = Path(__file__).parent.parent / "unit" / "config" / "seed.yml"
DEADLINE_SECONDS = 60.0
POLL_SECONDS = 0.01


class Program:
    """`log-aggregator` run in a directory of its own, on a free port, killed at the end."""

    def __init__(self, directory: Path, *flags: str, port: int | None = None, **environment: str) -> None:
        self.directory = directory
        self.port = port or free_port()
        self._log = directory / f"log-{self.port}.txt"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("LOKI_")}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, *flags],
                cwd=directory,
                env={**inherited, "LOKI_SERVER_HTTP_LISTEN_PORT": str(self.port), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self._log.read_text()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"waited too long:\n{self.log}"
            time.sleep(POLL_SECONDS)

    def until_logged(self, text: str, times: int = 1) -> None:
        self.until(lambda: self.log.count(text) >= times or self.process.poll() is not None)
        assert self.log.count(text) >= times, self.log

    def until_ready(self) -> None:
        self.until(lambda: self.answers("/ready") == 200)

    def answers(self, path: str) -> int:
        try:
            return httpx.get(self.url + path).status_code
        except httpx.TransportError:
            return 0

    def push(self, line: str = "hello") -> int:
        """On a connection of its own, so that any worker may get it."""
        streams = [{"stream": {"app": "test"}, "values": [[str(time.time_ns()), line]]}]
        return httpx.post(f"{self.url}/loki/api/v1/push", json={"streams": streams}).status_code

    def lines(self) -> list[str]:
        answer = httpx.get(f"{self.url}/loki/api/v1/query_range", params={"query": '{app="test"}'})
        answer.raise_for_status()
        return [line for stream in answer.json()["data"]["result"] for _, line in stream["values"]]

    def metric(self, name: str) -> float:
        text = httpx.get(f"{self.url}/metrics").text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(rf"{name}[{{ ]", line))

    def workers(self) -> list[int]:
        """Those that were started, the ended ones too."""
        return [int(pid) for pid in re.findall(r'msg="started a worker" pid=(\d+)', self.log)]

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(DEADLINE_SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


Run = Callable[..., Program]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with ExitStack() as stack:

        def start(*flags: str, port: int | None = None, **environment: str) -> Program:
            program = Program(tmp_path, *flags, port=port, **environment)
            stack.callback(program.kill)
            return program

        yield start


def redis_socket(directory: Path) -> Path:
    return socket_path((directory / "data" / "redis").absolute())


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def lives(pid: int) -> bool:
    """Zombies do not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_bare_program_serves_from_one_directory(run: Run, tmp_path: Path) -> None:
    program = run()
    program.until_ready()
    assert program.push() == 204
    assert program.lines() == ["hello"]
    assert f"config=defaults data={tmp_path / 'data'}" in program.log
    assert program.stop() == 0, program.log
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"lock", "redis", "chunks"}
    assert not listens(redis_socket(tmp_path))


def test_what_was_pushed_is_there_after_a_stop_and_after_a_kill(run: Run) -> None:
    program = run()
    program.until_ready()
    assert program.push("first") == 204
    assert program.stop() == 0, program.log
    program = run()
    program.until_ready()
    assert program.push("second") == 204
    program.kill()
    program = run()
    program.until_ready()
    assert sorted(program.lines()) == ["first", "second"]


def catches_signals(program: Program) -> bool:
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    caught = int(re.search(r"SigCgt:\s*([0-9a-f]+)", status)[1], 16)  # type: ignore[index]
    return bool(caught >> (signal.SIGTERM - 1) & 1)


MOMENTS: dict[str, Callable[[Program], None]] = {
    "imports": lambda program: program.until(lambda: catches_signals(program)),
    "configured": lambda program: program.until_logged("msg=starting"),
    "redis starts": lambda program: program.until(redis_socket(program.directory).exists),
    "listening": lambda program: program.until_logged("msg=listening"),
    "ready": lambda program: program.until_ready(),
}
MOMENTS_OF_WORKERS = {
    "one started": lambda program: program.until_logged("started a worker"),
    "all started": lambda program: program.until_logged("started a worker", 2),
    "one listens": lambda program: program.until_logged("msg=listening"),
    "ready": lambda program: program.until_ready(),
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", MOMENTS)
def test_stop_is_clean_at_any_moment(run: Run, tmp_path: Path, moment: str, number: signal.Signals) -> None:
    program = run()
    MOMENTS[moment](program)
    program.process.send_signal(number)
    assert program.process.wait(DEADLINE_SECONDS) == 0, program.log
    assert "Traceback" not in program.log
    assert not listens(redis_socket(tmp_path))


@pytest.mark.parametrize("moment", MOMENTS_OF_WORKERS)
def test_stop_of_several_workers_is_clean_at_any_moment(run: Run, tmp_path: Path, moment: str) -> None:
    program = run("-workers=2")
    MOMENTS_OF_WORKERS[moment](program)
    assert program.stop() == 0, program.log
    assert "Traceback" not in program.log
    assert not listens(redis_socket(tmp_path))
    assert not any(lives(pid) for pid in program.workers())


def test_killed_parent_takes_everything_along(run: Run, tmp_path: Path) -> None:
    program = run("-workers=2")
    program.until_logged("msg=listening", 2)
    workers = program.workers()
    program.kill()
    program.until(lambda: not any(map(lives, workers)) and not listens(redis_socket(tmp_path)))
    again = run(port=program.port)
    again.until_ready()
    assert again.push() == 204


def test_killed_worker_is_replaced_and_its_counts_stay(run: Run) -> None:
    program = run("-workers=2")
    program.until_logged("msg=listening", 2)
    program.until_ready()
    assert [program.push() for _ in range(10)] == [204] * 10
    os.kill(program.workers()[0], signal.SIGKILL)
    program.until_logged("msg=listening", 3)
    assert [program.push() for _ in range(10)] == [204] * 10
    assert program.metric("loki_distributor_received_lines_total") == 20
    assert len(program.lines()) == 20


def test_gauges_of_workers_are_added_up(run: Run) -> None:
    program = run("-workers=2")
    program.until_logged("msg=listening", 2)
    program.until_ready()
    assert [program.push() for _ in range(10)] == [204] * 10
    assert program.metric("loki_ingester_memory_chunks") == 10
    program.until(lambda: program.metric("loki_ingester_memory_streams") >= 1)
    httpx.post(f"{program.url}/flush", timeout=DEADLINE_SECONDS).raise_for_status()
    assert program.metric("loki_ingester_wal_truncate_duration_seconds_count") >= 1
    program.until(lambda: program.metric("loki_ingester_memory_streams") == 0)
    assert "pid=" not in httpx.get(f"{program.url}/metrics").text


def test_killed_redis_is_started_again(run: Run, tmp_path: Path) -> None:
    program = run()
    program.until_ready()
    assert program.push("before") == 204
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(redis_socket(tmp_path)))
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    os.kill(int.from_bytes(credentials[:4], sys.byteorder), signal.SIGKILL)
    program.until_logged("the embedded redis ended, starting it again")
    program.until(lambda: listens(redis_socket(tmp_path)))
    program.until(lambda: program.push("after") == 204)
    assert set(program.lines()) == {"before", "after"}


def test_orphan_of_an_earlier_run_is_ended(run: Run, tmp_path: Path) -> None:
    path = redis_socket(tmp_path)
    path.parent.mkdir(parents=True)
    command = [str(program_path()), "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(path.parent)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as orphan:
        program = run()
        program.until_ready()
        assert program.push() == 204
        assert orphan.wait(DEADLINE_SECONDS) == 0


def test_second_server_on_a_data_directory_is_refused(run: Run, tmp_path: Path) -> None:
    first = run()
    first.until_ready()
    second = run()
    assert second.process.wait(DEADLINE_SECONDS) == 1
    assert (
        f"the data directory {tmp_path / 'data'} is in use by another log-aggregator; end that one, or give this one a "
        "directory of its own with common.path_prefix or LOG_AGGREGATOR_DATA"
    ) in second.log
    assert first.push() == 204


def test_port_in_use_is_refused(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        program = run("-server.http-listen-address=127.0.0.1", port=port)
        assert program.process.wait(DEADLINE_SECONDS) == 1
        assert f'"cannot listen on 127.0.0.1:{port}: Address already in use"' in program.log


def test_as_many_connections_may_be_open_as_the_system_allows(run: Run) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        program = run()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    program.until_ready()
    assert resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)


def test_connections_beyond_that_wait_without_a_storm_of_messages(run: Run) -> None:
    program = run()
    program.until_ready()
    process = program.process.pid
    open_files = len(list(Path(f"/proc/{process}/fd").iterdir()))
    resource.prlimit(process, resource.RLIMIT_NOFILE, (open_files + 4, open_files + 4))
    failure = "socket.accept() out of system resource"
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(("127.0.0.1", program.port)))
        program.until_logged(failure, times=2)
    program.until_ready()
    assert program.log.count(failure) < 20


def test_data_directory_with_a_long_path_works(run: Run, tmp_path: Path) -> None:
    directory = tmp_path / ("long" * 25)
    program = run(LOG_AGGREGATOR_DATA=str(directory))
    program.until_ready()
    assert program.push() == 204
    assert program.stop() == 0, program.log


def test_server_waits_for_a_redis_that_is_away(run: Run, tmp_path: Path) -> None:
    port = free_port()
    program = run("-workers=1", REDIS_URL=f"redis://127.0.0.1:{port}")
    program.until_logged("cannot open a write-ahead log, will try again")
    assert program.answers("/loki/api/v1/status/buildinfo") == 200
    assert program.answers("/ready") == 503
    assert program.push() == 503
    directory = tmp_path / "redis"
    directory.mkdir()
    with RedisServer(port=port, directory=directory):
        program.until_ready()
        assert program.push() == 204
        assert program.stop() == 0, program.log


def test_redis_that_may_evict_logs_is_warned_of(run: Run) -> None:
    with RedisServer(maxmemory_policy="allkeys-lru") as redis:
        program = run("-workers=1", REDIS_URL=redis.url)
        program.until_logged("Redis may evict logs, and entries with them: set its maxmemory-policy to noeviction")


def test_stop_is_clean_while_redis_is_away(run: Run) -> None:
    program = run("-workers=1", REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    program.until_logged("cannot open a write-ahead log, will try again")
    assert program.stop() == 0, program.log
    assert "Traceback" not in program.log


def test_file_of_the_seed_starts_the_server(run: Run, tmp_path: Path) -> None:
    program = run(f"-config.file={SEED}", LOKI_STORAGE_CONFIG_FILESYSTEM_DIRECTORY=str(tmp_path / "loki" / "chunks"))
    program.until_ready()
    assert f"config={SEED} data={tmp_path / 'loki'}" in program.log
    assert "keys without an effect here: index_cache_validity, " in program.log
    assert program.push() == 204


def test_shown_configuration_may_be_the_differences(run: Run) -> None:
    program = run("-querier.max-concurrent=7")
    program.until_ready()
    shown = httpx.get(f"{program.url}/config", params={"mode": "diffs"}).text
    assert yaml.safe_load(shown) == {
        "server": {"http_listen_port": program.port},
        "redis": {"url": "**********"},
        "querier": {"max_concurrent": 7},
    }
    assert "max_concurrent: 4" in httpx.get(f"{program.url}/config", params={"mode": "defaults"}).text


def test_target_selects_routes(run: Run) -> None:
    program = run("-target=read")
    program.until_ready()
    assert program.answers("/loki/api/v1/labels") == 200
    assert program.push() == 404


def called(*arguments: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_health_is_the_exit_status(run: Run) -> None:
    program = run()
    program.until_ready()
    assert called("health", LOKI_SERVER_HTTP_LISTEN_PORT=str(program.port)) == (0, "ready\n", "")
    assert called("health", "-url", f"{program.url}/ready") == (0, "ready\n", "")
    assert called("health", f"-url={program.url}/none")[0] == 1
    assert called("health", f"-server.http-listen-port={free_port()}")[0] == 1
    assert called("health", "-url", "http://127.0.0.1:port/")[0] == 1


@pytest.mark.parametrize("switch", ["-health", "--health"])
def test_health_is_asked_as_loki_is(run: Run, switch: str) -> None:
    program = run()
    program.until_ready()
    assert called(switch, LOKI_SERVER_HTTP_LISTEN_PORT=str(program.port)) == (0, "ready\n", "")
    assert called(switch, f"-server.http-listen-port={program.port}") == (0, "ready\n", "")
    assert called(switch, "-health.url", f"{program.url}/ready") == (0, "ready\n", "")
    assert called(f"-health.url={program.url}/ready", switch) == (0, "ready\n", "")
    assert called(switch, f"-health.url={program.url}/none")[0] == 1


def test_health_is_asked_where_the_server_listens_and_through_no_proxy(run: Run) -> None:
    program = run(LOKI_SERVER_HTTP_LISTEN_ADDRESS="127.0.0.2", LOKI_SERVER_HTTP_PATH_PREFIX="/logs/")
    where = {
        "LOKI_SERVER_HTTP_LISTEN_PORT": str(program.port),
        "LOKI_SERVER_HTTP_LISTEN_ADDRESS": "127.0.0.2",
        "LOKI_SERVER_HTTP_PATH_PREFIX": "/logs/",
    }
    program.until(lambda: called("health", **where)[0] == 0)
    assert called("health", http_proxy=f"http://127.0.0.1:{free_port()}", **where) == (0, "ready\n", "")


def test_configuration_is_checked_without_a_start(tmp_path: Path) -> None:
    file = tmp_path / "loki.yml"
    file.write_text("auth_enabled: true")
    assert called("-verify-config", f"-config.file={file}") == (0, "the configuration is valid\n", "")
    file.write_text("server:\n  colour: red")
    assert called("-verify-config", f"-config.file={file}") == (1, "", f"{file}:2:3: unknown key server.colour\n")


def test_limits_of_tenants_are_checked_without_a_start(tmp_path: Path) -> None:
    file, valid = tmp_path / "runtime.yml", (0, "the configuration is valid\n", "")
    flags = ("-verify-config", f"-runtime-config.file={file}")
    status, _, error = called(*flags)
    assert (status, error.startswith(f"{file}: cannot be read: ")) == (1, True)
    file.write_text("overrides: {a: {colour: red}}")
    assert called(*flags) == (1, "", f"{file}:1:17: unknown key limits_config.colour\n")
    assert called(*flags, "-config.strict=false") == valid
    file.write_text("overrides: {a: {max_line_size: 1KB}}")
    assert called(*flags) == valid


def test_unknown_limits_of_tenants_are_warned_of_by_each_worker_that_is_not_strict(run: Run, tmp_path: Path) -> None:
    (tmp_path / "runtime.yml").write_text("overrides: {fake: {max_lines: 1, max_line_size: 5}}")
    file = "-runtime-config.file=runtime.yml"
    assert run(file, "-workers=2").process.wait(DEADLINE_SECONDS) == 1
    program = run(file, "-workers=2", "-config.strict=false", "-runtime-config.reload-period=50ms")
    program.until_logged("msg=listening", 2)
    program.until_ready()
    assert program.log.count('msg="runtime.yml:1:20: unknown key limits_config.max_lines;') == 2
    assert program.push("longer than 5") == 400
    (tmp_path / "new.yml").write_text("overrides: {fake: {max_line: 1, max_line_size: 50}}")
    (tmp_path / "new.yml").rename(tmp_path / "runtime.yml")
    program.until_logged('msg="runtime.yml:1:20: unknown key limits_config.max_line;', 2)
    program.until_logged("the limits of tenants have changed", 2)
    assert program.push("longer than 5") == 204


@pytest.mark.parametrize("command", ["verify", "rebuild-index"])
def test_store_that_is_not_there_is_not_found_whole(command: str, tmp_path: Path) -> None:
    message = (
        f"there is no directory {tmp_path}/none/chunks: name the server's configuration with -config.file, or its data "
        "directory with -common.path-prefix\n"
    )
    assert called(command, f"-common.path-prefix={tmp_path}/none") == (1, "", message)
    assert not list(tmp_path.iterdir())


def test_version_and_usage() -> None:
    assert called("version") == called("-version")
    assert called("version")[1].startswith("log-aggregator ")
    assert called("-help")[1].startswith("log-aggregator: ")
    assert called("help") == called("-help")
    assert called("explode")[::2] == (1, "unknown command explode\n\n" + called("-help")[1])


def test_usage_may_be_read_in_part() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as out:
        done = subprocess.run([PROGRAM, "-help"], stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def schema(tmp_path: Path, period: str, **blocks: object) -> Path:
    file = tmp_path / f"{period}.yml"
    others = yaml.safe_dump(blocks) if blocks else ""
    file.write_text(f"schema_config:\n  configs:\n    - index:\n        period: {period}\n{others}")
    return file


def refusal(file: Path) -> str:
    return (
        f"{file}:4:17: schema_config.configs[0].index.period is 12h, but the logs in the store were written with 24h: "
        "set it to 24h, or use another store"
    )


@pytest.mark.parametrize(("target", "workers"), [("all", 1), ("all", 2), ("read", 1)])
def test_another_index_period_than_that_of_the_store_is_refused(
    run: Run, tmp_path: Path, target: str, workers: int
) -> None:
    program = run()
    program.until_ready()
    assert program.push() == 204
    assert program.stop() == 0, program.log
    refused = run(f"-config.file={schema(tmp_path, '12h')}", f"-target={target}", f"-workers={workers}")
    assert refused.process.wait(DEADLINE_SECONDS) == 1
    assert refusal(tmp_path / "12h.yml") in refused.log
    assert "Traceback" not in refused.log
    assert called("verify", f"-common.path-prefix={tmp_path / 'data'}")[0] == 0
    program = run(f"-config.file={schema(tmp_path, '24h')}", f"-target={target}")
    program.until_ready()
    assert program.lines() == ["hello"]


def test_store_that_is_away_at_the_start_is_checked_once_it_is_back(run: Run, tmp_path: Path) -> None:
    moto = MotoServer()
    settings = S3Settings.model_validate(moto.settings("logs"))
    storage = {"aws": moto.settings("logs")}
    program = run(f"-config.file={schema(tmp_path, '12h', storage_config=storage)}")
    program.until_logged("the index period cannot be checked, will try again")
    program.until(lambda: program.push() == 204)
    assert program.answers("/ready") == 503
    with moto:
        asyncio.run(record_a_day(settings))
        assert program.process.wait(DEADLINE_SECONDS) == 1
        assert refusal(tmp_path / "12h.yml") in program.log
        program = run(f"-config.file={schema(tmp_path, '24h', storage_config=storage)}")
        program.until_ready()
        assert program.lines() == ["hello"]
        assert program.stop() == 0, program.log


async def record_a_day(settings: S3Settings) -> None:
    await ensure_bucket(settings)
    store = await open_s3_store(settings)
    await store.put(INDEX_PERIOD_KEY, encode_index_period(24 * 3600 * 10**9))
    await store.close()
