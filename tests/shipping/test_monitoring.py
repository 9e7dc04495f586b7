"""Dashboards and rules ask for metrics that there are, in queries that Prometheus understands."""

import json
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "log-aggregator"
RULES = sorted((CHART / "rules").glob("*.yml"))
DOCUMENTED = set(re.findall(r"^\| `((?:loki|log_aggregator)_\w+)`", (ROOT / "docs" / "metrics.md").read_text(), re.M))


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    return found


def dashboard_queries() -> list[str]:
    models = [json.loads(path.read_text()) for path in sorted((CHART / "dashboards").glob("*.json"))]
    return [target["expr"] for model in models for panel in model["panels"] for target in panel["targets"]]


def rule_queries() -> list[str]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def test_dashboards_are_up_to_date() -> None:
    generated = runpy.run_path(str(ROOT / "helm" / "generate_dashboards.py"))
    files = {path.stem: path.read_text() for path in (CHART / "dashboards").glob("*.json")}
    assert files == {name: generated["dashboard"](name) for name in generated["DASHBOARDS"]}


@pytest.mark.parametrize("query", [*dashboard_queries(), *rule_queries()])
def test_query_asks_for_documented_metrics(query: str) -> None:
    names = set(re.findall(r"\b(?:loki|log_aggregator)_\w+", query.replace("loki_api", "")))
    of_family = {re.sub(r"_(bucket|count|sum)$", "", name) if name not in DOCUMENTED else name for name in names}
    assert of_family <= DOCUMENTED


def test_promtool_accepts_the_rules() -> None:
    done = subprocess.run([promtool(), "check", "rules", *RULES], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_queries_of_the_dashboards(tmp_path: Path) -> None:
    """As recording rules, with Grafana's variables replaced."""
    queries = [query.replace("$__rate_interval", "5m") for query in dashboard_queries()]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    # The same query may stand on two dashboards: only the syntax is of interest.
    done = subprocess.run([promtool(), "check", "rules", "--lint=none", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


ALERTS = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'up{{job="log-aggregator", instance="a"}}'
        values: '0x10'
      - series: 'loki_request_duration_seconds_count{{job="log-aggregator", route="push", status_code="503"}}'
        values: '0+60x30'
      - series: 'loki_request_duration_seconds_count{{job="log-aggregator", route="push", status_code="204"}}'
        values: '0+60x30'
      - series: 'loki_ingester_wal_disk_full_failures_total{{job="log-aggregator", instance="a"}}'
        values: '0 0 1 2 3 4'
      - series: 'loki_runtime_config_last_reload_successful{{job="log-aggregator", instance="a"}}'
        values: '1 1 1 0x20'
    alert_rule_test:
      - eval_time: 1m
        alertname: LogAggregatorDown
        exp_alerts: []
      - eval_time: 5m
        alertname: LogAggregatorDown
        exp_alerts: [{{exp_labels: {{severity: critical, job: log-aggregator}}, exp_annotations: {{
          summary: No replica of log-aggregator answers,
          description: Pushes and queries fail. Agents keep logs for as long as their buffers last.}}}}]
      - eval_time: 20m
        alertname: LogAggregatorRequestErrors
        exp_alerts: [{{exp_labels: {{severity: critical, job: log-aggregator, route: push}}, exp_annotations: {{
          summary: push fails in 50% of requests,
          description: "See /ready of the replicas and their logs. Redis, the object store, or a full buffer."}}}}]
      - eval_time: 4m
        alertname: LogAggregatorWriteAheadLogFull
        exp_alerts: [{{exp_labels: {{severity: critical, job: log-aggregator}}, exp_annotations: {{
          summary: "Redis is full, pushes are refused",
          description: "Give it more memory, or find out why flushes do not free it."}}}}]
      - eval_time: 7m
        alertname: LogAggregatorRuntimeConfigurationInvalid
        exp_alerts: []
      - eval_time: 9m
        alertname: LogAggregatorRuntimeConfigurationInvalid
        exp_alerts: [{{exp_labels: {{severity: warning, job: log-aggregator, instance: a}}, exp_annotations: {{
          summary: a cannot read the limits of tenants anew,
          description: "The last valid ones stay; it would not start again. The log has the file and the line."}}}}]
      - eval_time: 10m
        alertname: LogAggregatorPanics
        exp_alerts: []
"""


def test_alerts_fire_when_they_should_and_not_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "tests.yml"
    file.write_text(ALERTS.format(rules=CHART / "rules" / "alerts.yml"))
    done = subprocess.run([promtool(), "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_of_the_compose_file_accepts_its_configuration(tmp_path: Path) -> None:
    text = (ROOT / "docker" / "prometheus" / "prometheus.yml").read_text().replace("rules/", f"{CHART / 'rules'}/")
    file = tmp_path / "prometheus.yml"
    file.write_text(text)
    done = subprocess.run([promtool(), "check", "config", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
