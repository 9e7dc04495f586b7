"""Several replicas on one machine: worker processes that are started again when they die.

Each worker has a listening socket of its own on the shared port. The supervisor holds the sockets, so that what is
connecting to a worker that was killed waits for the next one.
"""

import asyncio
import logging
import os
import pickle
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from log_aggregator.clock import Clock, timeout
from log_aggregator.config.files import Configuration
from log_aggregator.errors import LogAggregatorError
from log_aggregator.storage.filesystem import FilesystemSettings
from log_aggregator.storage.s3_settings import S3Settings
from log_aggregator.worker_metrics import DIRECTORY_VARIABLE, forget_worker

logger = logging.getLogger(__name__)

_SECOND_NS: Final = 1_000_000_000
REFUSED_STATUS: Final = 3
"""With which a worker ends that cannot work with its configuration: nor could the next one."""
# A worker that lived this long may be started again at once.
_STABLE_SECONDS: Final = 10.0
_MAX_PAUSE_SECONDS: Final = 30.0
# Beyond the worker's own deadline for its shutdown.
_KILL_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is told, by a pipe: there may be secrets in it."""

    configuration: Configuration
    store: S3Settings | FilesystemSettings
    listening_fd: int
    parent_pid: int


class WorkerRefused(LogAggregatorError):
    """A worker has ended with REFUSED_STATUS."""


class Supervisor:
    """One worker for each listening socket."""

    def __init__(
        self,
        configuration: Configuration,
        store: S3Settings | FilesystemSettings,
        listening: Sequence[socket.socket],
        clock: Clock,
    ) -> None:
        self._configuration = configuration
        self._store = store
        self._listening = listening
        self._clock = clock
        self._deadline_seconds = configuration.config.server.graceful_shutdown_timeout / _SECOND_NS + _KILL_SECONDS

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then ends all workers, and waits for them. Raises groups of WorkerRefused."""
        with tempfile.TemporaryDirectory(prefix="log-aggregator-metrics-") as metrics:
            async with asyncio.TaskGroup() as group:
                for listening in self._listening:
                    group.create_task(self._keep(listening, Path(metrics), stop))

    async def _keep(self, listening: socket.socket, metrics: Path, stop: asyncio.Event) -> None:
        pause_seconds = 0.0
        while not stop.is_set():
            begun = self._clock.monotonic_seconds()
            worker = await self._start(listening, metrics)
            try:
                await _first(worker.wait(), stop.wait())
            finally:
                if stop.is_set():
                    listening.close()
                await self._end(worker)
                forget_worker(metrics, worker.pid)
            if stop.is_set():
                return
            if worker.returncode == REFUSED_STATUS:
                raise WorkerRefused("a worker cannot work with this configuration: its last message says why")
            lived = self._clock.monotonic_seconds() - begun
            pause_seconds = 0.0 if lived > _STABLE_SECONDS else min(max(1.0, 2 * pause_seconds), _MAX_PAUSE_SECONDS)
            logger.error(
                "a worker ended, starting another",
                extra={"pid": worker.pid, "status": worker.returncode, "pause_seconds": pause_seconds},
            )
            await _first(self._clock.sleep(pause_seconds), stop.wait())

    async def _start(self, listening: socket.socket, metrics: Path) -> Process:
        worker = await asyncio.create_subprocess_exec(
            # -P keeps the modules of the current directory out.
            *(sys.executable, "-P", "-m", "log_aggregator", "worker"),
            stdin=PIPE,
            pass_fds=[listening.fileno()],
            env={**os.environ, DIRECTORY_VARIABLE: str(metrics)},
        )
        assert worker.stdin is not None
        assignment = Assignment(self._configuration, self._store, listening.fileno(), os.getpid())
        worker.stdin.write(pickle.dumps(assignment))
        worker.stdin.close()
        logger.info("started a worker", extra={"pid": worker.pid})
        return worker

    async def _end(self, worker: Process) -> None:
        if worker.returncode is not None:
            return
        worker.terminate()
        try:
            async with timeout(self._deadline_seconds):
                await worker.wait()
        except TimeoutError:
            logger.error("a worker does not end, killing it", extra={"pid": worker.pid})
            worker.kill()
            await worker.wait()


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Returns when one of them is done; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
