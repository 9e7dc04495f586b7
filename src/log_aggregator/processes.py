"""Child processes that cannot outlive their parent."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(parent: int, ending: signal.Signals) -> None:
    """Asks the kernel for a signal when the parent dies; called in the child. Only Linux can do this."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(ending), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before the kernel was asked
