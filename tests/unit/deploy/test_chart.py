"""The chart's values: documented, used, and refused where they are wrong."""

import json
import re
import subprocess
from copy import deepcopy
from typing import Any

import jsonschema
import pytest
import yaml

from tests.unit.deploy import rendering
from tests.unit.deploy.rendering import CHART

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
TEMPLATES = sorted((CHART / "templates").rglob("*.*"))
# Taken whole: what is in them is the user's.
WHOLE = {"settings", "worker.keda.lagThresholds", "ingress.annotations"}

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("a name that is not there", {"worker": {"replica": 3}}),
    ("a kind of service that does not exist", {"gateway": {"service": {"type": "Loadbalancer"}}}),
    ("a secret among the settings", {"settings": {"AUTH_SECRET": "0123456789abcdef"}}),
    ("a setting that follows from others", {"settings": {"WORKER_URL": "http://me:6066"}}),
    ("a name in small letters", {"settings": {"topic_partitions": 6}}),
    ("an image of no version", {"image": {"tag": "latest"}}),
    ("too little time to stop", {"worker": {"terminationGracePeriodSeconds": 10}}),
    ("AUTH as YAML's own word", {"settings": {"AUTH": True}}),
]
COMBINATIONS = [
    "gateway.service.type=NodePort,gateway.service.nodePort=30080",
    "gateway.service.type=LoadBalancer,gateway.service.sourceRanges={10.0.0.0/8}",
    "ingress.enabled=true,ingress.tlsSecret=",
    "worker.persistence.enabled=false,topics.enabled=false",
    "worker.autoscaling.enabled=true,gateway.autoscaling.enabled=true",
    "worker.services=web,image.pullSecrets={mine},worker.nodeSelector.disk=ssd",
    "fullnameOverride=shop,networkPolicy.enabled=true,podDisruptionBudget.enabled=true",
]


def merged(values: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    whole = deepcopy(values)
    for key, value in other.items():
        both = isinstance(value, dict) and isinstance(whole.get(key), dict)
        whole[key] = merged(whole[key], value) if both else value
    return whole


def paths(values: dict[str, Any], before: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        path = before + key
        deeper = isinstance(value, dict) and value and path not in WHOLE
        found += paths(value, f"{path}.") if deeper else [path]
    return found


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    if not rendering.available("helm"):
        pytest.skip("helm is not installed")
    command = ["helm", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_defaults_and_those_of_production_are_valid() -> None:
    production = yaml.safe_load((CHART / "values-production.yaml").read_text())

    jsonschema.validate(VALUES, SCHEMA)
    jsonschema.validate(merged(VALUES, production), SCHEMA)
    assert set(paths(production)) - {"settings"} <= set(paths(VALUES))


@pytest.mark.parametrize(("what", "given"), WRONG, ids=[what for what, _ in WRONG])
def test_what_is_wrong_is_refused(what: str, given: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(merged(VALUES, given), SCHEMA)


def test_every_value_is_described_by_the_schema() -> None:
    for path in paths(VALUES):
        described = SCHEMA
        for part in path.split("."):
            described = described["properties"][part]
            if reference := described.get("$ref"):
                described = SCHEMA["definitions"][reference.rpartition("/")[2]]
            if path.startswith(("worker.resources", "gateway.resources", "settings")):
                break
        assert described, path


def test_templates_ask_for_no_value_that_is_not_there_and_every_value_is_asked_for() -> None:
    text = "\n".join(path.read_text() for path in TEMPLATES)
    # `$service := .Values.gateway.service` and the like, and what stands for either component.
    for name, path in re.findall(r"\$(\w+) := \.Values\.([\w.]+)", text):
        text = re.sub(rf"\${name}\.(\w)", rf".Values.{path}.\1", text)
    for component in ("worker", "gateway"):
        text += re.sub(r"\$values\.(\w+)", rf".Values.{component}.\1", text)
    asked = set(re.findall(r"\.Values\.([\w.]+\w)", text))
    known = set(paths(VALUES))
    groups = {path[: at.start()] for path in known for at in re.finditer(r"\.", path)}

    assert set() == {
        one for one in asked - known - groups if not one.startswith(("settings.", "ingress.anno"))
    }
    for path in known:
        above = {path[: at.start()] for at in re.finditer(r"\.", path)}
        assert {path, *above} & asked, path


def test_helm_has_nothing_to_say() -> None:
    done = helm("lint", "--strict", str(CHART), "-f", str(CHART / "values-production.yaml"))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("given", COMBINATIONS)
def test_helm_takes_every_combination(given: str) -> None:
    from tests.unit.deploy.test_kubernetes import VERSIONS, faults, native

    done = helm("template", "x", str(CHART), *rendering.CLUSTER, "--set", given)

    assert done.returncode == 0, done.stderr
    made = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert [] == [text for one in native(made) if (text := faults(one, VERSIONS[-1]))]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("worker.autoscaling.maxReplicas=7", "TOPIC_PARTITIONS"),
        ("gateway.service.type=Loadbalancer", "gateway.service.type"),
    ],
)
def test_helm_refuses_what_is_wrong_and_says_why(given: str, says: str) -> None:
    done = helm("template", "x", str(CHART), *rendering.CLUSTER, "--set", given)

    assert done.returncode != 0
    assert says in done.stderr.replace("/", ".")
