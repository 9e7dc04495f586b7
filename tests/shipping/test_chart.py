"""The chart: Helm's engine renders it, Kubernetes' schemas accept it, and its parts fit each other and the program."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

helm = pytest.importorskip("helm_python", reason="helm-python-sdk is not installed: uv sync --all-groups")

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "log-aggregator"
PLAIN = ROOT / "helm" / "kubernetes.yaml"
VALUES = {path.stem.removesuffix("-values"): path for path in (CHART / "ci").glob("*.yaml")}
KUBERNETES = ("1.27", "1.31", "1.35")
BUCKET = {"s3": {"bucket": "logs"}}
FAR = {"enabled": False}
# Kinds of the Prometheus operator, whose schemas nobody ships.
CUSTOM = {"ServiceMonitor", "PrometheusRule"}


def render(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    with helm.Chart.load(str(CHART)) as chart:
        texts = chart.render(dict(values), name="demo", namespace="logging")
    documents = (yaml.safe_load_all(text) for name, text in texts.items() if not name.endswith(".txt"))
    return [document for group in documents for document in group if document]


def load(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(VALUES[name].read_text())
    return values


def of_kind(documents: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in documents if one["kind"] == kind}


def containers(documents: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for one in documents:
        if one["kind"] in ("Deployment", "StatefulSet"):
            yield from one["spec"]["template"]["spec"]["containers"]


def test_lint_finds_no_error() -> None:
    found = helm.lint(str(CHART))
    assert found["errors"] == []
    assert [message["error"] for message in found["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", sorted(VALUES))
def test_kubernetes_accepts_every_object(name: str, version: str, tmp_path: Path) -> None:
    documents = [one for one in render(load(name)) if one["kind"] not in CUSTOM]
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(yaml.safe_dump_all(documents))
    validate(manifest, version)


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_accepts_the_manifest_without_helm(version: str) -> None:
    validate(PLAIN, version)


def test_program_accepts_the_configuration_of_the_manifest_without_helm(tmp_path: Path) -> None:
    config = of_kind(list(yaml.safe_load_all(PLAIN.read_text())), "ConfigMap")["loki-config"]["data"]
    verify(config, tmp_path)


def validate(manifest: Path, version: str) -> None:
    command = [Path(sys.executable).parent / "kubernetes-validate", "--strict", "-k", version, manifest]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"replicas": 0}, "replicas"),
        ({"replica": 2}, "replica"),
        ({"s3": {"bucket": "Not_A_Bucket"}}, "bucket"),
        ({"logLevel": "loud"}, "logLevel"),
        ({"split": {"enabled": True}}, "split needs s3.bucket"),
        ({"autoscaling": {"enabled": True}}, "autoscaling needs s3.bucket"),
        ({"redis": {"external": {"url": "redis://r:6379"}}}, "an external Redis needs s3.bucket"),
        ({"config": {"server": {"http_listen_port": 3200}}}, "config.server.http_listen_port: "),
        ({"config": {"server": {"http_path_prefix": "/logs"}}}, "config.server.http_path_prefix: "),
        ({"config": {"server": {"http_tls_config": {"cert_file": "a"}}}}, "config.server.http_tls_config: "),
        ({"config": {"auth": {"tokens": [{}], "open": ["ready"]}}}, "config.auth.open must name ready and buildinfo"),
        ({**BUCKET, "redis": {"internal": FAR}}, "redis.external.url or redis.external.existingSecret must be set"),
    ],
)
def test_values_that_cannot_work_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(Exception, match=words):
        render(values)


@pytest.mark.parametrize(
    "config",
    [
        {"server": {"http_listen_port": 3100, "http_path_prefix": "", "log_level": "debug"}},
        {"auth": {"tokens": [{"name": "a", "token_env": "A"}]}},
        {"auth": {"tokens": [{"name": "a", "token_env": "A"}], "open": ["ready", "buildinfo", "metrics"]}},
        {"auth": {"open": []}},
        {"server": None},
    ],
)
def test_configuration_that_works_is_let_through(config: dict[str, Any]) -> None:
    assert of_kind(render({"config": config}), "ConfigMap")


def test_agents_find_the_service_whatever_the_release_is_called() -> None:
    for name in VALUES:
        service = of_kind(render(load(name)), "Service")["loki"]
        assert service["spec"]["ports"] == [{"name": "http", "port": 3100, "targetPort": "http-metrics"}]


def test_every_service_selects_pods_that_have_its_port() -> None:
    for name in VALUES:
        documents = render(load(name))
        pods = [one["spec"]["template"] for one in documents if one["kind"] in ("Deployment", "StatefulSet")]
        for service in of_kind(documents, "Service").values():
            selector, port = service["spec"]["selector"].items(), service["spec"]["ports"][0]["targetPort"]
            chosen = [pod for pod in pods if selector <= pod["metadata"]["labels"].items()]
            assert chosen, (name, service["metadata"]["name"])
            for pod in chosen:
                assert port in [one["name"] for one in pod["spec"]["containers"][0]["ports"]]


def test_one_node_without_a_bucket_has_a_volume_and_no_second_pod() -> None:
    documents = render({"replicas": 3})
    deployment = of_kind(documents, "Deployment")["loki"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]["type"]) == (1, "Recreate")
    assert of_kind(documents, "PersistentVolumeClaim").keys() == {"loki-storage"}
    assert of_kind(documents, "StatefulSet") == {}


def test_replicas_on_a_bucket_have_a_redis_and_no_volume() -> None:
    documents = render({**BUCKET, "replicas": 3})
    deployment = of_kind(documents, "Deployment")["loki"]["spec"]
    environment = {one["name"]: one.get("value") for one in deployment["template"]["spec"]["containers"][0]["env"]}
    assert deployment["replicas"] == 3
    assert environment["REDIS_URL"] == "redis://loki-redis:6379/0"
    assert of_kind(documents, "PersistentVolumeClaim") == {}
    assert of_kind(documents, "StatefulSet").keys() == {"loki-redis"}
    assert of_kind(documents, "PodDisruptionBudget").keys() == {"loki"}


@pytest.mark.parametrize(
    "url", ["redis://r:6379/0", "rediss://r/0", "redis+sentinel://a:1,b:2/m", "redis+cluster://a:1"]
)
def test_redis_of_ones_own_is_used(url: str) -> None:
    documents = render({**BUCKET, "redis": {"internal": FAR, "external": {"url": url}}})
    environment = of_kind(documents, "Deployment")["loki"]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "REDIS_URL", "value": url} in environment
    assert of_kind(documents, "StatefulSet") == {}


def test_roles_are_scaled_one_by_one() -> None:
    documents = render(load("full"))
    assert of_kind(documents, "Deployment").keys() == {"loki-write", "loki-read", "loki-backend", "loki-gateway"}
    assert of_kind(documents, "HorizontalPodAutoscaler").keys() == {"loki-write", "loki-read"}
    targets = {one["args"][0] for one in containers(documents) if one["name"] == "loki"}
    assert targets == {"-target=write", "-target=read", "-target=backend"}


def test_every_pod_fits_into_half_a_gigabyte_and_cannot_write_to_its_root() -> None:
    for name in VALUES:
        for container in containers(render(load(name))):
            memory = container["resources"]["limits"]["memory"]
            assert memory.endswith("Mi")
            assert int(memory.removesuffix("Mi")) <= 512
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", sorted(VALUES))
def test_program_accepts_the_configuration(name: str, tmp_path: Path) -> None:
    verify(of_kind(render(load(name)), "ConfigMap")["loki-config"]["data"], tmp_path)


def verify(files: Mapping[str, str], tmp_path: Path) -> None:
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    program = Path(sys.executable).parent / "log-aggregator"
    # The file of the chart names the place in a pod.
    here = ["-runtime-config.file=overrides.yml"] if "overrides.yml" in files else []
    flags = ["-config.file=cli-config.yml", "-verify-config", *here]
    done = subprocess.run([program, *flags], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_values_lie_over_what_the_chart_sets() -> None:
    documents = render({**BUCKET, "config": {"server": {"log_level": "debug"}, "auth_enabled": True}})
    config = yaml.safe_load(of_kind(documents, "ConfigMap")["loki-config"]["data"]["cli-config.yml"])
    assert config["server"] == {"log_level": "debug", "http_listen_port": 3100}
    assert config["auth_enabled"] is True
    assert config["common"]["storage"]["s3"]["bucketnames"] == "logs"


def test_alerts_and_dashboards_go_with_the_chart() -> None:
    documents = render(load("full"))
    rules = of_kind(documents, "PrometheusRule")["loki"]["spec"]["groups"]
    assert [group["name"] for group in rules] == ["log-aggregator", "log-aggregator-records"]
    dashboards = of_kind(documents, "ConfigMap")["loki-dashboards"]["data"]
    assert dashboards.keys() == {path.name for path in (CHART / "dashboards").glob("*.json")}
    assert dashboards["ingest.json"] == (CHART / "dashboards" / "ingest.json").read_text()


def test_every_value_is_in_the_schema_and_in_the_file() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())["properties"]
    assert set(schema) - {"global"} == set(values)
