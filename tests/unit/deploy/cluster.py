"""Questions to a list of Kubernetes resources."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.settings import Settings
from tests.unit.deploy.compose import DOTENV

Resource = dict[str, Any]

# Made by the chart or the base; the dev overlay's servers have names of their own.
OURS = "orderflow"
# Not settings: they are only there to make one.
HELPERS = frozenset({"POD_NAME"})
# Of the secret that is not in here.
SECRETS = {
    **DOTENV,
    "MONGODB_URL": "mongodb://mongo.test:27017/orderflow?replicaSet=rs0",
    "REDIS_URL": "redis://redis.test:6379/0",
    "SMTP_URL": "smtps://mail.test",
}
# Of the secret for Kafka, where one is wanted.
KAFKA_SECRETS = {
    "KAFKA_SASL_USERNAME": "of the secret",
    "KAFKA_SASL_PASSWORD": "of the secret",
}


def of_kind(resources: Sequence[Resource], *kinds: str) -> list[Resource]:
    """The resources of these kinds."""
    return [one for one in resources if one["kind"] in kinds]


def named(resources: Sequence[Resource], kind: str, name: str) -> Resource:
    """The one resource of this kind and name; a generated name has a hash at its end."""
    (found,) = [
        one
        for one in of_kind(resources, kind)
        if one["metadata"]["name"] == name or unhashed(one["metadata"]["name"]) == name
    ]
    return found


def unhashed(name: str) -> str:
    """Without the ten characters that kustomize appends to what it generates."""
    head, _, tail = name.rpartition("-")
    return head if head and len(tail) == 10 and any(one.isdigit() for one in tail) else name


def pods(resources: Sequence[Resource]) -> Iterator[tuple[str, Resource]]:
    """The pod templates by the name of what makes them, of ours and of servers."""
    for one in of_kind(resources, "StatefulSet", "Deployment", "Job"):
        yield one["metadata"]["name"], one["spec"]["template"]
    for one in of_kind(resources, "Pod"):
        yield one["metadata"]["name"], one


def our_pods(resources: Sequence[Resource]) -> list[tuple[str, Resource]]:
    """Those that run a process of ours; the chart's test only asks one."""
    return [
        (name, pod)
        for name, pod in pods(resources)
        if name.startswith(OURS) and "command" not in pod["spec"]["containers"][0]
    ]


def environment(resources: Sequence[Resource], pod: Resource, name: str) -> dict[str, str]:
    """The variables of the pod's container, as the kubelet gives them to it."""
    (container,) = pod["spec"]["containers"]
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        settings = named(resources, "ConfigMap", unhashed(source["configMapRef"]["name"]))
        found.update(settings["data"])
    for variable in container.get("env", ()):
        found[variable["name"]] = _value(variable, found, name)
    return found


def _value(variable: Resource, found: Mapping[str, str], name: str) -> str:
    if "value" in variable:
        value: str = variable["value"]
        for known, text in found.items():
            value = value.replace(f"$({known})", text)
        return value
    source = variable["valueFrom"]
    if "fieldRef" in source:
        assert source["fieldRef"]["fieldPath"] == "metadata.name"
        return f"{name}-0"
    return (SECRETS | KAFKA_SECRETS)[source["secretKeyRef"]["key"]]


def settings(variables: Mapping[str, str], monkeypatch: Any) -> Settings:
    """What a process makes of these variables, and of none else."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert os.environ.items() >= dict(variables).items()
    return Settings()


def selects(selector: Mapping[str, str], resources: Sequence[Resource]) -> list[str]:
    """The names of what makes pods with these labels."""
    return [
        name
        for name, pod in pods(resources)
        if pod["metadata"].get("labels", {}).items() >= selector.items()
    ]
