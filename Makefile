# Short names for what CONTRIBUTING.md describes. CI runs .ci/run, which is all of `check` and every test.

.PHONY: sync check format test test-integration docs image

sync:
	uv sync --all-groups

check:
	uv run --no-sync ruff check
	uv run --no-sync ruff format --check
	uv run --no-sync mypy

format:
	uv run --no-sync ruff format
	uv run --no-sync ruff check --fix

test:
	uv run --no-sync pytest -q -n 2 --dist loadfile tests/unit tests/property

test-integration:
	uv run --no-sync pytest -q -n 2 --dist loadfile tests/conformance tests/integration tests/shipping

docs:
	uv run --no-sync docs/generate_configuration.py
	uv run --no-sync helm/generate_dashboards.py

image:
	docker build -t ce/log-aggregator:latest -f docker/Dockerfile .
