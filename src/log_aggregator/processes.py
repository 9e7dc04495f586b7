"""Processes and what they share with the machine: parents, cores, ports."""

import ctypes
import gc
import math
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Final

from log_aggregator.errors import ErrorCode, LogAggregatorError

_PR_SET_PDEATHSIG: Final = 1
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2
_OBJECTS_PER_COLLECTION: Final = 10_000
_POLARS_ALLOCATOR: Final = "_RJEM_MALLOC_CONF"
_POLARS_KEEPS: Final = "dirty_decay_ms:2000,oversize_threshold:0,narenas:{cores}"
# From here on, freed memory is kept for what comes next, which may take a hundred megabytes.
_PLENTY_BYTES: Final = 4 << 30
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_CPU_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
_MEMORY_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class CannotListen(LogAggregatorError):
    code: ClassVar[ErrorCode] = ErrorCode.UNAVAILABLE


def die_with_parent(parent: int, ending: signal.Signals) -> None:
    """Asks the kernel for a signal when the parent dies; called in the child. Only Linux can do this."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(ending), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before the kernel was asked


def usable_cores() -> int:
    """Those that this process may run on, or fewer where a container's quota says so."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        quota, period = _CPU_QUOTA.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))


def usable_memory_bytes() -> int:
    """What this machine has, or less where the limit of a container or of the process itself (RLIMIT_RSS) says so."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [_memory_limit(path) for path in _MEMORY_LIMITS]
    own, _ = resource.getrlimit(resource.RLIMIT_RSS)
    if own != resource.RLIM_INFINITY:
        limits.append(own)
    return min(physical, *(limit for limit in limits if limit is not None), physical)


def open_all_files_allowed() -> None:
    """Raises the number of files and connections to the hard limit, as programs in Go do: the soft one, often 1024, is
    for programs that wait with select().
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS says that there is none, and refuses it
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def keep_freed_columns() -> None:
    """Makes Polars keep freed memory for two seconds, where there is plenty. Call it before Polars is imported.

    By itself it gives memory back so soon that pushes and flushes that follow on each other spend a tenth of their time
    on getting it again: large columns (8 MB) at once, whatever the decay. And what one thread has freed serves only
    those that share its arena, of which there would be four a core. What the environment says already stays.
    """
    if usable_memory_bytes() >= _PLENTY_BYTES:
        os.environ.setdefault(_POLARS_ALLOCATOR, _POLARS_KEEPS.format(cores=usable_cores()))


def return_freed_memory() -> None:
    """Makes glibc give back what is freed, large pieces at once.

    By default it keeps up to 64 MB in each of its arenas once such pieces have been freed, for the next ones, so that
    the peaks of different loads add up; and it makes an arena for each of some threads. What is smaller, as most bodies
    of pushes are, is kept for the next: the system takes longer to find new pages than a push takes to fill them.
    Other C libraries are left as they are.
    """
    mallopt = getattr(_libc, "mallopt", None)
    if mallopt is not None:
        large_bytes = 4 << 20 if usable_memory_bytes() >= _PLENTY_BYTES else 1 << 20
        mallopt(_M_MMAP_THRESHOLD, large_bytes)
        mallopt(_M_TRIM_THRESHOLD, 2 * large_bytes)
        mallopt(_M_ARENA_MAX, _ARENAS)


@contextmanager
def without_collections() -> Iterator[None]:
    """For slow imports: what they make stays, and to look through it time and again takes a tenth of a start.

    Later collections leave alone what exists at the end.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def pass_over_present_objects() -> None:
    """Makes the garbage collector leave alone what exists now (modules, classes, settings), and come less often.

    To look through all of it takes 100 ms, for which the event loop would stand still every few dozen queries. To come
    after every 700 objects takes half the time of a query with 100,000 samples, none of which is garbage.
    """
    gc.freeze()  # the thousand objects among them that are garbage, too
    gc.set_threshold(_OBJECTS_PER_COLLECTION)


def _memory_limit(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or "max"
        return None


def listen(address: str, port: int, count: int) -> list[socket.socket]:
    """Sockets that share the port: the kernel spreads connections over them. Raises CannotListen."""
    try:
        # Without the option to share the port, this notices another program on it.
        first = _listening(address, port, share=False)
        if count == 1:
            return [first]
        port = first.getsockname()[1]
        first.close()
        return [_listening(address, port, share=True) for _ in range(count)]
    except OSError as error:
        # create_server says the address again in its message.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CannotListen(f"cannot listen on {address or '*'}:{port}: {reason}") from error


def _listening(address: str, port: int, *, share: bool) -> socket.socket:
    if address:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.create_server((address, port), family=family, backlog=socket.SOMAXCONN, reuse_port=share)
    if socket.has_dualstack_ipv6():
        return socket.create_server(
            ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=socket.SOMAXCONN, reuse_port=share
        )
    return socket.create_server(("", port), backlog=socket.SOMAXCONN, reuse_port=share)
