"""What an environment asks for: programs, addresses, defaults and refusals."""

from pathlib import Path

import pytest

from infra.local.errors import LocalError
from infra.local.process import Program
from infra.local.run import Run
from infra.local.world import World


def world(folder: Path, **environment: str) -> World:
    return World(folder, environment, say=lambda _: None)


def names(programs: list[Program]) -> list[str]:
    return [program.name for program in programs]


def named(programs: list[Program], name: str) -> Program:
    return next(program for program in programs if program.name == name)


def test_by_default_there_are_two_workers_of_all_services(tmp_path: Path) -> None:
    programs = world(tmp_path).programs()

    expected = ["kafka", "mongo", "redis", "worker-1", "worker-2", "gateway", "nginx"]
    assert expected == names(programs)
    assert named(programs, "worker-2").environment["SERVICES"] == "all"
    assert named(programs, "worker-2").ports[0].number == 6067


def test_split_starts_one_worker_a_service_each_at_its_own_port(tmp_path: Path) -> None:
    workers = [one for one in world(tmp_path, SPLIT="1").programs() if "worker" in one.name]

    services = [worker.environment["SERVICES"] for worker in workers]
    assert services == ["order", "inventory", "payment"]
    assert [worker.ports[0].number for worker in workers] == [6066, 6067, 6068]


def test_no_workers_means_the_servers_only(tmp_path: Path) -> None:
    assert names(world(tmp_path, WORKERS="0").programs()) == ["kafka", "mongo", "redis"]


def test_the_gateway_is_told_of_every_worker(tmp_path: Path) -> None:
    gateway = named(world(tmp_path, WORKERS="3", WORKER_PORT="7000").programs(), "gateway")

    expected = "http://127.0.0.1:7000,http://127.0.0.1:7001,http://127.0.0.1:7002"
    assert expected == gateway.environment["GATEWAY_WORKERS"]


def test_servers_named_by_the_environment_are_used_and_not_started(tmp_path: Path) -> None:
    theirs = world(
        tmp_path, KAFKA_BOOTSTRAP_SERVERS="broker:9092", REDIS_URL="redis://cache:6379/1"
    )
    programs = theirs.programs()

    assert "kafka" not in names(programs)
    assert "redis" not in names(programs)
    assert named(programs, "worker-1").environment["KAFKA_BOOTSTRAP_SERVERS"] == "broker:9092"
    assert named(programs, "gateway").environment["REDIS_URL"] == "redis://cache:6379/1"


@pytest.mark.parametrize("workers", ["none", "-1", "65"])
def test_a_number_of_workers_out_of_range_is_refused_by_name(tmp_path: Path, workers: str) -> None:
    with pytest.raises(LocalError, match=f"WORKERS={workers}"):
        world(tmp_path, WORKERS=workers)


def test_up_sets_no_simulation_and_leaves_authentication_off(tmp_path: Path) -> None:
    worker = named(world(tmp_path).programs(), "worker-1")

    assert "PAYMENT_FAILURE_RATE" not in worker.environment
    assert worker.environment["AUTH"] == "off"


def test_a_user_who_sets_authentication_keeps_it(tmp_path: Path) -> None:
    assert "AUTH" not in world(tmp_path, AUTH="on").environment()


def test_run_sets_the_rates_that_show_each_outcome_but_not_over_the_users_own(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, {"PAYMENT_SEED": "3"})

    programs = run.world.programs()
    worker = named(programs, "worker-1").environment
    assert worker["PAYMENT_FAILURE_RATE"] == "0.05"
    assert worker["INVENTORY_FAILURE_RATE"] == "0.02"
    assert "PAYMENT_SEED" not in worker
    assert run.orders == 2000


def test_run_uses_the_gateway_that_up_has_started(tmp_path: Path) -> None:
    of_up = named(world(tmp_path).programs(), "gateway")
    of_run = named(Run(tmp_path, {}).world.programs(), "gateway")

    assert of_run.shape() == of_up.shape()


def test_a_gateway_with_other_workers_behind_it_is_told_apart(tmp_path: Path) -> None:
    two = named(world(tmp_path).programs(), "gateway")
    three = named(world(tmp_path, WORKERS="3").programs(), "gateway")

    assert two.shape() != three.shape()
