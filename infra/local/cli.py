"""`python -m infra.local`: the commands behind the Makefile."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.local import java, prometheus
from infra.local.errors import LocalError
from infra.local.given import flag
from infra.local.health import HEALTHY, condition
from infra.local.install import install, install_browser
from infra.local.process import Started
from infra.local.run import Run
from infra.local.world import NAME, World

# Least width of the column of healths.
HEALTH = 12
FOLDER = java.ROOT / ".local"


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    parser.add_argument("command", choices=[*COMMANDS, "kafka-tool"])
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="arguments of a Kafka tool")
    parsed = parser.parse_args(arguments)
    try:
        if parsed.command == "kafka-tool":
            return kafka_tool(parsed.rest)
        if parsed.rest:
            parser.error(f"{parsed.command} takes no arguments; settings come by environment")
        return COMMANDS[parsed.command](FOLDER, os.environ)
    except LocalError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; `make down` stops what was started.", file=sys.stderr)
        return 130


def up(folder: Path, environment: Mapping[str, str]) -> int:
    """Start what is missing, in the background."""
    world = World(folder, environment)
    world.check()
    install(optional=prometheus.wanted(environment))
    print("Starting what is missing:", flush=True)
    world.up([])
    api = f"console: {world.console}; API: {world.api}; " if world.has_workers() else ""
    if api and world.front.tls is not None:
        certificate = world.front.tls.certificate.path
        api += f"with TLS: {world.tls_api} (certificate: {certificate}); "
    if world.prometheus is not None:
        api += f"Prometheus: {world.prometheus}; "
    print(f"Ready. {api}logs: {folder / 'logs'}; `make down` stops it.")
    return 0


def down(folder: Path, environment: Mapping[str, str]) -> int:
    """Stop all that was started from this checkout."""
    world = World(folder, environment)
    with world.state.locked():
        if not world.state.load().programs:
            print("Nothing runs.")
        world.down()
        world.state.clear()
    return 0


def restart(folder: Path, environment: Mapping[str, str]) -> int:
    """Start workers and gateways anew, one after another, while the others go on."""
    world = World(folder, environment)
    print("Starting workers and gateways anew, one after another:", flush=True)
    world.restart()
    return 0


def status(folder: Path, environment: Mapping[str, str]) -> int:
    """Print what should run, and whether it does; 0 only if all is healthy."""
    state = World(folder, environment).state.load()
    if not state.programs:
        print("Nothing runs. `make up` starts everything.")
        return 1
    ours = {started.name: started for started in state.programs}
    checks = {**state.wanted, **{one.name: one.check for one in ours.values()}}
    with ThreadPoolExecutor(max_workers=len(checks)) as pool:
        healths = list(pool.map(lambda name: _health(ours.get(name), checks[name]), checks))
    width = max(HEALTH, *(len(health) for health in healths))
    print(f"{'NAME':<{NAME}} {'PID':>8} {'PORT':>6}  {'HEALTH':<{width}} LOG")
    for (name, check), health in zip(checks.items(), healths, strict=True):
        started = ours.get(name)
        port = check.split("://")[-1].split("/")[0].rpartition(":")[2]
        pid, log = (str(started.pid), started.log) if started else ("-", "-")
        print(f"{name:<{NAME}} {pid:>8} {port:>6}  {health:<{width}} {log}")
    return 0 if all(health == HEALTHY for health in healths) else 1


def _health(started: Started | None, check: str) -> str:
    if started is not None and not started.alive():
        return "ended"
    health = condition(check)
    return "not started" if started is None and health != HEALTHY else health


def clean(folder: Path, environment: Mapping[str, str]) -> int:
    """Stop all and forget its data and logs; `ALL=1` also the Java build."""
    result = down(folder, environment)
    forget = ["data", "logs", "secrets", *(["java"] if flag(environment, "ALL") else [])]
    for name in forget:
        shutil.rmtree(folder / name, ignore_errors=True)
    print(f"Forgot {', '.join(forget)} in {folder}.")
    return result


def run(folder: Path, environment: Mapping[str, str]) -> int:
    """Start all in the foreground, send orders, check the books."""
    wanted = Run(folder, environment)
    wanted.world.check()
    install(optional=prometheus.wanted(environment))
    return wanted.main()


def install_tests(folder: Path, environment: Mapping[str, str]) -> int:
    """What `install` does, and a browser to test the console with."""
    install()
    install_browser()
    return 0


def install_only(folder: Path, environment: Mapping[str, str]) -> int:
    """Install the system's packages and build the Java servers."""
    install()
    return 0


def kafka_tool(rest: list[str]) -> int:
    """Become one of Kafka's own tools, pointed at our broker."""
    name, *arguments = rest or [""]
    if name not in java.TOOLS:
        raise LocalError(f"which tool? One of: {', '.join(java.TOOLS)}")
    if not any(one.startswith("--bootstrap-") for one in arguments) and name != "dump-log":
        broker = World(FOLDER, os.environ).environment()["KAFKA_BOOTSTRAP_SERVERS"]
        arguments = ["--bootstrap-server", broker, *arguments]
    java.build()
    command = java.java_command(java.TOOLS[name], *arguments)
    os.execv(command[0], command)


COMMANDS: dict[str, Callable[[Path, Mapping[str, str]], int]] = {
    "up": up,
    "down": down,
    "restart": restart,
    "status": status,
    "clean": clean,
    "run": run,
    "install": install_only,
    "install-tests": install_tests,
}
