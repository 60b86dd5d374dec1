"""Which programs one checkout's system has, as its environment asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from app.parts import SAGA_ORDERS, services_of
from infra.local import apps, prometheus, secrets, servers
from infra.local.certificate import Certificate
from infra.local.given import count, flag
from infra.local.nginx import STRATEGY, Front, Tls, nginx
from infra.local.ports import LOOPBACK, Port, Ports
from infra.local.process import Program

MOST_WORKERS = 64
# Three are what the measurements use; more than the machine has processors only share them.
MOST_GATEWAYS = 16
# Variables that name servers which exist already.
FOREIGN = {"kafka": "KAFKA_BOOTSTRAP_SERVERS", "mongo": "MONGODB_URL", "redis": "REDIS_URL"}
# What our processes get unless the user says otherwise: no tokens, and a bounded number of lines in
# the logs by which one order can be followed.
DEFAULTS = {"AUTH": "off", "TRACE_LOG_LINES": "20"}
# By which the user has spans sent elsewhere, or chooses which are kept.
TRACES_FILE = "TRACES_FILE"
COLLECTORS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
SAMPLER = "OTEL_TRACES_SAMPLER"


class Plan:
    """The programs that an environment asks for, with all their files under `folder`."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.ports = Ports.from_environment(environment)
        self.split = flag(environment, "SPLIT")
        self.workers = count(environment, "WORKERS", default=2, least=0, most=MOST_WORKERS)
        self.gateways = count(environment, "GATEWAYS", default=1, least=1, most=MOST_GATEWAYS)
        self.front = Front(
            self.ports.nginx,
            environment.get("NGINX_STRATEGY") or STRATEGY,
            Tls(self.ports.nginx_tls, Certificate(folder / "tls"))
            if flag(environment, "NGINX_TLS")
            else None,
        )
        self.foreign = {
            name: environment[variable]
            for name, variable in FOREIGN.items()
            if environment.get(variable)
        }
        # What the processes get besides the addresses, unless the user said otherwise.
        self.defaults = {
            variable: value for variable, value in DEFAULTS.items() if not environment.get(variable)
        }
        self.given = environment
        # What only the workers get; `run` has rates for the simulation here.
        self.worker_defaults: dict[str, str] = {}

    @property
    def api(self) -> str:
        """URL of the API through nginx and the gateway."""
        return f"http://{LOOPBACK}:{self.ports.nginx.number}/api"

    @property
    def console(self) -> str:
        """The address of the console."""
        return f"http://{LOOPBACK}:{self.ports.nginx.number}/"

    @property
    def tls_api(self) -> str | None:
        """The same with TLS, where that is asked for."""
        tls = self.front.tls
        return None if tls is None else f"https://{LOOPBACK}:{tls.port.number}/api"

    @property
    def monitored(self) -> bool:
        """Say whether Prometheus is wanted and can be had; without it all else works as well."""
        return (
            self.has_workers()
            and prometheus.wanted(self.given)
            and prometheus.program() is not None
        )

    @property
    def prometheus(self) -> str | None:
        """URL of Prometheus, where it is to run."""
        port = self.ports.prometheus.number
        return f"http://{LOOPBACK}:{port}" if self.monitored else None

    def has_workers(self) -> bool:
        """Say whether the application is wanted, or, with `WORKERS=0`, the servers only."""
        return self.split or self.workers > 0

    def environment(self) -> dict[str, str]:
        """Return the variables by which our processes find the servers, and know each other."""
        own = {
            "kafka": f"{LOOPBACK}:{self.ports.kafka.number}",
            "mongo": servers.mongodb_url(self.ports.mongodb.number),
            "redis": servers.redis_url(self.ports.redis.number),
        }
        addresses = {**own, **self.foreign}
        return {
            **self.defaults,
            **secrets.made(self.folder / "secrets", self.given),
            **{FOREIGN[name]: url for name, url in addresses.items()},
        }

    def programs(self) -> list[Program]:
        """Return all programs, in the order in which they start."""
        own = [
            servers.kafka(*self._places("kafka"), self.ports.kafka, self.ports.kafka_controller),
            servers.mongo(*self._places("mongo"), self.ports.mongodb),
            servers.redis(*self._places("redis"), self.ports.redis),
        ]
        missing = [server for server in own if server.name not in self.foreign]
        if not self.has_workers():
            return missing
        workers = self._worker_programs()
        gateways = self._gateway_programs([worker.address for worker in workers])
        front = self.nginx_program(gateways)
        beside = [self._prometheus_program(workers, gateways)] if self.monitored else []
        return [*missing, *workers, *gateways, front, *beside]

    def nginx_program(self, gateways: Sequence[Program]) -> Program:
        """Return nginx in front of these gateways."""
        behind = [f"{LOOPBACK}:{gateway.ports[0].number}" for gateway in gateways]
        return nginx(*self._places("nginx"), self.front, behind)

    def _prometheus_program(
        self, workers: Sequence[Program], gateways: Sequence[Program]
    ) -> Program:
        targets = {
            prometheus.WORKERS: [
                prometheus.Target.of(one, one.environment["SERVICES"]) for one in workers
            ],
            prometheus.GATEWAYS: [prometheus.Target.of(one, "gateway") for one in gateways],
        }
        return prometheus.prometheus(*self._places(prometheus.NAME), self.ports.prometheus, targets)

    def _gateway_programs(self, workers: Sequence[str]) -> list[Program]:
        programs = []
        for i in range(self.gateways):
            name = f"gateway-{i + 1}"
            port = Port(self.ports.gateway.number + i, self.ports.gateway.variable)
            log = self._places(name)[1]
            environment = {**self.environment(), **self._traces(name)}
            programs.append(apps.gateway(name, port, workers, log, environment))
        return programs

    def _worker_programs(self) -> list[Program]:
        if self.split:
            saga_order = self.given.get("SAGA_ORDER") or SAGA_ORDERS[0]
            services = [(f"worker-{name}", name) for name in services_of(saga_order)]
        else:
            services = [(f"worker-{i + 1}", "all") for i in range(self.workers)]
        programs = []
        for i, (name, service) in enumerate(services):
            port = Port(self.ports.worker.number + i, self.ports.worker.variable)
            environment = {
                **self.environment(),
                **self._traces(name),
                **self.worker_defaults,
                "SERVICES": service,
            }
            programs.append(apps.worker(name, port, *self._places(name), environment))
        return programs

    def _traces(self, name: str) -> dict[str, str]:
        """Return where a process keeps its spans, and of which requests: with a collector, of all;
        else of those alone whose client wants it, as `infra/demo/trace-follow` does."""
        if self.given.get(TRACES_FILE):
            return {}
        traces = {TRACES_FILE: str(self.folder / "logs" / f"{name}.spans.jsonl")}
        if not any(self.given.get(variable) for variable in (*COLLECTORS, SAMPLER)):
            traces[SAMPLER] = "parentbased_always_off"
        return traces

    def _places(self, name: str) -> tuple[Path, Path]:
        return self.folder / "data" / name, self.folder / "logs" / f"{name}.log"
