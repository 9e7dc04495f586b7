"""Metrics of all workers of this machine as one: prometheus_client's files of each process, added up."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

DIRECTORY_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Must be set before prometheus_client is imported for a process to keep its metrics in files."""


class _Summed(Collector):
    """Counters of workers that have died still count; their gauges do not (`forget_worker`)."""

    def __init__(self, directory: str) -> None:
        self._files = MultiProcessCollector(None, directory)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        return [_without_pid(metric) for metric in self._files.collect()]  # type: ignore[no-untyped-call]


def summed_registry() -> CollectorRegistry:
    """For a worker to show. The workers' own registries must not be shown beside it."""
    registry = CollectorRegistry()
    registry.register(_Summed(os.environ[DIRECTORY_VARIABLE]))
    return registry


def forget_worker(directory: Path, pid: int) -> None:
    """Its gauges told of a state that is gone."""
    for file in _gauges(directory, pid):
        file.unlink(missing_ok=True)


def _gauges(directory: Path, pid: int) -> Iterator[Path]:
    return directory.glob(f"gauge_*_{pid}.db")


def _without_pid(metric: Metric) -> Metric:
    """Gauges come one by process."""
    if not any("pid" in sample.labels for sample in metric.samples):
        return metric
    values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for sample in metric.samples:
        key = sample.name, tuple((name, value) for name, value in sample.labels.items() if name != "pid")
        values[key] = values.get(key, 0.0) + sample.value
    summed = Metric(metric.name, metric.documentation, metric.type)
    for (name, labels), value in values.items():
        summed.add_sample(name, dict(labels), value)
    return summed
