"""The services of docker-compose.yml as processes of this machine.

What a service is given (command, variables, health check, nginx.conf) is what the file says; only
addresses are others: `kafka:19092` is a free port of loopback. MongoDB is the local server, since
the real one is in no package.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.local import java, servers
from infra.local.control import Process
from infra.local.ports import LOOPBACK, Port, free_ports
from infra.local.process import Program, Stage
from tests.unit.deploy import nginx
from tests.unit.deploy.compose import ROOT, environment_of, services

ENTRYPOINT = str(ROOT / "infra" / "compose" / "entrypoint.sh")
HEALTHCHECK = str(ROOT / "infra" / "compose" / "healthcheck.py")
# The image has these in its PATH.
PROGRAMS = {
    "faust": (sys.executable, "-m", "faust"),
    "python": (sys.executable,),
}


def kafka_properties(variables: Mapping[str, str]) -> dict[str, str]:
    """What Kafka's image makes of its variables: a dot for each underscore."""
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in variables.items()
        if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"
    }


@dataclass
class Here:
    """The file's services under `folder`, with `given` for variables of the shell."""

    folder: Path
    given: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.services = services(self.given)
        names = ("kafka", "kafka_host", "controller", "mongo", "redis", "gateway", "nginx")
        self.port = dict(zip(names, free_ports(len(names)), strict=True))

    def at(self, name: str) -> str:
        return f"{LOOPBACK}:{self.port[name]}"

    def moved(self, text: str) -> str:
        """The same with addresses of this machine."""
        text = text.replace("mongo:27017/orderflow?replicaSet=rs0", self.at("mongo") + "/orderflow")
        for inside, name in {
            "kafka:19092": "kafka",
            "redis:6379": "redis",
            f"{LOOPBACK}:9092": "kafka_host",
            "localhost:9093": "controller",
            "//:19092": "kafka",
            "//:9092": "kafka_host",
            "//:9093": "controller",
        }.items():
            slashes = "//" if inside.startswith("//") else ""
            text = text.replace(inside, slashes + self.at(name))
        return text

    def kafka(self) -> Process:
        properties = kafka_properties(environment_of(self.services["kafka"]))
        data = self.folder / "kafka"
        assert properties["log.dirs"] == "/var/lib/kafka/data"
        properties["log.dirs"] = str(data / "log")

        def prepare() -> None:
            shutil.copytree(java.empty_kafka(), data / "log", dirs_exist_ok=True)
            lines = [f"{name}={self.moved(value)}\n" for name, value in properties.items()]
            (data / "server.properties").write_text("".join(lines))

        heap = environment_of(self.services["kafka"])["KAFKA_HEAP_OPTS"].split()
        return self._server(
            "kafka",
            java.java_command("kafka.Kafka", str(data / "server.properties"), heap=heap),
            # What it tells the containers, and what it tells this machine.
            check=f"kafka://{self.at('kafka')}",
            ports=("kafka", "kafka_host", "controller"),
            prepare=prepare,
        )

    def mongo(self) -> Process:
        port = Port(self.port["mongo"], "the port")
        return Process(servers.mongo(self._made("mongo"), self._log("mongo"), port))

    def redis(self) -> Process:
        program, *arguments = self.services["redis"]["command"]
        place = ("--bind", LOOPBACK, "--port", str(self.port["redis"]))
        return self._server(
            "redis",
            (shutil.which(program) or program, *arguments, *place),
            check=f"redis://{self.at('redis')}/0",
        )

    def nginx(self) -> Process:
        folder = self._made("nginx")
        path = nginx.here(folder, self.port["nginx"], self.at("gateway"))
        if os.geteuid() == 0:
            # A master that is root hands its work to an account that can't enter our folders.
            path.write_text("user root;\n" + path.read_text())
        return self._server(
            "nginx", nginx.command(folder, path), check=f"http://{self.at('nginx')}/readyz"
        )

    def worker(self, name: str, replica: int = 1) -> Process:
        """A container of a worker, as the image's entry point starts it."""
        (port,) = free_ports(1)
        return self._ours(name, f"{name}-{replica}", port, Stage.WORKER)

    def gateway(self, workers: Sequence[Process]) -> Process:
        urls = ",".join(worker.url for worker in workers)
        extra = {"GATEWAY_WORKERS": urls}
        return self._ours("gateway", "gateway-1", self.port["gateway"], Stage.GATEWAY, extra)

    def run(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """`docker compose run` of a service with its own command, or `exec` in it of another."""
        words = command or (ENTRYPOINT, *self.services[name]["command"])
        return subprocess.run(
            self._program(words),
            cwd=self._made(name),
            env={**os.environ, **self.environment(name)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def healthy(self, name: str, process: Process) -> bool:
        """What the service's health check says of this replica."""
        kind, *words = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        *command, url = words
        url = re.sub(r"127\.0\.0\.1:\d+", process.url.removeprefix("http://"), url)
        command = [HEALTHCHECK if word.endswith("/healthcheck.py") else word for word in command]
        return subprocess.run(self._program((*command, url)), check=False).returncode == 0

    def environment(self, name: str) -> dict[str, str]:
        """The service's variables; on loopback, and with the sources in the image's place."""
        variables = environment_of(self.services[name])
        return {
            **{key: self.moved(value) for key, value in variables.items()},
            "WORKER_BIND": LOOPBACK,
            "GATEWAY_BIND": LOOPBACK,
            "DATA_DIR": str(self.folder / name / "data"),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }

    def _ours(
        self, name: str, host: str, port: int, stage: Stage, extra: Mapping[str, str] | None = None
    ) -> Process:
        service = self.services[name]
        folder = self._made(host)
        hostname = folder / "hostname"
        hostname.write_text(f"#!/bin/sh\necho {host}\n")
        hostname.chmod(0o755)
        url = f"http://{LOOPBACK}:{port}"
        return Process(
            Program(
                name=host,
                command=self._program((ENTRYPOINT, *service["command"])),
                log=self._log(host),
                cwd=folder,
                check=f"{url}/readyz",
                address=url,
                stage=stage,
                ports=(Port(port, "the port"),),
                environment={
                    **self.environment(name),
                    "WORKER_PORT": str(port),
                    "GATEWAY_PORT": str(port),
                    "DATA_DIR": str(folder / "data"),
                    "PATH": f"{folder}:{os.environ['PATH']}",
                    **(extra or {}),
                },
                stop_seconds=float(service["stop_grace_period"].removesuffix("s")),
            )
        )

    def _server(
        self, name: str, command: Sequence[str], check: str, ports: Sequence[str] = (), **more: Any
    ) -> Process:
        places = tuple(Port(self.port[one], "the port") for one in ports or (name,))
        return Process(
            Program(
                name=name,
                command=tuple(command),
                log=self._log(name),
                cwd=self._made(name),
                check=check,
                address=check.removesuffix("/readyz"),
                stage=Stage.SERVER,
                ports=places,
                **more,
            )
        )

    def _program(self, words: Sequence[str]) -> tuple[str, ...]:
        found: list[str] = []
        for word in words:
            found.extend(PROGRAMS.get(word, (word,)))
        return tuple(found)

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"
