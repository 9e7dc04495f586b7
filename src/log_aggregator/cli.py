"""The entry point. Light to import: a signal must find its handler before the slow imports begin."""

import os
import sys
from typing import Final

from log_aggregator.stopping import StopSignal

_ALLOCATOR_VARIABLE: Final = "_RJEM_MALLOC_CONF"
_DECAY: Final = "dirty_decay_ms:2000"


def main() -> None:
    stop = StopSignal()
    # Polars gives freed memory back so soon that pushes and flushes that follow on each other spend a tenth of their
    # time on getting it again. Its allocator reads this as it is loaded.
    os.environ.setdefault(_ALLOCATOR_VARIABLE, _DECAY)
    from log_aggregator.commands import run

    sys.exit(run(sys.argv[1:], stop))
