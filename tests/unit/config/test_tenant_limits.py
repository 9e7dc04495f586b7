"""Limits of single tenants, changed while the server runs."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from clocks import SteppedClock
from log_aggregator.config.errors import ConfigError
from log_aggregator.config.runtime import TenantLimits
from log_aggregator.config.sections import RuntimeSettings
from log_aggregator.model.limits import Limits

DEFAULTS = Limits(max_line_size=100, retention_period=5)


def limits_of(
    file: Path | str,
    clock: SteppedClock | None = None,
    registry: CollectorRegistry | None = None,
    *,
    strict: bool = True,
) -> TenantLimits:
    settings = RuntimeSettings(file=str(file))
    return TenantLimits(DEFAULTS, settings, clock or SteppedClock(), registry or CollectorRegistry(), strict=strict)


async def test_override_changes_only_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "runtime.yml"
    file.write_text("overrides:\n  a: {ingestion_rate_mb: 10, max_line_size: 1KB}\n  b:\n")
    limits = limits_of(file)
    assert (limits("a").ingestion_rate_mb, limits("a").max_line_size, limits("a").retention_period) == (10, 1024, 5)
    assert limits("b") == DEFAULTS
    assert limits("other") == DEFAULTS


async def test_later_file_wins_key_by_key(tmp_path: Path) -> None:
    first, second = tmp_path / "1.yml", tmp_path / "2.yml"
    first.write_text("overrides: {a: {max_line_size: 1, max_query_series: 1}}")
    second.write_text("overrides: {a: {max_line_size: 2}}")
    limits = limits_of(f"{first},{second}")
    assert (limits("a").max_line_size, limits("a").max_query_series) == (2, 1)


async def test_change_is_taken_up_after_a_period(tmp_path: Path) -> None:
    file, clock = tmp_path / "runtime.yml", SteppedClock()
    file.write_text("overrides: {a: {max_line_size: 1}}")
    registry = CollectorRegistry()
    limits = limits_of(file, clock, registry)

    async def next_read() -> tuple[int, float | None]:
        await clock.pass_period()
        return limits("a").max_line_size, registry.get_sample_value("loki_runtime_config_last_reload_successful")

    running = asyncio.create_task(limits.run())
    file.write_text("overrides: {a: {max_line_size: 2}}")
    assert await next_read() == (2, 1)
    file.write_text("overrides: {a: {max_line_size: [}}")
    assert await next_read() == (2, 0)
    file.unlink()
    assert await next_read() == (2, 0)
    file.write_text("overrides: {a: {max_line_size: 3}}")
    assert await next_read() == (3, 1)
    running.cancel()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("override: {}", "1:1: unknown key; overrides is what can be set here"),
        (
            "override: {}\noverrides: {a: {max_lines: 1}}",
            "1:1: unknown key; overrides is what can be set here\n"
            "{file}:2:17: unknown key limits_config.max_lines; did you mean limits_config.max_line_size?",
        ),
        (
            "overrides:\n  a:\n    max_lines: 1",
            "3:5: unknown key limits_config.max_lines; did you mean limits_config.max_line_size?",
        ),
        ("overrides: {a: 1}", "1:13: the limits of a must be a mapping"),
        ("overrides: 1", "1:1: overrides must be a mapping from tenants to limits"),
        (
            "overrides: {a: {max_line_size: x}}",
            "1:32: a.max_line_size: not a size; write bytes or a number with a unit, such as 256KB, 4MB or 1.5GB "
            "(got 'x')",
        ),
        (
            "overrides: {a: {retention_stream: [{selector: '{', period: 24h}]}}",
            "1:47: a.retention_stream[0].selector: parse error at line 1, col 2: syntax error: unexpected $end, "
            "expecting IDENTIFIER or } (got '{')",
        ),
    ],
)
def test_wrong_file_is_refused_at_the_start(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "runtime.yml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        limits_of(file)
    assert str(raised.value) == f"{file}:{message.replace('{file}', str(file))}"


async def test_unknown_key_is_a_warning_if_not_strict(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file, clock = tmp_path / "runtime.yml", SteppedClock()
    file.write_text("override: {}\noverrides:\n  a: {max_line: 1, max_line_size: 2}")
    limits = limits_of(file, clock, strict=False)
    warnings = [
        f"{file}:1:1: unknown key; overrides is what can be set here",
        f"{file}:3:7: unknown key limits_config.max_line; did you mean limits_config.max_line_size?",
    ]
    assert caplog.messages == warnings
    assert limits("a").max_line_size == 2
    running = asyncio.create_task(limits.run())
    await clock.pass_period()
    assert caplog.messages == warnings  # the same ones are not repeated
    file.write_text("overrides: {a: {colour: red, max_line_size: 3}}")
    await clock.pass_period()
    assert caplog.messages == [*warnings, f"{file}:1:17: unknown key limits_config.colour"]
    assert limits("a").max_line_size == 3
    running.cancel()


def test_wrong_value_is_refused_though_not_strict(tmp_path: Path) -> None:
    file = tmp_path / "runtime.yml"
    file.write_text("overrides: {a: {max_line: 1, max_line_size: x}}")
    with pytest.raises(ConfigError, match=r"a\.max_line_size: not a size"):
        limits_of(file, strict=False)


def test_missing_file_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        limits_of(tmp_path / "none.yml")
