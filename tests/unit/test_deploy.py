"""What deploy/ says is so, as far as it can be told without a container engine: schemas, names, settings, commands."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner
from yamllint import linter
from yamllint.config import YamlLintConfig

from rsitr.cli.app import app
from rsitr.errors import ConfigError, StoreError
from rsitr.index.address import Address, address_of, find_index, parse_address
from rsitr.index.budget import MEMORY_VARIABLE
from rsitr.service import ServiceSettings, add_key, load_settings

REPO = Path(__file__).resolve().parents[2]
DEPLOY = REPO / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
RULES = "{extends: default, rules: {document-start: disable, line-length: {max: 140}}}"
KNOWN = {f"RSITR_{name.upper()}" for name in ServiceSettings.model_fields} | {MEMORY_VARIABLE}
COMPOSE = [DEPLOY / "compose.yaml", DEPLOY / "compose.remote.yaml"]
OF_COMPOSE = {"RSITR_ARCHIVE", "RSITR_SCENES", "RSITR_KEYS", "RSITR_ADDRESS"}  # of whoever starts it: where things are


def documents() -> list[dict[str, Any]]:
    return [one for file in MANIFESTS for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))]


def manifest(kind: str, name: str = "rsitr") -> dict[str, Any]:
    (found,) = (one for one in documents() if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found


def compose(file: str = "compose.yaml") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / file).read_text(encoding="utf-8"))
    return found


def instructions() -> list[tuple[str, str]]:
    """Of the container file, a line each."""
    text = re.sub(
        r"\\\n", " ", re.sub(r"^#.*\n", "", (DEPLOY / "Containerfile").read_text(encoding="utf-8"), flags=re.M)
    )
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def environment() -> dict[str, str]:
    """What the image sets."""
    pairs = [pair for name, rest in instructions() if name == "ENV" for pair in shlex.split(rest)]
    return dict(pair.split("=", 1) for pair in pairs)


@pytest.mark.parametrize("file", [*MANIFESTS, *COMPOSE], ids=lambda file: file.name)
def test_the_yaml_is_clean(file: Path) -> None:
    found = linter.run(file.read_text(encoding="utf-8"), YamlLintConfig(RULES))
    assert [f"{one.line}: {one.desc}" for one in found] == []


def test_the_manifests_are_what_kubernetes_takes() -> None:
    kinds = {one["kind"] for one in documents()}
    assert kinds == {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    for one in documents():
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
    wrong = manifest("Service") | {"spec": {"ports": [{"prot": 80}]}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_the_compose_files_are_some(file: Path) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_setting_that_is_named_exists() -> None:
    named = {
        name for file in DEPLOY.rglob("*") if file.is_file() for name in re.findall(r"RSITR_[A-Z_]+", file.read_text())
    }
    assert named - KNOWN - OF_COMPOSE == set()
    assert len(named & KNOWN) > 10


@pytest.mark.parametrize("whose", ["image", "ConfigMap", "compose"])
def test_the_settings_are_possible(whose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "image": environment(),
        "ConfigMap": {**environment(), **manifest("ConfigMap")["data"]},
        "compose": {**environment(), **compose()["services"]["rsitr-1"]["environment"]},
    }[whose]
    for name in KNOWN:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        if name.startswith("RSITR_"):
            monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (str(settings.index), settings.host, settings.port) == ("/index", "0.0.0.0", 8000)
    assert settings.drain_s >= 5


@pytest.mark.parametrize("address", ["s3://archive/town", "milvus://milvus:19530/town"])
def test_an_index_elsewhere_is_where_the_other_compose_file_has_it(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = compose(), compose("compose.remote.yaml")
    given = second["services"]["rsitr-1"]["environment"]
    assert {name for name, one in second["services"].items() if "image" not in one} <= set(first["services"])
    servers = {name: one["ports"] for name, one in second["services"].items() if name not in first["services"]}
    assert all(port.startswith("127.0.0.1:") for ports in servers.values() for port in ports)
    for own in (parse_address(address), urlsplit(given["AWS_ENDPOINT_URL"])):
        host, _, port = (own.host if isinstance(own, Address) else own.netloc).partition(":")  # type: ignore[union-attr]
        assert host == "archive" or f"127.0.0.1:{port}:{port}" in servers[host]
    extras = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(second["services"]["rsitr-1"]["build"]["args"]["EXTRAS"].split(",")) <= set(extras)
    assert [rest for name, rest in instructions() if name == "ARG"] == ["EXTRAS=redis"]
    assert any(volume.endswith(":/index") for volume in first["services"]["rsitr-1"]["volumes"])  # may be written
    monkeypatch.setenv("RSITR_INDEX", address)
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        assert given[name].startswith("/index/")
        monkeypatch.setenv(name, str(tmp_path / name))
    assert address_of(find_index(str(load_settings().index))) == parse_address(address)


def test_the_names_in_the_manifests_fit_together() -> None:
    deployment, service, settings = manifest("Deployment"), manifest("Service"), manifest("ConfigMap")["data"]
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    for selector in (
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels
    assert manifest("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    (container,) = template["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": int(settings["RSITR_PORT"])}]
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in template["spec"]["volumes"]}
    assert (mounts["index"], mounts["scenes"]) == (settings["RSITR_INDEX"], settings["RSITR_ROOT"])
    assert settings["RSITR_KEYS_FILE"].startswith(f"{mounts['keys']}/")
    redis = manifest("Service", "rsitr-redis")
    assert f"redis://{redis['metadata']['name']}:{redis['spec']['ports'][0]['port']}/0" == settings["RSITR_REDIS_URL"]
    granted = template["spec"]["terminationGracePeriodSeconds"]
    assert granted > float(settings["RSITR_DRAIN_S"]) + 2 * float(settings["RSITR_SHUTDOWN_S"])
    uid = next(rest for name, rest in instructions() if name == "USER").partition(":")[0]
    assert template["spec"]["securityContext"]["runAsUser"] == int(uid) > 0


def test_whoever_asks_asks_an_address_that_there_is(archive_paths: set[str]) -> None:
    container = manifest("Deployment")["spec"]["template"]["spec"]["containers"][0]
    asked = {container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
    caddy = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    asked |= set(re.findall(r"health_uri (\S+)", caddy))
    assert asked == {"/api/live", "/api/ready"}
    assert asked <= archive_paths
    services = set(compose()["services"])
    proxied = re.search(r"reverse_proxy (.+) \{", caddy)
    assert proxied is not None
    assert {target.partition(":")[0] for target in proxied[1].split()} == services - {"redis", "proxy"}


@pytest.fixture(scope="module")
def archive_paths() -> set[str]:
    from rsitr.service import routes

    return {route.path for route in routes.health.routes}  # type: ignore[attr-defined]


def test_the_health_check_tells_whether_the_service_is_alive() -> None:
    from http.server import BaseHTTPRequestHandler

    from servers import running

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/live" else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    told = next(rest for name, rest in instructions() if name == "HEALTHCHECK")
    command = json.loads(told[told.index("[") :])
    assert command[0] == "python"
    with running(Handler) as address:
        port = address.rpartition(":")[2]
        asks = [sys.executable, *(word.replace(":8000/", f":{port}/") for word in command[1:])]
        assert subprocess.run(asks, check=False).returncode == 0
        elsewhere = [word.replace("/api/live", "/api/ready") for word in asks]
        assert subprocess.run(elsewhere, check=False, capture_output=True).returncode == 1


def test_the_image_runs_the_command_as_nobody_in_particular(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = dict(instructions())
    command = [*json.loads(given["ENTRYPOINT"]), *json.loads(given["CMD"])]
    assert command == ["rsitr", "serve"]
    for name, value in environment().items():
        if name.startswith("RSITR_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("RSITR_INDEX", str(tmp_path / "index"))
    refused = CliRunner().invoke(app, command[1:])
    assert isinstance(refused.exception, ConfigError)
    assert "no key is set" in str(refused.exception)
    add_key("read", tmp_path / "keys.txt")
    monkeypatch.setenv("RSITR_KEYS_FILE", str(tmp_path / "keys.txt"))
    monkeypatch.setenv("RSITR_HOST", "127.0.0.1")  # nothing is to be reached from elsewhere during a test
    monkeypatch.setenv("RSITR_PORT", "0")
    missing = CliRunner().invoke(app, command[1:])
    assert isinstance(missing.exception, StoreError)
    assert "no such index" in str(missing.exception)


def test_the_image_gets_nothing_but_the_wheel() -> None:
    copied = [rest for name, rest in instructions() if name == "COPY"]
    assert copied == ["dist/rsitr-*.whl /wheel/", "--from=install /opt/rsitr /opt/rsitr"]
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[1:] == ["*", "!dist/rsitr-*.whl"]
    assert compose()["services"]["rsitr-1"]["build"]["dockerfile"] == "deploy/Containerfile"
