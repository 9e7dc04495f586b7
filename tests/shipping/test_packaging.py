"""Image, compose files, workflows and scripts, as the tools that read them see them."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from log_aggregator import __version__

ROOT = Path(__file__).parents[2]
COMPOSE_FILES = [ROOT / "docker" / "compose.yml", ROOT / "docker" / "compose.single.yml"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def tool(name: str) -> str:
    """Beside the interpreter (uv sync --all-groups) or on PATH."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_schema(schema: str, *files: Path) -> None:
    run(tool("check-jsonschema"), "--builtin-schema", schema, *files)


def test_dockerfile_has_no_finding() -> None:
    run(tool("hadolint"), "docker/Dockerfile")


def test_image_runs_as_a_number_and_checks_its_health() -> None:
    last_stage = (ROOT / "docker" / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert "USER 10001:10001" in last_stage
    assert 'CMD ["log-aggregator", "health"]' in last_stage
    assert "EXPOSE 3100" in last_stage


def test_build_context_has_what_the_package_is_built_from_and_no_more() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert "*" in lines
    assert kept == {"pyproject.toml", "README.md", "LICENSE", "src"}


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_compose_file_is_read_by_compose(path: Path) -> None:
    run(tool("docker-compose"), "-f", path, "config", "-q")
    check_schema("vendor.compose-spec", path)


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_files_that_compose_mounts_exist(path: Path) -> None:
    found = json.loads(run(tool("docker-compose"), "-f", path, "config", "--format", "json"))
    volumes: list[dict[str, Any]] = [
        one for service in found["services"].values() for one in service.get("volumes", [])
    ]
    sources = [Path(volume["source"]) for volume in volumes if volume["type"] == "bind"]
    assert sources
    assert [source for source in sources if not source.exists()] == []


def test_agent_of_the_compose_file_finds_its_host() -> None:
    conf = (ROOT / "docker" / "fluent-bit.conf").read_text()
    host = re.search(r"^\s*Host\s+(\S+)$", conf, re.M)
    compose = yaml.safe_load(COMPOSE_FILES[0].read_text())
    assert host is not None
    assert host[1] in compose["services"]["loki"]["networks"]["logging"]["aliases"]


def test_workflows_are_valid() -> None:
    check_schema("vendor.github-workflows", *WORKFLOWS)
    check_schema("vendor.dependabot", ROOT / ".github" / "dependabot.yml")


def test_workflow_of_tests_runs_what_the_readme_says() -> None:
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]["test"]["steps"]
    assert "./.ci/run" in [step.get("run") for step in steps]
    assert "\n./.ci/run\n" in (ROOT / "README.md").read_text()


def test_scripts_have_no_finding() -> None:
    run(tool("shellcheck"), ".ci/run")


def test_version_is_the_same_everywhere() -> None:
    bump = tomllib.loads((ROOT / ".bumpversion.toml").read_text())["tool"]["bumpversion"]
    assert bump["current_version"] == __version__
    for one in bump["files"]:
        text = (ROOT / one["filename"]).read_text()
        assert one["search"].replace("{current_version}", __version__) in text, one["filename"]
    assert yaml.safe_load((ROOT / "images-manifest.yml").read_text())["version"] == __version__


def test_manifest_names_the_platforms_that_are_published() -> None:
    image = yaml.safe_load((ROOT / "images-manifest.yml").read_text())["images"][0]
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "docker-ci.yml").read_text())["jobs"]
    publish = jobs["publish"]["steps"][-1]["with"]
    assert publish["platforms"].split(",") == image["platforms"].split(", ")
    assert all(f"/{name}:" in publish["tags"] for name in (image["docker_image"], image["public_image"]))


def test_no_registry_address_is_in_the_repository() -> None:
    """Lock files name the mirrors of whoever made them."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    files = run(tool("git"), "ls-files").splitlines()
    assert [name for name in files if Path(name).name in ("uv.lock", "poetry.lock", "package-lock.json")] == []
