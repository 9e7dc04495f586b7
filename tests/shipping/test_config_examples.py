"""The examples in config/ are what the program accepts, without a warning of unknown keys."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from log_aggregator.clock import SystemClock
from log_aggregator.config.runtime import TenantLimits
from log_aggregator.config.sections import RuntimeSettings
from log_aggregator.model.limits import Limits

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).parent / "log-aggregator"
EXAMPLES = sorted(path for path in (ROOT / "config").glob("*.yml") if path.name != "overrides.yml")


def verify(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LOKI_", "REDIS_", "S3_"))}
    return subprocess.run(
        [PROGRAM, *arguments], cwd=ROOT, env={**inherited, **environment}, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_valid(path: Path) -> None:
    done = verify(f"-config.file={path.relative_to(ROOT)}", "-verify-config")
    assert done.returncode == 0, done.stderr
    assert "unknown" not in done.stdout + done.stderr


def test_every_example_of_the_readme_exists() -> None:
    named = set(re.findall(r"config/[\w-]+\.ya?ml", (ROOT / "README.md").read_text()))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_variables_replace_the_defaults_in_an_example() -> None:
    done = verify("-config.file=config/minio.yml", "-verify-config", "-print-config-stderr", S3_BUCKET="elsewhere")
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load(done.stderr)
    assert config["common"]["storage"]["s3"]["bucketnames"] == "elsewhere"
    assert config["common"]["storage"]["s3"]["endpoint"] == "minio:9000"


def test_overrides_are_limits_of_tenants() -> None:
    settings = RuntimeSettings(file=str(ROOT / "config" / "overrides.yml"))
    limits_of = TenantLimits(Limits(), settings, SystemClock(), CollectorRegistry())
    assert limits_of("robots").ingestion_rate_mb == 20
    assert limits_of("audit").deletion_mode == "disabled"
    assert limits_of("experiments").retention_stream[0].selector == '{level="debug"}'
    assert limits_of("somebody else") == Limits()
