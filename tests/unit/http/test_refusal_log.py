"""Log lines about refused pushes: enough to find the reason, too few to fill a disk."""

import logging

import pytest

from log_aggregator.clock import SystemClock
from log_aggregator.http.refusal_log import RefusalLog


class SetClock(SystemClock):
    seconds = 100.0

    def monotonic_seconds(self) -> float:
        return self.seconds


def test_one_line_a_second_counts_those_left_out(caplog: pytest.LogCaptureFixture) -> None:
    clock = SetClock()
    refusals = RefusalLog(clock)
    for step_seconds in (0.0, 0.5, 0.4, 0.1, 1.0, 0.9):
        clock.seconds += step_seconds
        refusals.refused("loki_api_v1_push", "a", 400, f"at {clock.seconds:.1f}")
    shown = [(vars(record)["error"], vars(record)["left_out"]) for record in caplog.records]
    assert shown == [("at 100.0", 0), ("at 101.0", 2), ("at 102.0", 0)]


def test_line_names_route_tenant_status_and_reason(caplog: pytest.LogCaptureFixture) -> None:
    RefusalLog(SetClock()).refused("loki_api_v1_push", "a", 429, "x" * 10_000)
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.WARNING, "a push was refused")
    named = {name: vars(record)[name] for name in ("route", "org_id", "status", "error")}
    assert named == {"route": "loki_api_v1_push", "org_id": "a", "status": 429, "error": "x" * 500}
