"""docker-compose.yml at work without Docker: its services as processes, started as it says.

Two replicas of `worker`, as they come, and beside them one of `payment`, of the profile `scale`.
"""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from infra.local import java
from infra.local.control import Process
from infra.local.health import kafka_answers, wait_until
from infra.local.ports import LOOPBACK
from tests.integration.deploy.here import Here, kafka_properties
from tests.unit.deploy.compose import environment_of, services

pytestmark = pytest.mark.timeout(240)

# One look has seconds, which a busy machine may need for anything.
PATIENCE_SECONDS = 60
ORDER = {"userId": "ada", "items": [{"productId": "ITEM-0007", "quantity": 2, "price": 4.50}]}


@dataclass
class System:
    here: Here
    worker: Process
    second: Process
    payment: Process
    gateway: Process
    nginx: Process


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    java.build()
    here = Here(tmp_path_factory.mktemp("compose"), {"AUTH": "off"})
    with ExitStack() as stack:
        start_all(stack, here.kafka(), here.mongo(), here.redis())
        done = here.run("topics")
        assert done.returncode == 0, done.stdout + done.stderr
        replicas = here.worker("worker"), here.worker("worker", replica=2), here.worker("payment")
        gateway = here.gateway(replicas)
        nginx = here.nginx()
        start_all(stack, *replicas)
        start_all(stack, gateway)
        start_all(stack, nginx)
        yield System(here, *replicas, gateway, nginx)


def start_all(stack: ExitStack, *processes: Process) -> None:
    for process in processes:
        stack.callback(process.kill9)
        process.start()
    for process in processes:
        process.wait_ready()


def becomes_healthy(system: System, name: str, process: Process) -> bool:
    """Whether its check says so, asked again as Docker does."""
    return wait_until(lambda: system.here.healthy(name, process), PATIENCE_SECONDS)


def ask(url: str, body: Any = None, **headers: str) -> tuple[dict[str, str], Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(answer.headers), json.load(answer)


def test_every_service_is_healthy_by_its_own_check(system: System) -> None:
    replicas = [("worker", system.worker), ("worker", system.second), ("payment", system.payment)]
    for name, process in [*replicas, ("gateway", system.gateway)]:
        assert becomes_healthy(system, name, process), process.log_tail()


def test_kafka_answers_containers_and_the_host(system: System) -> None:
    for name in ("kafka", "kafka_host"):
        port = system.here.port[name]
        assert wait_until(lambda port=port: kafka_answers(LOOPBACK, port), PATIENCE_SECONDS)  # type: ignore[misc]


def test_an_order_sent_to_nginx_is_confirmed(system: System) -> None:
    stocked = system.here.run("worker", "faust", "-A", "app", "stock", "--csv", "-")
    assert stocked.returncode == 0, stocked.stdout + stocked.stderr

    headers, order = ask(f"{system.nginx.url}/api/orders", ORDER, Prefer="wait=30")

    assert order["status"] == "CONFIRMED"
    assert headers["X-Instance-Id"] == "gateway-gateway-1"


def test_replicas_of_a_service_have_names_of_their_own(system: System) -> None:
    replicas = [system.worker, system.second, system.payment]

    names = [ask(f"{replica.url}/readyz")[0]["X-Instance-Id"] for replica in replicas]

    assert names == ["worker-worker-1", "worker-worker-2", "payment-payment-1"]


def test_a_service_that_is_scaled_alone_is_of_the_same_group(system: System) -> None:
    ready = [
        ask(f"{one.url}/readyz")[1]["checks"]["services"] for one in (system.worker, system.payment)
    ]

    assert ready[0].keys() > ready[1].keys() == {"payment"}


def test_a_replica_that_is_killed_comes_back_into_its_group(system: System) -> None:
    """As a container that its restart policy starts again: the same name, the same address."""
    replica = system.second
    replica.kill9()

    assert not system.here.healthy("worker", replica)
    replica.start()
    replica.wait_ready()

    assert becomes_healthy(system, "worker", replica)


def test_a_worker_that_is_stopped_leaves_and_its_check_says_so(system: System) -> None:
    replica = system.second

    assert replica.terminate(), replica.log_tail()

    assert not system.here.healthy("worker", replica)
    assert becomes_healthy(system, "worker", system.worker)


async def test_kafka_takes_every_setting_as_it_is_written(system: System) -> None:
    """It starts all the same with a name that it does not know, and says nothing."""
    properties = kafka_properties(environment_of(services()["kafka"]))
    written = {name: system.here.moved(value) for name, value in properties.items()}
    del written["log.dirs"]  # another folder here

    admin = AIOKafkaAdminClient(bootstrap_servers=f"{LOOPBACK}:{system.here.port['kafka_host']}")
    await admin.start()
    try:
        broker = ConfigResource(ConfigResourceType.BROKER, properties["node.id"])
        (answer,) = await admin.describe_configs([broker])
    finally:
        await admin.close()

    (resource,) = answer.resources
    in_force = {name: value for name, value, *_ in resource[4]}
    assert written == {name: in_force.get(name) for name in written}
