"""Schemathesis: whatever is sent, gateway and worker answer as their OpenAPI documents say.

All its checks, over every operation: no 500, no status, header, content type or member that is not
declared, what is valid is taken, what is not is refused, and nothing opens without a token. Nothing
is left out; of `/analytics/stream` two events are enough.

The gateway gets some 50 requests an operation: each bound and type of each parameter (`coverage`),
random ones (`fuzzing`), and sequences that follow what earlier ones made (`stateful`). A worker's
views are the same, so it is only sent the random ones. `FUZZ_EXAMPLES` is how many those are; any
larger number than by default has a worker go through all phases as well:
`make test FUZZ_EXAMPLES=500 ARGS='-s tests/e2e/test_schema_fuzzing.py'`.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.local.testing import LocalServers, start_gateway
from tests.shop import ROOT, Shop

DEFAULT_EXAMPLES = 10
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", DEFAULT_EXAMPLES))
ALL, RANDOM = "examples,coverage,fuzzing,stateful", "examples,fuzzing"
# A run of the default size takes less than a minute, on a busy machine some more; a larger one as
# many seconds an example at most.
SECONDS = 300 + 20 * EXAMPLES
pytestmark = pytest.mark.timeout(SECONDS)
FUZZING = Path(__file__).parent / "fuzzing"
HOOKS = "tests.e2e.fuzzing.hooks"
CLUSTER_TOKEN = "a-cluster-token-for-tests-that-nobody-else-knows"
SETTINGS = {
    "AUTH": "on",
    "AUTH_DEVELOPMENT": "on",
    "AUTH_SECRET": "a-secret-for-tests-that-nobody-else-knows",
    "CLUSTER_TOKEN": CLUSTER_TOKEN,
    # What is fuzzed here is what is answered, not how often.
    "RATE_LIMIT_CLIENT": "off",
    "RATE_LIMIT_USER": "off",
}


@dataclass
class Fuzzed:
    """The shop, and the token of somebody who may do everything."""

    shop: Shop
    token: str


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with LocalServers(tmp_path_factory.mktemp("fuzzed")) as servers:
        shop = Shop(servers, SETTINGS)
        try:
            shop.start("worker-1", gateway=False)
            shop.gateway = start_gateway(servers, list(shop.workers.values()), env=SETTINGS)
            yield Fuzzed(shop, admin(shop.url))
        finally:
            shop.stop()


def admin(url: str) -> str:
    asked = urllib.request.Request(
        f"{url}/token",
        json.dumps({"userId": "alice", "role": "admin"}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked) as answer:
        return str(json.load(answer)["token"])


def fuzz(document: str, url: str, token: str, folder: Path, *, phases: str = ALL) -> None:
    """Run Schemathesis over all operations."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", str(FUZZING / "schemathesis.toml"), "run"),
            *(str(ROOT / "docs" / "api" / document), "--url", url, "--checks", "all"),
            *("--phases", phases, "--max-examples", str(EXAMPLES), "--no-color"),
            *("-H", f"Authorization: Bearer {token}", "-H", f"X-Cluster-Token: {CLUSTER_TOKEN}"),
        ],
        # It keeps its findings where it is run.
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": HOOKS},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    print(done.stdout)
    assert 0 == done.returncode, f"{done.stdout}\n{done.stderr}"


def test_the_gateway_answers_as_its_document_says(fuzzed: Fuzzed, tmp_path: Path) -> None:
    fuzz("openapi-gateway.json", fuzzed.shop.url, fuzzed.token, tmp_path)


def test_a_worker_answers_as_its_document_says(fuzzed: Fuzzed, tmp_path: Path) -> None:
    worker = fuzzed.shop.workers["worker-1"]
    phases = ALL if EXAMPLES > DEFAULT_EXAMPLES else RANDOM
    fuzz("openapi-worker.json", worker.url, fuzzed.token, tmp_path, phases=phases)
