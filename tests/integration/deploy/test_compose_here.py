"""docker-compose.yml at work without Docker: its services as processes, started as it says."""

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
from tests.unit.deploy.compose import environment_of, services, workers

pytestmark = pytest.mark.timeout(240)

ORDER = {"userId": "ada", "items": [{"productId": "ITEM-0007", "quantity": 2, "price": 4.50}]}


@dataclass
class System:
    here: Here
    workers: dict[str, Process]
    second_payment: Process
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
        replicas = {name: here.worker(name) for name in workers()}
        second = here.worker("payment", replica=2)
        gateway = here.gateway([*replicas.values(), second])
        nginx = here.nginx()
        start_all(stack, *replicas.values(), second)
        start_all(stack, gateway)
        start_all(stack, nginx)
        yield System(here, replicas, second, gateway, nginx)


def start_all(stack: ExitStack, *processes: Process) -> None:
    for process in processes:
        stack.callback(process.kill9)
        process.start()
    for process in processes:
        process.wait_ready()


def ask(url: str, body: Any = None, **headers: str) -> tuple[dict[str, str], Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(answer.headers), json.load(answer)


def test_every_service_is_healthy_by_its_own_check(system: System) -> None:
    for name, process in {**system.workers, "gateway": system.gateway}.items():
        assert system.here.healthy(name, process), process.log_tail()
    assert system.here.healthy("payment", system.second_payment)


def test_kafka_answers_containers_and_the_host(system: System) -> None:
    for name in ("kafka", "kafka_host"):
        assert kafka_answers(LOOPBACK, system.here.port[name])


def test_an_order_sent_to_nginx_is_confirmed(system: System) -> None:
    stocked = system.here.run("order", "faust", "-A", "app", "stock", "--csv", "-")
    assert stocked.returncode == 0, stocked.stdout + stocked.stderr

    headers, order = ask(f"{system.nginx.url}/api/orders", ORDER, Prefer="wait=30")

    assert order["status"] == "CONFIRMED"
    assert headers["X-Instance-Id"] == "gateway-gateway-1"


def test_replicas_of_a_service_have_names_of_their_own(system: System) -> None:
    replicas = [system.workers["payment"], system.second_payment]

    names = [ask(f"{replica.url}/readyz")[0]["X-Instance-Id"] for replica in replicas]

    assert names == ["payment-payment-1", "payment-payment-2"]


def test_a_replica_that_is_killed_comes_back_into_its_group(system: System) -> None:
    """As a container that its restart policy starts again: the same name, the same address."""
    replica = system.second_payment
    replica.kill9()

    assert not system.here.healthy("payment", replica)
    replica.start()
    replica.wait_ready()

    assert system.here.healthy("payment", replica)


def test_a_worker_that_is_stopped_leaves_and_its_check_says_so(system: System) -> None:
    replica = system.second_payment

    assert replica.terminate(), replica.log_tail()

    assert not system.here.healthy("payment", replica)
    first = system.workers["payment"]
    assert wait_until(lambda: system.here.healthy("payment", first), 20)


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
