"""The entry point. Light to import: a signal must find its handler before the slow imports begin."""

import sys

from log_aggregator.stopping import StopSignal


def main() -> None:
    stop = StopSignal()
    from log_aggregator.processes import keep_freed_columns, without_collections

    keep_freed_columns()
    with without_collections():
        from log_aggregator.commands import run

    sys.exit(run(sys.argv[1:], stop))
