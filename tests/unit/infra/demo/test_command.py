"""The commands: exit status 0, 1 or 2, and nothing started for a question."""

import argparse
import os
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from infra.demo import balancing, command, kafka_lessons, race, saga, scaling, trace
from infra.demo.api import Api
from infra.demo.claims import Claims, DemoError, NotUpError, Status
from infra.demo.command import Demo, main, run
from infra.demo.system import Simulation, System, running
from infra.local.ports import free_ports
from infra.local.world import World

FOLDER = Path(command.__file__).parent
DEMOS = (balancing, kafka_lessons, race, saga, scaling, trace)
NAMES = {
    "test-scaling",
    "test-load-balancing",
    "test-kafka",
    "test-saga",
    "test-race-condition",
    "trace-follow",
}


@pytest.fixture
def system(tmp_path: Path) -> System:
    """Nothing answers there; a token is not asked for where one is given."""
    environment = {"NGINX_PORT": str(free_ports(1)[0])}
    return System(World(tmp_path, environment), Simulation())


async def true(api: Api, claims: Claims, options: argparse.Namespace) -> None:
    claims.claim("two and two are four", holds=2 + 2 == 4, evidence="4")


async def false(api: Api, claims: Claims, options: argparse.Namespace) -> None:
    claims.claim("two and two are five", holds=2 + 2 == 5, evidence="4")


async def broken(api: Api, claims: Claims, options: argparse.Namespace) -> None:
    claims.claim("two and two are four", holds=True, evidence="4")
    raise DemoError("then it answered 500")


async def mistaken(api: Api, claims: Claims, options: argparse.Namespace) -> None:
    claims.claim("two and two are four", holds=True, evidence="4")
    raise ZeroDivisionError


def outcome(system: System, show: object) -> int:
    demo = Demo("test-of-tests", "", show)  # type: ignore[arg-type]
    options = demo.parser().parse_args(["--token", "any"])
    return run(demo, system, Console(quiet=True), options).status


def test_true_claims_end_with_0_and_a_false_one_with_1(system: System) -> None:
    assert Status.HOLDS == outcome(system, true)
    assert Status.FAILS == outcome(system, false)


def test_true_claims_do_not_make_up_for_an_end_before_the_end(system: System) -> None:
    assert Status.FAILS == outcome(system, broken)
    assert Status.FAILS == outcome(system, mistaken)


def test_a_demonstration_that_takes_too_long_fails(system: System) -> None:
    async def endless(api: Api, claims: Claims, options: argparse.Namespace) -> None:
        claims.claim("two and two are four", holds=True, evidence="4")
        await command.asyncio.Event().wait()

    demo = Demo("test-of-tests", "", endless)
    options = demo.parser().parse_args(["--token", "any", "--seconds", "0.01"])
    assert Status.FAILS == run(demo, system, Console(quiet=True), options).status


def test_without_a_system_the_status_is_2_and_what_to_do_is_said(tmp_path: Path) -> None:
    port = str(free_ports(1)[0])
    with pytest.raises(NotUpError, match="run `make up` first"):
        running({"NGINX_PORT": port}, tmp_path)
    with pytest.raises(NotUpError, match="NGINX_PORT=x is no port"):
        running({"NGINX_PORT": "x"}, tmp_path)


def test_main_ends_with_2_where_nothing_is_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NGINX_PORT", str(free_ports(1)[0]))
    monkeypatch.setattr(command, "prepare", lambda: None)
    assert Status.NOT_UP == main(race.DEMO, [])
    assert "make up" in capsys.readouterr().out


@pytest.mark.parametrize("module", DEMOS)
def test_every_demonstration_says_what_it_proves(
    module: object, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(module.DEMO, ["--help"])  # type: ignore[attr-defined]
    assert 0 == ended.value.code
    text = capsys.readouterr().out
    assert module.DEMO.about.split(".")[0] in text  # type: ignore[attr-defined]
    assert "Exit status: 0 all claims hold, 1 one does not, 2 no system is up." in text


def test_there_is_an_executable_for_each_which_starts_it_from_anywhere(tmp_path: Path) -> None:
    assert NAMES == {module.DEMO.name for module in DEMOS}
    assert all(os.access(FOLDER / name, os.X_OK) for name in (*NAMES, "run"))
    started = {}
    for module in DEMOS:
        done = subprocess.run(
            [FOLDER / module.DEMO.name, "x"],
            cwd=tmp_path,
            # Says how it was called, in place of Python.
            env={"PATH": os.environ["PATH"], "PYTHON": "echo"},
            capture_output=True,
            text=True,
            check=True,
        )
        started[module.DEMO.name] = done.stdout.strip()
    assert {m.DEMO.name: f"-m {m.__name__} x" for m in DEMOS} == started


def test_without_the_projects_python_the_status_is_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [FOLDER / "test-saga"],
        env={"PATH": os.environ["PATH"], "PYTHON": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 2 == done.returncode
    assert "make up" in done.stderr
