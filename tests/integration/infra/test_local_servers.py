"""Real servers on free ports: stop and start, pause, kill, and nothing left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from pymongo import MongoClient

from infra.local import java
from infra.local.errors import LocalError
from infra.local.health import answers, redis_answers, wait_until
from infra.local.java import ROOT
from infra.local.ports import LOOPBACK, Ports, is_free
from infra.local.process import Started, kill, start_ticks
from infra.local.state import StateFile
from infra.local.testing import LocalServers
from infra.local.world import World

pytestmark = pytest.mark.timeout(150)
# One look has two seconds, which a busy machine may need for anything.
PATIENCE_SECONDS = 30


def redis_call(servers: LocalServers, *words: str) -> bytes:
    with socket.create_connection((LOOPBACK, servers.ports.redis.number), 5) as connection:
        connection.sendall(" ".join(words).encode() + b"\r\n")
        return connection.recv(1000)


def create_topic(servers: LocalServers, name: str, partitions: int) -> None:
    tool = (sys.executable, "-m", "infra.local", "kafka-tool", "topics")
    wanted = ("--create", "--topic", name, "--partitions", str(partitions))
    command = (*tool, "--bootstrap-server", servers.kafka, *wanted)
    subprocess.run(command, cwd=ROOT, timeout=60, check=True, capture_output=True)


def kafka_topics(servers: LocalServers) -> str:
    listed = subprocess.run(
        ["kcat", "-L", "-b", servers.kafka], capture_output=True, text=True, timeout=30, check=True
    )
    return listed.stdout


def test_kafka_runs_on_the_archive_of_its_classes(local_servers: LocalServers) -> None:
    kept = java.kafka_archive()

    maps = Path(f"/proc/{local_servers.process('kafka').pid}/maps").read_text()

    assert kept.stat().st_size > 0
    assert str(kept) in maps


def test_stopped_servers_come_back_at_their_ports_with_their_data(tmp_path: Path) -> None:
    with LocalServers(tmp_path) as servers:
        before = (servers.kafka, servers.mongodb_url, servers.redis_url)
        assert redis_call(servers, "SET", "colour", "blue").startswith(b"+OK")
        with MongoClient(servers.mongodb_url) as client:
            client["shop"]["things"].insert_one({"_id": 1})
        create_topic(servers, "kept", partitions=3)

        servers.stop()
        assert is_free(servers.ports.kafka.number)
        servers.start()

        assert (servers.kafka, servers.mongodb_url, servers.redis_url) == before
        assert b"blue" in redis_call(servers, "GET", "colour")
        with MongoClient(servers.mongodb_url) as client:
            assert client["shop"]["things"].count_documents({}) == 1
        assert 'topic "kept" with 3 partitions' in kafka_topics(servers)


def test_only_the_servers_asked_for_are_started(tmp_path: Path) -> None:
    with LocalServers(tmp_path, only={"redis"}) as servers:
        assert wait_until(servers.process("redis").is_ready, PATIENCE_SECONDS)
        assert is_free(servers.ports.mongodb.number)
        assert is_free(servers.ports.kafka.number)


def test_a_java_server_keeps_its_log_short(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "mongo.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * 3_000_000)

    with LocalServers(tmp_path, only={"mongo"}) as servers:
        assert wait_until(lambda: "ready at mongodb://" in log.read_text(), PATIENCE_SECONDS)
        assert log.stat().st_size < 10_000
        assert "ready at mongodb://" in servers.process("mongo").log_tail()
    assert log.with_name("mongo.log.1").stat().st_size >= 3_000_000


def test_a_paused_server_keeps_its_port_and_answers_nothing_until_it_goes_on(
    tmp_path: Path,
) -> None:
    with LocalServers(tmp_path, only={"redis"}) as servers:
        servers.pause("redis")
        paused = redis_answers(LOOPBACK, servers.ports.redis.number)
        port_is_free = is_free(servers.ports.redis.number)
        servers.resume("redis")

        assert not paused
        assert not port_is_free
        assert wait_until(servers.process("redis").is_ready, PATIENCE_SECONDS)


def test_a_killed_kafka_starts_again_with_what_it_had_acknowledged(tmp_path: Path) -> None:
    with LocalServers(tmp_path, only={"kafka"}) as servers:
        produce = ["kcat", "-P", "-b", servers.kafka, "-t", "kept", "-X", "acks=all"]
        create_topic(servers, "kept", partitions=1)
        subprocess.run(produce, input=b"one\ntwo\n", timeout=30, check=True)

        servers.process("kafka").kill9()
        servers.start("kafka")

        consume = ["kcat", "-C", "-e", "-q", "-b", servers.kafka, "-t", "kept"]
        got = subprocess.run(consume, capture_output=True, timeout=30, check=True)
        assert got.stdout == b"one\ntwo\n"


def test_servers_die_with_a_test_process_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import json, pathlib, time\n"
        "from infra.local.testing import LocalServers\n"
        f"with LocalServers(pathlib.Path({str(tmp_path)!r}), only={{'redis', 'mongo'}}) as s:\n"
        "    print(json.dumps([s.process(n).pid for n in s.names]), flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pids = json.loads(owner.stdout.readline())
        alive = [start_ticks(pid) is not None for pid in pids]
        owner.kill()

    assert alive == [True, True]
    assert wait_until(lambda: all(start_ticks(pid) is None for pid in pids), 20)


def variables(ports: Ports) -> dict[str, str]:
    """The variables that give a launcher in a process of its own these ports."""
    chosen = {
        "KAFKA_PORT": ports.kafka,
        "KAFKA_CONTROLLER_PORT": ports.kafka_controller,
        "MONGODB_PORT": ports.mongodb,
        "REDIS_PORT": ports.redis,
        "WORKER_PORT": ports.worker,
        "GATEWAY_PORT": ports.gateway,
        "NGINX_PORT": ports.nginx,
        "PROMETHEUS_PORT": ports.prometheus,
    }
    return {variable: str(port.number) for variable, port in chosen.items()}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = servers_only(tmp_path)
    yield made
    for started in made.state.load().programs:
        kill(started)


def servers_only(folder: Path) -> World:
    environment = {**variables(Ports.free()), "WORKERS": "0"}
    return World(folder, environment, say=lambda _: None)


def up(world: World) -> list[Started]:
    fresh: list[Started] = []
    world.up(fresh)
    return fresh


def test_up_said_twice_starts_nothing_the_second_time(world: World) -> None:
    first = up(world)
    second = up(world)

    assert [one.name for one in first] == ["kafka", "mongo", "redis"]
    assert second == []
    assert all(wait_until(partial(answers, one.check), PATIENCE_SECONDS) for one in first)


def test_up_starts_only_what_has_died_and_down_leaves_nothing(world: World) -> None:
    first = {one.name: one for one in up(world)}
    os.kill(first["redis"].pid, signal.SIGKILL)
    assert wait_until(lambda: not first["redis"].alive(), PATIENCE_SECONDS)

    again = up(world)
    world.down()

    assert [one.name for one in again] == ["redis"]
    assert not any(one.alive() for one in [*first.values(), *again])
    assert world.state.load().programs == []


def test_down_clears_what_a_killed_launcher_left_and_up_works_after_it(tmp_path: Path) -> None:
    world = servers_only(tmp_path)
    environment = {**os.environ, **variables(world.ports), "WORKERS": "0"}
    script = (
        "import os, pathlib, time\n"
        "from infra.local.world import World\n"
        f"World(pathlib.Path({str(tmp_path)!r}), os.environ).up([])\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    ) as launcher:
        begun = wait_until(lambda: len(world.state.load().programs) == 3, 30)
        launcher.kill()
    left = world.state.load().programs

    world.down()
    gone = not any(one.alive() for one in left)
    fresh = up(world)
    world.down()

    assert begun
    assert gone
    assert len(fresh) == 3


def test_a_taken_port_stops_up_before_the_program_starts(world: World) -> None:
    number = world.ports.mongodb.number
    with (
        # It takes the port also where connections of a server before have not quite ended yet.
        socket.create_server((LOOPBACK, number)),
        pytest.raises(LocalError, match=f"port {number} is taken by pid"),
    ):
        up(world)

    assert "mongo" not in world.state.load().running()


@pytest.mark.parametrize("interrupts", [1, 2])
def test_an_interrupted_run_stops_all_that_it_has_started(tmp_path: Path, interrupts: int) -> None:
    script = (
        "import os, pathlib, sys\n"
        "from infra.local.run import Run\n"
        f"sys.exit(Run(pathlib.Path({str(tmp_path)!r}), os.environ).main())\n"
    )
    state = StateFile(tmp_path / "state.json")
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, **variables(Ports.free())},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as launcher:
        begun = wait_until(lambda: len(state.load().programs) == 3, 30)
        left = state.load().programs
        for _ in range(interrupts):
            launcher.send_signal(signal.SIGINT)
        output, _ = launcher.communicate(timeout=60)

    assert begun
    assert launcher.returncode == 130, output
    assert not any(one.alive() for one in left)
    assert state.load().programs == []
