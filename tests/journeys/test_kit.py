"""Image, compose file, chart and wheels: each is read by the program that it is for, as far as there is one here."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from nissa.config.load import load_config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "nissa"
PROGRAM = ROOT / "build" / "chart"  # scripts/build-chart-program
KUBERNETES = ("1.27.0", "1.37.0")
OPERATOR = "monitoring.coreos.com"  # its kinds are no part of Kubernetes


def helm(values: Path, *sets: str, kubernetes: str = KUBERNETES[-1]) -> subprocess.CompletedProcess[str]:
    """The chart, linted and rendered by the packages of helm. Skips, loudly, where there is no Go to build them."""
    if not PROGRAM.exists():
        pytest.skip("deploy/helm is NOT tested: run make peers, with Go installed")
    command = [PROGRAM, CHART, kubernetes, values, *sets]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# ---- the image ----


def instructions() -> list[tuple[str, str]]:
    """(instruction, the rest) of the Dockerfile, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "docker" / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line.strip()]


def test_the_image_is_not_root_and_copies_what_is_there() -> None:
    """Stages build on those before; files exist; the last stage runs as a number, and answers where its check asks."""
    stages: list[str] = []
    user = ""
    for word, rest in instructions():
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            assert base in stages or base.startswith("python:${PYTHON}-slim-")
            stages.append(name)
            user = ""
        elif word == "COPY" and not rest.startswith("--from"):
            assert (ROOT / rest.split()[0]).exists()
        elif word == "COPY":
            assert re.match(r"--from=(\w+)", rest)[1] in stages  # type: ignore[index]
        elif word == "USER":
            user = rest
    assert stages == ["toolchain", "build", "nissa"]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)


def test_settings_of_the_image_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment, and the files of compose, start a daemon that is not open to everybody."""
    (environment,) = [rest for word, rest in instructions() if word == "ENV" and "NISSA_" in rest]
    pairs = dict(part.split("=", 1) for part in environment.split() if part.startswith("NISSA_"))
    config = load_config(None, pairs)
    assert (config.api.access.enabled, config.storage.data_dir) == (True, "/data")
    monkeypatch.chdir(DEPLOY / "docker")
    assert load_config(DEPLOY / "docker" / "nissa.yaml", pairs).database.url == "postgresql://nissa@postgres/nissa"


def test_the_toolchain_is_pinned_as_it_is_used() -> None:
    """Every line names one version, and together they are what pyproject.toml builds with."""
    lines = [
        line for line in (DEPLOY / "docker" / "toolchain.txt").read_text().splitlines() if not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in lines)
    wanted = re.search(r"requires = \[(.*)\]", (ROOT / "pyproject.toml").read_text())
    assert wanted is not None
    named = {line.split("==")[0] for line in lines}
    assert {re.split(r"[><=]", name)[0] for name in re.findall(r'"([^"]+)"', wanted[1])} < named
    assert "grpcio-tools" in named


@pytest.mark.needs_debian("docker-compose")
def test_compose_takes_its_file() -> None:
    """As docker-compose says; every file that is mounted from here exists, and every port is on loopback."""
    path = DEPLOY / "docker" / "compose.yaml"
    done = subprocess.run(["docker-compose", "-f", str(path), "config"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)
    assert set(found["services"]) == {"nissa", "redis", "postgres", "prometheus", "alertmanager", "grafana"}
    for service in found["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0] if isinstance(volume, str) else volume["source"]
            assert not source.startswith("/") or Path(source).exists(), source
        for port in service.get("ports", ()):
            assert str(port).startswith("127.0.0.1:") or port.get("host_ip") == "127.0.0.1"


# ---- the chart ----


VALUES: list[dict[str, Any]] = [
    {},
    {
        "replicas": 3,
        "config": {"storage": {"durability": "interval:50ms"}, "api": {"query_timeout": "1m"}},
        "env": [{"name": "NISSA_DATABASE__URL", "value": "postgresql://nissa@db/nissa"}],
        "imagePullSecrets": [{"name": "pull"}],
        "persistence": {"size": "1Ti", "storageClass": "fast", "accessModes": ["ReadWriteOncePod"]},
        "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
        "serviceMonitor": {"enabled": True, "interval": "30s", "labels": {"release": "lab"}},
        "networkPolicy": {"enabled": True, "apiFrom": [{"podSelector": {"matchLabels": {"app": "grafana"}}}]},
        "nodeSelector": {"disk": "nvme"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "podAnnotations": {"c": "d"},
    },
    {"networkPolicy": {"enabled": False}, "serviceAccount": {"create": False}},
]


@pytest.mark.parametrize("values", VALUES, ids=["defaults", "everything", "little"])
def test_the_chart_is_what_kubernetes_takes(tmp_path: Path, values: dict[str, Any]) -> None:
    """Linted by helm, and every object fits the schemas of Kubernetes strictly; settings start a daemon."""
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    done = helm(tmp_path / "values.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    objects = [one for one in yaml.safe_load_all(done.stdout) if one]
    for one in objects:
        if not one["apiVersion"].startswith(OPERATOR):
            for version in KUBERNETES:
                kubernetes_validate.validate(one, version, strict=True)
    kinds = [one["kind"] for one in objects]
    assert ("NetworkPolicy" in kinds) == values.get("networkPolicy", {"enabled": True})["enabled"]
    assert ("ServiceMonitor" in kinds) == values.get("serviceMonitor", {"enabled": False})["enabled"]
    for monitor in (one for one in objects if one["kind"] == "ServiceMonitor"):
        assert monitored(monitor, objects) == ["lab-nissa"]
    (settings,) = [one["data"]["nissa.yaml"] for one in objects if one["kind"] == "ConfigMap"]
    (tmp_path / "nissa.yaml").write_text(settings)
    config = load_config(tmp_path / "nissa.yaml", {})
    assert (config.storage.data_dir, config.api.access.enabled) == ("/data", True)
    (pods,) = [one["spec"] for one in objects if one["kind"] == "StatefulSet"]
    (container,) = pods["template"]["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pods["replicas"] == values.get("replicas", 1)


def monitored(monitor: dict[str, Any], objects: list[dict[str, Any]]) -> list[str]:
    """Services that a ServiceMonitor selects; a pod behind two of them would be scraped twice."""
    wanted = monitor["spec"]["selector"]
    absent = {one["key"] for one in wanted["matchExpressions"] if one["operator"] == "DoesNotExist"}
    services = [one["metadata"] for one in objects if one["kind"] == "Service"]
    chosen = [one for one in services if wanted["matchLabels"].items() <= one["labels"].items()]
    return [one["name"] for one in chosen if not absent & one["labels"].keys()]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("replicas=0", "at '/replicas': minimum"),
        ("persistence.size=much", "at '/persistence/size': 'much' does not match"),
        ("config.storage.data_dir=/x", "at '/config/storage/data_dir'"),
        ("unknown=1", "additional properties 'unknown' not allowed"),
        ("serviceMonitor.interval=15", "at '/serviceMonitor/interval': got number, want string"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, wrong: str, reason: str) -> None:
    """By the schema of the values, with the path."""
    (tmp_path / "values.yaml").write_text("{}")
    done = helm(tmp_path / "values.yaml", wrong)
    assert (done.returncode, done.stdout) == (1, "")
    assert reason in done.stderr


def test_an_old_kubernetes_is_refused(tmp_path: Path) -> None:
    """Older than the oldest whose schemas the objects are checked against."""
    (tmp_path / "values.yaml").write_text("{}")
    assert "requires kubeVersion" in helm(tmp_path / "values.yaml", kubernetes="1.26.0").stderr
    assert helm(tmp_path / "values.yaml", kubernetes=KUBERNETES[0]).returncode == 0


# ---- wheels ----


def test_wheels_are_built_for_each_python_and_processor() -> None:
    """As cibuildwheel reads the configuration."""
    pytest.importorskip("cibuildwheel")
    for processor in ("x86_64", "aarch64"):
        command = [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers", "--platform", "linux"]
        command += ["--archs", processor, str(ROOT)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        wanted = {f"cp3{minor}-manylinux_{processor}" for minor in (11, 12, 13, 14)}
        assert set(done.stdout.split()) == wanted


def test_dashboards_are_mounted_where_grafana_looks() -> None:
    """The provider of compose names the folder that the dashboards are in."""
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/nissa.yaml").read_text())["providers"][0]
    compose = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())
    mounted = [volume.split(":") for volume in compose["services"]["grafana"]["volumes"]]
    assert ["../grafana/dashboards", provider["options"]["path"], "ro"] in mounted
    assert all(json.loads(path.read_text())["uid"] for path in (DEPLOY / "grafana/dashboards").glob("*.json"))
