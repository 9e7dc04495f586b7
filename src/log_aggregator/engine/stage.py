"""What every stage of a pipeline is compiled into."""

from collections.abc import Callable

from log_aggregator.engine.entry_labels import EntryLabels

Process = Callable[[str, EntryLabels], str | None]
"""The line as the stage leaves it, None where the entry is filtered out; the labels are changed in place."""
