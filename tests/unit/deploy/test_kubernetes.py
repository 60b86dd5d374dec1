"""infra/k8s and infra/helm: what comes of them is valid, whole, and as strict as it says."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.unit.deploy import rendering
from tests.unit.deploy.cluster import (
    HELPERS,
    KAFKA_SECRETS,
    SECRETS,
    environment,
    named,
    of_kind,
    our_pods,
    pods,
    selects,
    settings,
    unhashed,
)
from tests.unit.deploy.rendering import CHART, K8S, KEPT, Resource, kept

# The oldest that the chart takes, and one that is newer than most clusters.
VERSIONS = ("1.27", "1.34")
# Of operators that a cluster may have; no schema of Kubernetes itself says what they are.
FOREIGN = {"keda.sh/v1alpha1", "monitoring.coreos.com/v1"}
# What is put together from other files, and no resource of a cluster.
TOGETHER = {"Kustomization", "Component"}
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())


def whole_files() -> list[Path]:
    """Files of resources; a patch is only a part of one."""
    found = []
    for path in sorted(K8S.rglob("kustomization.yaml")):
        listed = yaml.safe_load(path.read_text()).get("resources", ())
        found += [path.parent / one for one in listed if one.endswith(".yaml")]
    return found


def faults(resource: Resource, version: str) -> str:
    try:
        kubernetes_validate.validate(resource, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{resource['kind']} {resource['metadata']['name']}: {error.message}"
    return ""


def native(resources: list[Resource]) -> list[Resource]:
    return [one for one in resources if one["apiVersion"] not in FOREIGN]


@pytest.mark.parametrize("name", KEPT)
def test_what_is_checked_here_was_made_of_these_files(name: str) -> None:
    assert rendering.digest() == rendering.digest_of(name), (
        "infra/k8s or infra/helm has changed: tests/unit/deploy/rendering.py says how to go on"
    )


@pytest.mark.parametrize("name", KEPT)
def test_it_is_what_the_programs_make(name: str) -> None:
    if not rendering.available(KEPT[name][0]):
        pytest.skip(f"{KEPT[name][0]} is not installed; what it made the last time is checked")
    assert kept(name) == rendering.render(KEPT[name])


@pytest.mark.parametrize("name", KEPT)
def test_every_resource_follows_the_schemas_of_kubernetes_strictly(name: str) -> None:
    resources = native(kept(name))

    assert len(resources) > 5
    assert [] == [text for one in resources for v in VERSIONS if (text := faults(one, v))]


def test_every_file_of_resources_follows_them_too() -> None:
    resources = [
        one for path in whole_files() for one in yaml.safe_load_all(path.read_text()) if one
    ]

    assert {"StatefulSet", "Deployment", "HorizontalPodAutoscaler"} <= {
        one["kind"] for one in resources
    }
    assert [] == [text for one in native(resources) if (text := faults(one, VERSIONS[-1]))]


def test_a_field_that_does_not_exist_is_found() -> None:
    wrong = yaml.safe_load((K8S / "base" / "service-account.yaml").read_text())
    wrong["automountServiceAccountTokens"] = False

    assert "automountServiceAccountTokens" in faults(wrong, VERSIONS[-1])


def test_every_file_is_used() -> None:
    listed: set[Path] = set()
    for path in K8S.rglob("kustomization.yaml"):
        whole = yaml.safe_load(path.read_text())
        assert whole["kind"] in TOGETHER
        names = [*whole.get("resources", ()), *whole.get("components", ())]
        names += [one["path"] for one in whole.get("patches", ()) if "path" in one]
        for made in whole.get("configMapGenerator", ()):
            names += made.get("envs", ())
        listed |= {(path.parent / one).resolve() for one in names} | {path}

    assert [] == [path for path in listed if not path.exists()]
    assert [] == [path for path in K8S.rglob("*") if path.is_file() and path not in listed]
    # An overlay is for a user, all else is part of one.
    parts = {path.parent for path in K8S.rglob("kustomization.yaml")} - listed
    assert sorted(OVERLAYS) == sorted({path.name for path in parts} | {"production"})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_can_be_built(overlay: str) -> None:
    if not rendering.available("kustomize"):
        pytest.skip("kustomize is not installed")

    made = rendering.render(("kustomize", "build", str(K8S / "overlays" / overlay)))

    assert [] == [text for one in native(made) if (text := faults(one, VERSIONS[-1]))]
    assert {"orderflow"} == {
        one["metadata"]["namespace"] for one in made if one["kind"] != "Namespace"
    }


@pytest.mark.parametrize("name", KEPT)
def test_no_pod_has_a_right_that_it_does_not_need(name: str) -> None:
    """The level `restricted` of the Pod Security Standards, which the namespace enforces."""
    for where, pod in pods(kept(name)):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, where
        # A service called `gateway` or `kafka` would set settings of ours and of Kafka's image.
        assert spec["enableServiceLinks"] is False, where
        assert spec["securityContext"]["runAsNonRoot"] is True, where
        assert spec["securityContext"]["runAsUser"] > 0, where
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, where
        for container in spec["containers"]:
            allowed = container["securityContext"]
            assert allowed["allowPrivilegeEscalation"] is False, where
            assert allowed["capabilities"] == {"drop": ["ALL"]}, where
            written = allowed.get("readOnlyRootFilesystem", False)
            assert written or container["name"] in {"kafka", "mongo"}, where
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), where


@pytest.mark.parametrize("name", KEPT)
def test_every_container_is_limited_probed_and_of_a_named_version(name: str) -> None:
    for one in of_kind(kept(name), "StatefulSet", "Deployment", "Job"):
        for container in one["spec"]["template"]["spec"]["containers"]:
            for kind in ("requests", "limits"):
                assert {"cpu", "memory"} == container["resources"][kind].keys()
            _, _, tag = container["image"].rpartition(":")
            assert tag not in {"", "latest", container["image"]}
            if one["kind"] != "Job":
                assert {"startupProbe", "readinessProbe"} <= container.keys()


@pytest.mark.parametrize("name", KEPT)
def test_what_one_resource_names_in_another_is_there(name: str) -> None:
    resources = kept(name)
    known = {(one["kind"], one["metadata"]["name"]) for one in resources}
    for one in resources:
        kind, spec, where = one["kind"], one.get("spec", {}), one["metadata"]["name"]
        if kind in {"Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"}:
            found = spec.get("selector") or spec.get("podSelector")
            assert selects(found.get("matchLabels", found), resources), (kind, where)
        if kind in {"HorizontalPodAutoscaler", "ScaledObject"}:
            target = spec["scaleTargetRef"]
            assert (target["kind"], target["name"]) in known
            # Else every `apply` would set back what the autoscaler decided.
            assert "replicas" not in named(resources, target["kind"], target["name"])["spec"]
        if kind == "StatefulSet":
            assert ("Service", spec["serviceName"]) in known
        if kind in {"StatefulSet", "Deployment"}:
            labels = spec["template"]["metadata"]["labels"]
            assert labels.items() >= spec["selector"]["matchLabels"].items()
        if kind == "Ingress":
            (path,) = spec["rules"][0]["http"]["paths"]
            assert ("Service", path["backend"]["service"]["name"]) in known
    for _, pod in our_pods(resources):
        assert ("ServiceAccount", pod["spec"]["serviceAccountName"]) in known


@pytest.mark.parametrize("name", KEPT)
def test_ports_lead_to_a_container_that_listens_there(name: str) -> None:
    resources = kept(name)
    for service in of_kind(resources, "Service"):
        for target in selects(service["spec"]["selector"], resources):
            (container,) = dict(pods(resources))[target]["spec"]["containers"]
            open_ports = {port["name"] for port in container["ports"]}
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= open_ports


@pytest.mark.parametrize("name", KEPT)
def test_a_secret_is_named_and_never_there(name: str) -> None:
    resources = kept(name)
    for secret in of_kind(resources, "Secret"):
        # Addresses of the servers of the dev overlay, without a password.
        assert {"MONGODB_URL", "REDIS_URL"} == secret.get("stringData", secret["data"]).keys()
        assert name == "kustomize-dev"
    asked = {
        (variable["valueFrom"]["secretKeyRef"]["key"], unhashed(source["name"]))
        for _, pod in our_pods(resources)
        for variable in pod["spec"]["containers"][0].get("env", ())
        if (source := variable.get("valueFrom", {}).get("secretKeyRef"))
    }

    of_kafka = KAFKA_SECRETS if name.endswith("secured") else ()
    expected = {(key, "orderflow") for key in SECRETS}
    assert expected | {(key, "orderflow-kafka") for key in of_kafka} == asked
    for one in of_kind(resources, "ConfigMap"):
        assert not (SECRETS | KAFKA_SECRETS).keys() & one["data"].keys()


@pytest.mark.parametrize("name", KEPT)
def test_every_variable_is_a_setting_and_the_settings_accept_them(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.settings import Settings

    resources = kept(name)
    assert len(our_pods(resources)) >= 3
    for where, pod in our_pods(resources):
        variables = environment(resources, pod, where)
        known = {field.upper() for field in Settings.model_fields} | HELPERS
        assert set() == variables.keys() - known, where

        conf = settings(variables, monkeypatch)

        assert conf.auth == ("off" if name == "kustomize-dev" else "on")
        assert "," in conf.kafka_bootstrap_servers or conf.topic_replication == 1
        if where.endswith("-worker"):
            # A name that lasts, and an address that the headless service has for this pod alone.
            assert conf.static_membership is True
            assert conf.service_names()
            assert conf.worker_url == f"http://{where}-0.{where}s:{conf.worker_port}"


@pytest.mark.parametrize("name", KEPT)
def test_workers_are_not_more_than_partitions(name: str) -> None:
    resources = kept(name)
    partitions = int(named(resources, "ConfigMap", "orderflow")["data"]["TOPIC_PARTITIONS"])
    bounds = [
        one["spec"].get("maxReplicas") or one["spec"].get("maxReplicaCount")
        for one in of_kind(resources, "HorizontalPodAutoscaler", "ScaledObject")
        if one["spec"]["scaleTargetRef"]["kind"] == "StatefulSet"
    ]
    workers = named(resources, "StatefulSet", "orderflow-worker")["spec"].get("replicas", 0)

    assert bounds or workers
    assert max(*bounds, workers, 0) <= partitions


def test_lag_is_that_of_groups_that_there_are() -> None:
    from app.parts import SERVICE_NAMES
    from app.topics import GROUP_PREFIX

    for name in ("kustomize-keda", "helm-keda"):
        (scaled,) = of_kind(kept(name), "ScaledObject")
        metadata = [trigger["metadata"] for trigger in scaled["spec"]["triggers"]]
        brokers = named(kept(name), "ConfigMap", "orderflow")["data"]["KAFKA_BOOTSTRAP_SERVERS"]

        groups = {one["consumerGroup"] for one in metadata}
        assert {GROUP_PREFIX + one for one in ("order", "inventory", "payment")} <= groups
        assert groups <= {GROUP_PREFIX + one for one in SERVICE_NAMES}
        assert {brokers} == {one["bootstrapServers"] for one in metadata}
        assert all(int(one["lagThreshold"]) > 0 for one in metadata)


@pytest.mark.parametrize("name", ["kustomize-secured", "helm-secured"])
def test_the_password_of_kafka_is_for_those_who_ask_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for where, pod in our_pods(kept(name)):
        conf = settings(environment(kept(name), pod, where), monkeypatch)
        (container,) = pod["spec"]["containers"]
        mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
        found[container["name"]] = bool(conf.kafka_sasl_password)
        assert "SASL_SSL" == conf.kafka_security_protocol
        assert (str(Path(conf.kafka_ssl_cafile).parent) in mounted) == found[container["name"]]

    assert {"worker": True, "topics": True, "gateway": False} == found


SAME = [
    ("kustomize-clusterip", "helm-default"),
    ("kustomize-keda", "helm-keda"),
    ("kustomize-secured", "helm-secured"),
]
# What only one of the two has: kustomize a namespace, helm a test, and a way for it.
APART = {("Namespace", "orderflow"), ("Pod", "orderflow-test-ready")}
APART |= {("NetworkPolicy", "orderflow-test")}
# What each tool says of itself.
OF_THE_TOOL = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
    "checksum/settings",
}


def essence(value: Any) -> Any:
    """The same without what a tool says of itself."""
    if isinstance(value, dict):
        return {
            key: essence(one)
            for key, one in value.items()
            if key not in OF_THE_TOOL | {"imagePullPolicy", "namespace"}
        }
    if isinstance(value, list):
        found = [essence(one) for one in value]
        # Variables, mounts: which comes first is the tool's choice.
        by_name = all(isinstance(one, dict) and "name" in one for one in found)
        return sorted(found, key=lambda one: one["name"]) if by_name else found
    return unhashed(value) if isinstance(value, str) else value


@pytest.mark.parametrize(("by_kustomize", "by_helm"), SAME)
def test_helm_and_kustomize_make_the_same(by_kustomize: str, by_helm: str) -> None:
    made = []
    for name in (by_kustomize, by_helm):
        found = {}
        for one in kept(name):
            key = one["kind"], unhashed(one["metadata"]["name"]).replace("topics-1", "topics")
            if key not in APART:
                found[key] = {part: essence(one[part]) for part in ("spec", "data") if part in one}
        made.append(found)
    first, second = made

    assert first.keys() == second.keys()
    for key, resource in first.items():
        assert resource == second[key], key


def test_the_chart_names_the_version_of_the_project() -> None:
    import tomllib

    from tests.unit.deploy.compose import ROOT

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = yaml.safe_load((K8S / "base" / "kustomization.yaml").read_text())

    assert project["version"] == chart["appVersion"]
    assert [{"name": "orderflow", "newTag": project["version"]}] == base["images"]
