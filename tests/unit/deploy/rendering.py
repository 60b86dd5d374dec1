"""What kustomize and helm make of infra/k8s and infra/helm, as it was when they were last run.

`make test` has neither: they are no Python packages. So what they made is kept in `rendered/`, with
the digest of what it was made of, and every check is done on that. Where they are in PATH, they are
run again. After a change of either folder:

    go install helm.sh/helm/v3/cmd/helm@v3.19.0
    go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
    PATH="$PATH:$(go env GOPATH)/bin" python -m tests.unit.deploy.rendering
"""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.unit.deploy.compose import ROOT

K8S = ROOT / "infra" / "k8s"
CHART = ROOT / "infra" / "helm" / "orderflow"
FOLDER = Path(__file__).parent / "rendered"
DIGEST = "# Made by tests/unit/deploy/rendering.py of sources with this digest: "

Resource = dict[str, Any]

# One that `go install` made takes clusters for 1.20 otherwise.
CLUSTER = ("--kube-version", "1.34")
_HELM = ("helm", "template", "orderflow", str(CHART), "--namespace", "orderflow", *CLUSTER)
_PRODUCTION = (*_HELM, "-f", str(CHART / "values-production.yaml"))
_SECURED = (
    "kafka.secret=orderflow-kafka",
    r"settings.KAFKA_BOOTSTRAP_SERVERS=kafka-0.kafka:9096\,kafka-1.kafka:9096\,kafka-2.kafka:9096",
    "settings.KAFKA_SECURITY_PROTOCOL=SASL_SSL",
    "settings.KAFKA_SASL_MECHANISM=SCRAM-SHA-512",
    "settings.KAFKA_SSL_CAFILE=/etc/orderflow/kafka/ca.crt",
)
_KEDA = ("--set", "worker.keda.enabled=true,podMonitor.enabled=true")
KEPT: dict[str, Sequence[str]] = {
    "kustomize-clusterip": ("kustomize", "build", str(K8S / "overlays" / "clusterip")),
    "kustomize-dev": ("kustomize", "build", str(K8S / "overlays" / "dev")),
    "kustomize-keda": ("kustomize", "build", str(K8S / "overlays" / "keda")),
    "kustomize-secured": ("kustomize", "build", str(K8S / "overlays" / "secured-kafka")),
    "helm-default": _HELM,
    "helm-keda": (*_PRODUCTION, *_KEDA),
    "helm-secured": (*_PRODUCTION, "--set", ",".join(_SECURED)),
}


def sources() -> list[Path]:
    """The files of both folders."""
    return sorted(path for top in (K8S, CHART) for path in top.rglob("*") if path.is_file())


def digest() -> str:
    """Of the names and the contents of the sources."""
    found = hashlib.sha256()
    for path in sources():
        found.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()


def available(program: str) -> bool:
    """Whether the program is here."""
    return shutil.which(program) is not None


def render(command: Sequence[str]) -> list[Resource]:
    """What the command prints, in an order of its own.

    Raises:
        CalledProcessError: it refuses.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found = [one for one in yaml.safe_load_all(done.stdout) if one]
    return sorted(found, key=lambda one: (one["kind"], one["metadata"]["name"]))


@cache
def kept(name: str) -> list[Resource]:
    """The resources that were made the last time."""
    return list(yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text()))


def digest_of(name: str) -> str:
    """What the resources were made of."""
    first, _, _ = (FOLDER / f"{name}.yaml").read_text().partition("\n")
    return first.removeprefix(DIGEST)


def write() -> None:
    """Make all anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, command in KEPT.items():
        text = yaml.safe_dump_all(render(command), sort_keys=True, width=100)
        (FOLDER / f"{name}.yaml").write_text(f"{DIGEST}{digest()}\n{text}")
        print(f"{name}: {text.count('kind: ')} kinds, {len(text.splitlines())} lines")


if __name__ == "__main__":
    write()
