"""Scripts of Node and the packages that they need, installed once and kept for the next run."""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_INSTALL_SECONDS = 300.0


def installed(scripts: Path) -> Path:
    """A directory with the scripts beside the packages of their package.json. Skips the test where that cannot be."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed")
    key = hashlib.sha256((scripts / "package.json").read_bytes()).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"log-aggregator-node-{scripts.name}-{key}"
    directory.mkdir(exist_ok=True)
    for file in (scripts / "package.json", *scripts.glob("*.js")):
        shutil.copy(file, directory)
    if not (directory / "installed").exists():
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
        done = subprocess.run(
            command, cwd=directory, timeout=_INSTALL_SECONDS, capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"npm cannot install the packages of {scripts.name}: {done.stderr[-300:]}")
        (directory / "installed").touch()
    return directory
