"""Image, Docker Compose, kustomize and helm agree with the settings, and so with each other."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from app.reference import GATEWAY, WORKER
from app.service_app import STOP_TIMEOUT_SECONDS
from app.settings import Settings
from gateway.pool import LEAVE_SECONDS
from gateway.server import DRAIN_SECONDS, LAST_REQUEST_SECONDS
from tests.unit.deploy.cluster import environment, our_pods, settings
from tests.unit.deploy.compose import environment_of, jobs, ours, services
from tests.unit.deploy.rendering import KEPT, kept
from tests.unit.deploy.test_image import last, stages

# What a process can't do without where it is not beside its servers.
SERVERS = {"KAFKA_BOOTSTRAP_SERVERS", "MONGODB_URL", "REDIS_URL"}
NEEDED = {
    "worker": SERVERS | {"AUTH", "CLUSTER_TOKEN", "AUTH_SECRET"},
    "gateway": {"REDIS_URL", "AUTH", "CLUSTER_TOKEN", "AUTH_SECRET", "GATEWAY_WORKERS"},
}


@dataclass
class Place:
    """A worker or a gateway as one of the files starts it."""

    where: str
    kind: str
    variables: dict[str, str]
    command: list[str]
    probes: set[str]
    port: int
    grace: float
    pause: float = 0.0


def in_compose() -> Iterator[Place]:
    for name in ours():
        if name in jobs():
            continue
        service = services()[name]
        kind = "gateway" if name == "gateway" else "worker"
        variables = environment_of(service)
        address, _, path = service["healthcheck"]["test"][-1].removeprefix("http://").partition("/")
        yield Place(
            f"compose: {name}",
            kind,
            variables,
            service["command"],
            {f"/{path}"},
            int(address.partition(":")[2]),
            float(service["stop_grace_period"].removesuffix("s")),
        )


def in_kubernetes(name: str) -> Iterator[Place]:
    for where, pod in our_pods(kept(name)):
        spec = pod["spec"]
        (container,) = spec["containers"]
        if container["name"] not in NEEDED:
            continue
        (port,) = container["ports"]
        probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness")]
        probes.append(container["livenessProbe"]["httpGet"])
        assert {port["name"]} == {probe["port"] for probe in probes}
        pause: Any = container.get("lifecycle", {}).get("preStop", {}).get("exec", {})
        yield Place(
            f"{name}: {where}",
            container["name"],
            environment(kept(name), pod, where),
            container["args"],
            {probe["path"] for probe in probes},
            port["containerPort"],
            float(spec["terminationGracePeriodSeconds"]),
            float(pause["command"][1]) if pause else 0.0,
        )


PLACES = [*in_compose(), *(place for name in KEPT for place in in_kubernetes(name))]
EACH = pytest.mark.parametrize("place", PLACES, ids=[place.where for place in PLACES])


def test_workers_and_gateways_are_looked_at_everywhere() -> None:
    for where in ("compose", *KEPT):
        kinds = {place.kind for place in PLACES if place.where.startswith(f"{where}:")}
        assert NEEDED.keys() == kinds


@EACH
def test_what_it_can_not_do_without_is_given(place: Place) -> None:
    needed = NEEDED[place.kind]
    if place.variables["AUTH"] == "off":
        needed = needed - {"CLUSTER_TOKEN", "AUTH_SECRET"}
        assert "dev" in place.where

    assert set() == needed - place.variables.keys()
    assert "" not in {place.variables[name] for name in needed}
    assert "127.0.0.1" not in "".join(place.variables[name] for name in needed & SERVERS)


@EACH
def test_it_is_probed_where_it_listens_and_for_what_it_answers(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = settings(place.variables, monkeypatch)
    document = json.loads((WORKER if place.kind == "worker" else GATEWAY).read_bytes())

    assert place.port == (conf.worker_port if place.kind == "worker" else conf.gateway_port)
    assert "/readyz" in place.probes
    assert place.probes <= document["paths"].keys()


@EACH
def test_it_may_take_as_long_as_it_needs_to_stop(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = settings(place.variables, monkeypatch)
    needed = {
        "worker": conf.shutdown_delay_seconds + STOP_TIMEOUT_SECONDS,
        "gateway": conf.shutdown_delay_seconds
        + LAST_REQUEST_SECONDS
        + 2 * DRAIN_SECONDS
        + LEAVE_SECONDS,
    }

    assert needed[place.kind] + place.pause < place.grace


def test_the_command_of_a_kind_is_the_same_everywhere() -> None:
    for kind, program in {"worker": "faust", "gateway": "python"}.items():
        commands = {
            tuple("<level>" if "LOG_LEVEL" in word or word == "info" else word for word in command)
            for command in (place.command for place in PLACES if place.kind == kind)
        }
        (command,) = commands
        assert command[0] == program


def test_the_image_says_what_the_others_rely_on() -> None:
    image = " ".join(rest for name, rest in stages()[-1] if name == "ENV")
    fields = Settings.model_fields
    ports = {str(fields[f"{kind}_port"].default) for kind in NEEDED}

    assert ports == set(last("EXPOSE").split())
    assert f"127.0.0.1:{fields['worker_port'].default}/readyz" in last("HEALTHCHECK")
    assert {"DATA_DIR=/data", "WORKER_BIND=0.0.0.0", "GATEWAY_BIND=0.0.0.0"} <= set(image.split())
    user, _, group = last("USER").partition(":")
    for name in KEPT:
        for where, pod in our_pods(kept(name)):
            rights = pod["spec"]["securityContext"]
            assert [int(user), int(group)] == [rights["runAsUser"], rights["runAsGroup"]], where
            # Else the account could not write to its volume.
            assert rights["fsGroup"] == int(group), where
            (container,) = pod["spec"]["containers"]
            assert "/data" in {mount["mountPath"] for mount in container["volumeMounts"]}, where
            # The entry point has to run: it gives the process its name.
            assert "command" not in container, where


def test_what_is_pinned_is_the_same_in_compose_and_in_the_cluster() -> None:
    in_compose = {service["image"] for service in services().values()}
    servers = {
        container["image"]
        for one in kept("kustomize-dev")
        if one["kind"] == "StatefulSet" and one["metadata"]["name"] != "orderflow-worker"
        for container in one["spec"]["template"]["spec"]["containers"]
    }

    assert len(servers) == 3
    assert servers <= in_compose
