"""What an environment asks for: programs, addresses, defaults and refusals."""

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from app.parts import services_of
from infra.local.errors import LocalError
from infra.local.health import answers
from infra.local.places import require_apart
from infra.local.ports import LOOPBACK, Ports, free_ports
from infra.local.process import Program, Stage, Started, start_ticks
from infra.local.run import Run
from infra.local.world import World, foreign_check

# Of the default saga.
SERVICES = services_of()


def world(folder: Path, **environment: str) -> World:
    return World(folder, environment, say=lambda _: None)


def names(programs: list[Program]) -> list[str]:
    return [program.name for program in programs]


def named(programs: list[Program], name: str) -> Program:
    return next(program for program in programs if program.name == name)


def test_by_default_there_are_two_workers_of_all_services(tmp_path: Path) -> None:
    programs = world(tmp_path).programs()

    servers = ["kafka", "mongo", "redis"]
    assert [*servers, "worker-1", "worker-2", "gateway-1", "nginx", "prometheus"] == names(programs)
    assert named(programs, "worker-2").environment["SERVICES"] == "all"
    assert named(programs, "worker-2").ports[0].number == 6067


def test_split_starts_one_worker_a_service_each_at_its_own_port(tmp_path: Path) -> None:
    workers = [one for one in world(tmp_path, SPLIT="1").programs() if "worker" in one.name]

    services = [worker.environment["SERVICES"] for worker in workers]
    assert list(SERVICES) == services
    ports = [6066 + n for n in range(len(SERVICES))]
    assert ports == [worker.ports[0].number for worker in workers]


def test_no_workers_means_the_servers_only(tmp_path: Path) -> None:
    assert names(world(tmp_path, WORKERS="0").programs()) == ["kafka", "mongo", "redis"]


def test_the_gateway_is_told_of_every_worker(tmp_path: Path) -> None:
    gateway = named(world(tmp_path, WORKERS="3", WORKER_PORT="7000").programs(), "gateway-1")

    expected = "http://127.0.0.1:7000,http://127.0.0.1:7001,http://127.0.0.1:7002"
    assert expected == gateway.environment["GATEWAY_WORKERS"]


def test_each_process_keeps_its_spans_in_a_file_of_those_requests_that_ask_for_it(
    tmp_path: Path,
) -> None:
    programs = world(tmp_path).programs()
    own = [one.environment for one in programs if one.stage in (Stage.WORKER, Stage.GATEWAY)]

    assert 3 == len({environment["TRACES_FILE"] for environment in own})
    assert {"parentbased_always_off"} == {one["OTEL_TRACES_SAMPLER"] for one in own}


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, {"OTEL_TRACES_SAMPLER"}),
        ({"OTEL_TRACES_SAMPLER": "always_on"}, {"OTEL_TRACES_SAMPLER"}),
        ({"TRACES_FILE": "/tmp/spans"}, {"OTEL_TRACES_SAMPLER", "TRACES_FILE"}),
    ],
    ids=("collector", "sampler", "file"),
)
def test_who_says_where_spans_go_or_which_are_kept_is_not_overruled(
    tmp_path: Path, given: dict[str, str], missing: set[str]
) -> None:
    worker = named(world(tmp_path, **given).programs(), "worker-1").environment

    assert missing == {"OTEL_TRACES_SAMPLER", "TRACES_FILE"} - worker.keys()


def test_each_gateway_has_a_name_and_a_port_of_its_own_and_nginx_knows_all(tmp_path: Path) -> None:
    asked = world(tmp_path, GATEWAYS="3", GATEWAY_PORT="4000")
    gateways = [one for one in asked.programs() if one.stage == Stage.GATEWAY]

    expected = [("gateway-1", "4000"), ("gateway-2", "4001"), ("gateway-3", "4002")]
    found = [(one.environment["GATEWAY_NAME"], one.environment["GATEWAY_PORT"]) for one in gateways]
    assert expected == found
    nginx = named(asked.programs(), "nginx")
    assert nginx.prepare is not None
    nginx.prepare()
    written = (tmp_path / "data" / "nginx" / "gateways.conf").read_text()
    assert ["127.0.0.1:4000", "127.0.0.1:4001", "127.0.0.1:4002"] == [
        line.split()[1] for line in written.splitlines() if line.startswith("server ")
    ]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("GATEWAYS", "0"), ("GATEWAYS", "17"), ("NGINX_STRATEGY", "random")],
)
def test_what_nginx_can_not_do_is_refused_by_name(
    tmp_path: Path, variable: str, value: str
) -> None:
    with pytest.raises(LocalError, match=f"{variable}={value}"):
        world(tmp_path, **{variable: value})


def test_servers_named_by_the_environment_are_used_and_not_started(tmp_path: Path) -> None:
    theirs = world(
        tmp_path, KAFKA_BOOTSTRAP_SERVERS="broker:9092", REDIS_URL="redis://cache:6379/1"
    )
    programs = theirs.programs()

    assert "kafka" not in names(programs)
    assert "redis" not in names(programs)
    assert named(programs, "worker-1").environment["KAFKA_BOOTSTRAP_SERVERS"] == "broker:9092"
    assert named(programs, "gateway-1").environment["REDIS_URL"] == "redis://cache:6379/1"


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


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"CSV": "/nope"}, "CSV=/nope: there is no such file"),
        ({"CSV": "infra"}, "CSV=infra: there is no such file"),
        ({"CSV": "-", "ORDERS": "0"}, "ORDERS=0 means all, and generated orders have no end"),
    ],
)
def test_a_run_without_orders_to_send_is_refused_before_anything_starts(
    tmp_path: Path, environment: dict[str, str], complaint: str
) -> None:
    with pytest.raises(LocalError, match=complaint):
        Run(tmp_path, environment)


def test_a_ledger_is_looked_for_from_the_repositorys_root(tmp_path: Path) -> None:
    assert Run(tmp_path, {"CSV": "README.md"}).csv == "README.md"


def test_run_uses_the_gateway_that_up_has_started(tmp_path: Path) -> None:
    of_up = named(world(tmp_path).programs(), "gateway-1")
    of_run = named(Run(tmp_path, {}).world.programs(), "gateway-1")

    assert of_run.shape() == of_up.shape()


def test_a_gateway_with_other_workers_behind_it_is_told_apart(tmp_path: Path) -> None:
    two = named(world(tmp_path).programs(), "gateway-1")
    three = named(world(tmp_path, WORKERS="3").programs(), "gateway-1")

    assert two.shape() != three.shape()


def free_environment() -> dict[str, str]:
    """Variables that give each program a port of its own that is free."""
    ports = Ports.free()
    return {
        "KAFKA_PORT": str(ports.kafka.number),
        "KAFKA_CONTROLLER_PORT": str(ports.kafka_controller.number),
        "MONGODB_PORT": str(ports.mongodb.number),
        "REDIS_PORT": str(ports.redis.number),
        "GATEWAY_PORT": str(ports.gateway.number),
        "NGINX_PORT": str(ports.nginx.number),
        "NGINX_TLS_PORT": str(ports.nginx_tls.number),
        "PROMETHEUS_PORT": str(ports.prometheus.number),
        "WORKER_PORT": str(ports.worker.number),
        "WORKERS": "1",
    }


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        (
            {"NGINX_PORT": "3000"},
            r"port 3000 is asked for by gateway-1 \(GATEWAY_PORT\) and nginx \(NGINX_PORT\)",
        ),
        (
            {"KAFKA_PORT": "27016"},
            r"port 27017 is asked for by kafka \(KAFKA_CONTROLLER_PORT\) and mongo",
        ),
        (
            {"GATEWAYS": "3", "NGINX_PORT": "3002"},
            r"port 3002 is asked for by gateway-3 \(GATEWAY_PORT\) and nginx \(NGINX_PORT\)",
        ),
        (
            {"GATEWAYS": "2", "GATEWAY_PORT": "6066"},
            r"port 6067 is asked for by worker-2 \(WORKER_PORT\) and gateway-2 \(GATEWAY_PORT\)",
        ),
        (
            {"NGINX_TLS": "on", "NGINX_TLS_PORT": "8000"},
            r"port 8000 is asked for by nginx \(NGINX_PORT\) and nginx \(NGINX_TLS_PORT\)",
        ),
        ({"WORKER_PORT": "7999"}, r"port 8000 is asked for by worker-2 \(WORKER_PORT\) and nginx"),
        ({"WORKER_PORT": "65535"}, r"worker-2 \(WORKER_PORT\) would need port 65536"),
    ],
)
def test_two_programs_at_one_port_are_refused_by_name(
    tmp_path: Path, environment: dict[str, str], complaint: str
) -> None:
    with pytest.raises(LocalError, match=complaint):
        require_apart(world(tmp_path, **environment).programs())


def test_every_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    chosen = world(tmp_path, **free_environment())
    with socket.socket() as first, socket.socket() as second:
        for server, port in ((first, chosen.ports.redis), (second, chosen.ports.nginx)):
            server.bind((LOOPBACK, port.number))
            server.listen()

        with pytest.raises(LocalError) as caught:
            chosen.check()

    assert [line.split(" ")[0] for line in str(caught.value).splitlines()] == ["redis", "nginx"]
    assert not chosen.has_data()


def test_a_wrong_setting_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICES", "foo")

    with pytest.raises(LocalError, match="error: SERVICES='foo': no service foo"):
        world(tmp_path, **free_environment()).check()


def test_what_is_right_passes_and_leaves_no_data(tmp_path: Path) -> None:
    chosen = world(tmp_path, **free_environment())
    chosen.check()

    assert not chosen.has_data()
    (tmp_path / "data" / "mongo" / "mongo.db").touch()
    assert chosen.has_data()


@pytest.mark.parametrize(
    ("gateways", "expected"),
    [
        (1, []),
        (
            2,
            [
                *("nginx for gateway-2", "gateway-1 down", "gateway-1 up"),
                *("nginx for gateway-1", "gateway-2 down", "gateway-2 up"),
                "nginx for gateway-1 and gateway-2",
            ],
        ),
    ],
)
def test_a_restart_takes_workers_and_then_gateways_that_are_not_alone_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gateways: int, expected: list[str]
) -> None:
    chosen = world(tmp_path, WORKERS="3", GATEWAYS=str(gateways))
    programs = {program.name: program for program in chosen.programs()}
    running = ("kafka", "worker-1", "worker-3", *(f"gateway-{n + 1}" for n in range(gateways)))
    for name in (*running, "nginx"):
        chosen.state.add(replace(ourselves(name), check=programs[name].check))
    done: list[str] = []
    monkeypatch.setattr(
        chosen, "down", lambda group: done.extend(f"{one.name} down" for one in group)
    )
    monkeypatch.setattr(
        chosen, "_start", lambda group, fresh: done.extend(f"{one.name} up" for one in group)
    )
    monkeypatch.setattr(
        chosen,
        "_front",
        lambda group: done.append(f"nginx for {' and '.join(one.name for one in group)}"),
    )

    chosen.restart()

    workers = ["worker-1 down", "worker-1 up", "worker-3 down", "worker-3 up"]
    assert [*workers, *expected] == done


def test_a_restart_names_what_it_has_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    chosen = World(tmp_path, {"WORKERS": "1"}, say=said.append)
    programs = {program.name: program for program in chosen.programs()}
    for name in ("worker-1", "gateway-1"):
        chosen.state.add(
            replace(ourselves(name), check=programs[name].check, stage=programs[name].stage)
        )
    chosen.state.add(ourselves("worker-2"))
    monkeypatch.setattr(chosen, "_again", lambda program, running: None)

    chosen.restart()

    (line,) = said
    assert line.startswith("  gateway-1, worker-2: left as before.")


def test_gateways_that_should_have_other_workers_start_again_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = world(tmp_path, GATEWAYS="3")
    gateways = [one for one in chosen.programs() if one.stage == Stage.GATEWAY]
    for program in gateways[:2]:
        chosen.state.add(replace(ourselves(program.name), stage=Stage.GATEWAY))
    done: list[str] = []
    monkeypatch.setattr(
        chosen, "_spawn", lambda program, running, fresh: done.append(f"{program.name} spawned")
    )
    monkeypatch.setattr(
        chosen, "_wait", lambda program, started: done.append(f"{program.name} ready")
    )
    monkeypatch.setattr(
        chosen, "down", lambda group: done.extend(f"{one.name} down" for one in group)
    )

    chosen._start(gateways, [])

    expected = [
        *("gateway-3 spawned", "gateway-3 ready"),
        *("gateway-1 down", "gateway-1 spawned", "gateway-1 ready"),
        *("gateway-2 down", "gateway-2 spawned", "gateway-2 ready"),
    ]
    assert expected == done


def test_a_port_that_a_running_nginx_is_to_take_as_well_must_be_free(tmp_path: Path) -> None:
    ports = free_environment()
    chosen = world(tmp_path, **ports, NGINX_TLS="on")
    nginx = named(chosen.programs(), "nginx")
    chosen.state.add(replace(ourselves("nginx"), check=nginx.check, stage=Stage.FRONT))
    with socket.socket() as taken:
        taken.bind((LOOPBACK, chosen.ports.nginx_tls.number))
        taken.listen()

        with pytest.raises(LocalError, match=f"port {ports['NGINX_TLS_PORT']}"):
            chosen._require_places([nginx])

    chosen._require_places([nginx])


def test_a_restart_of_nothing_says_what_starts_it(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="make up"):
        world(tmp_path).restart()


def test_workers_and_gateways_that_are_too_many_now_are_named_and_left(tmp_path: Path) -> None:
    said: list[str] = []
    asked = World(tmp_path, {"WORKERS": "1"}, say=said.append)
    for name in ("worker-1", "worker-2", "worker-3"):
        asked.state.add(ourselves(name))
    asked.state.add(replace(ourselves("gateway-2"), stage=Stage.GATEWAY))

    asked._say_surplus({"kafka", "worker-1"})

    workers, gateways = said
    assert workers.startswith("  worker-2, worker-3: started before, not asked for now.")
    assert gateways.startswith("  gateway-2: started before, not asked for now.")
    assert len(asked.state.load().running()) == 4


def test_run_names_the_workers_that_its_rates_do_not_reach(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path, {})
    run.world.state.add(ourselves("worker-1"))
    run.fresh.append(ourselves("worker-2"))
    run.world.state.add(ourselves("worker-2"))

    run._say_kept()

    assert capsys.readouterr().out.startswith("worker-1 ran already, with the settings of that")


def test_run_says_nothing_of_workers_that_it_has_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Run(tmp_path, {})._say_kept()

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (2000, 2000, True),
        (500, 2000, True),
        (2000, 4000, False),
        (0, 2000, False),
        (None, 10, False),
    ],
)
def test_orders_that_were_already_there_are_explained(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    before: int | None,
    after: int,
    said: bool,
) -> None:
    run = Run(tmp_path, {})
    monkeypatch.setattr(run, "_orders_stored", lambda: after)

    run._say_old(before)

    out = capsys.readouterr().out
    assert said == ("`make clean run`" in out)
    assert not said or f"\n{after - (before or 0):,} of these orders are new." in out


def test_a_database_that_does_not_answer_has_no_count_of_orders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.local.run.COUNT_MS", 200)

    assert Run(tmp_path, {"MONGODB_PORT": str(free_ports(1)[0])})._orders_stored() is None


def ourselves(name: str) -> Started:
    """An entry of a program that runs: this very process. Never to be stopped."""
    return Started(
        name=name,
        pid=os.getpid(),
        ticks=start_ticks(os.getpid()) or 0,
        log="",
        address="",
        check="",
        shape="",
        mark="",
        stage=Stage.WORKER,
        stop_seconds=0.1,
    )


class Ended:
    """A run whose start and work are only pretended."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, status: int, **environment: str
    ) -> None:
        monkeypatch.setattr("infra.local.run.signal.signal", lambda *_: None)
        self.run = Run(folder, environment)
        monkeypatch.setattr(self.run.world, "up", lambda fresh: None)
        monkeypatch.setattr(self.run.world, "down", lambda fresh, hurry: None)
        monkeypatch.setattr(self.run, "_work", lambda: status)


@pytest.mark.parametrize("status", [0, 1])
def test_a_failed_run_that_leaves_at_once_shows_no_addresses(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
) -> None:
    run = Ended(tmp_path, monkeypatch, status, EXIT="1").run

    assert status == run.main()
    assert (status == 0) == ("API" in capsys.readouterr().out)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_run_that_ends_shows_the_terminals_cursor_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    terminal: bool,
) -> None:
    run = Ended(tmp_path, monkeypatch, 0, EXIT="1").run
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)

    run.main()

    assert terminal == capsys.readouterr().out.endswith("\x1b[?25h")


@pytest.mark.parametrize(
    ("protocol", "check"),
    [
        ({}, "kafka://b-1:9096"),
        ({"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, "kafka://b-1:9096"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "kafka+sasl_ssl://b-1:9096"),
    ],
)
def test_a_kafka_with_tls_or_a_password_is_left_to_those_who_can_ask_it(
    protocol: dict[str, str], check: str
) -> None:
    assert check == foreign_check("kafka", "b-1:9096,b-2:9096", protocol)
    assert answers("kafka+sasl_ssl://b-1:9096")
