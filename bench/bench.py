"""Measures the log aggregator, or any server with Loki's API, and compares two measurements.

    uv run python bench/bench.py run                          this tree: push, flush, queries, kernels
    uv run python bench/bench.py run --unflushed --lines 120000    asks before the flush, too
    uv run python bench/bench.py run --lines 10000 --size 10 --connections 16    many small pushes
    uv run python bench/bench.py run --revision HEAD~10       another revision, in a work tree of its own
    uv run python bench/bench.py run --url URL --pid PID      a server that runs already, with its processes
    uv run python bench/bench.py compare A.json B.json        ratios B/A of two measurements made close in time

A figure by itself says as much about the machine as about the server: only ratios of runs on one machine mean anything.
A server that is measured by URL must accept old samples and have its rate limits raised (`bench/bench.yml`).
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import client
import kernels
import own_server
import workload

_ROOT = Path(__file__).resolve().parent.parent


def run(args: argparse.Namespace) -> dict[str, Any]:
    """All the figures of one server."""
    if args.url:
        return _measure(client.Target(args.url, tuple(args.pid)), args)
    with tempfile.TemporaryDirectory(prefix="log-aggregator-bench-") as scratch:
        tree = _ROOT if args.revision is None else _checked_out(args.revision, Path(scratch) / "tree")
        try:
            with _server(tree, Path(scratch) / "data") as target:
                result = _measure(target, args)
                result["stored_bytes"] = sum(
                    path.stat().st_size for path in (Path(scratch) / "data" / "chunks").rglob("*") if path.is_file()
                )
        finally:
            if args.revision is not None:
                _git("worktree", "remove", "--force", str(tree))
    if args.revision is None:
        result["kernels"] = kernels.measure()
    return result


def _measure(target: client.Target, args: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {
        "push": client.push(target, args.lines, args.encoding, size=args.size, connections=args.connections)
    }
    queries = {**workload.QUERIES, **workload.MORE_QUERIES} if args.more else workload.QUERIES
    names = args.only.split(",") if args.only else list(queries)
    if args.unflushed:
        result["query_unflushed"] = client.query(target, names, args.repeat)
    client.flush(target)
    result["query"] = client.query(target, names, args.repeat)
    result["peak_bytes"] = target.peak_bytes()
    return result


def _checked_out(revision: str, tree: Path) -> Path:
    _git("worktree", "add", "--detach", str(tree), revision)
    return tree


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=_ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def _server(tree: Path, data: Path) -> Iterator[client.Target]:
    data.mkdir()
    config = f"-config.file={_ROOT / 'bench' / 'bench.yml'}"
    variables = {"LOG_AGGREGATOR_DATA": str(data), "PYTHONPATH": str(tree / "src")}
    with own_server.running(data, config, **variables) as server:
        yield server.target


def compare(args: argparse.Namespace) -> None:
    a, b = (json.loads(Path(path).read_text()) for path in (args.a, args.b))
    for part in ("query", "query_unflushed"):
        for name, figures in a.get(part, {}).items():
            if other := b.get(part, {}).get(name):
                ratio = other["ms"] / figures["ms"]
                print(
                    f"{part} {name:20s} {figures['ms']:9.1f} -> {other['ms']:9.1f} ms  x{ratio:6.3f}"
                    f"   cpu {figures['cpu_s']:.2f} -> {other['cpu_s']:.2f} s"
                )
    for part in ("push", "kernels"):
        for name, figure in a.get(part, {}).items():
            other = b.get(part, {}).get(name)
            if other is not None and figure:
                print(f"{part} {name:20s} {figure:12.2f} -> {other:12.2f}  x{other / figure:6.3f}")
    for name in ("peak_bytes", "stored_bytes"):
        if name in a and name in b:
            print(f"{name:20s} {a[name] / 1e6:9.1f} -> {b[name] / 1e6:9.1f} MB  x{b[name] / a[name]:6.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("--url", help="a server that runs already")
    running.add_argument("--pid", type=int, action="append", default=[], help="a process of it, its main one first")
    running.add_argument("--revision", help="a git revision to check out and serve")
    running.add_argument("--lines", type=int, default=400_000, help="of each of the three families")
    running.add_argument("--encoding", choices=("protobuf", "json"), default="protobuf")
    running.add_argument("--size", type=int, default=5000, help="lines in a push")
    running.add_argument("--connections", type=int, default=4, help="that push at the same time")
    running.add_argument("--repeat", type=int, default=5)
    running.add_argument("--more", action="store_true", help="neighbours of the queries, too")
    running.add_argument("--unflushed", action="store_true", help="queries before the flush, too")
    running.add_argument("--only", help="names of queries, with commas")
    running.add_argument("--out", help="a file for the figures as JSON; else they are printed")
    comparing = commands.add_parser("compare")
    comparing.add_argument("a")
    comparing.add_argument("b")
    args = parser.parse_args()
    if args.command == "compare":
        compare(args)
        return
    text = json.dumps(run(args), indent=1)
    if args.out:
        Path(args.out).write_text(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
