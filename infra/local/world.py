"""The whole system of one checkout: which programs it has, and `up` and `down` for them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

from infra.local import apps, java, servers
from infra.local.errors import LocalError, ProgramDiedError
from infra.local.health import address_of, answers, wait_until
from infra.local.ports import LAST_PORT, LOOPBACK, Port, Ports, holder_of, is_free, require_free
from infra.local.process import Program, Stage, Started, spawn, stop, wait_ready
from infra.local.signals import held
from infra.local.state import StateFile

MOST_WORKERS = 64
# A server of somebody else's may be starting too.
FOREIGN_SECONDS = 20.0
# Variables that name servers which exist already.
FOREIGN = {"kafka": "KAFKA_BOOTSTRAP_SERVERS", "mongo": "MONGODB_URL", "redis": "REDIS_URL"}

# Width of the column of names in what we say.
NAME = 16

Say = Callable[[str], None]


class World:
    """The programs that an environment asks for, and what runs of them under `folder`."""

    def __init__(self, folder: Path, environment: Mapping[str, str], say: Say = print) -> None:
        self.folder = folder
        self.say = say
        self.state = StateFile(folder / "state.json")
        self.ports = Ports.from_environment(environment)
        self.split = flag(environment, "SPLIT")
        self.workers = count(environment, "WORKERS", default=2, least=0, most=MOST_WORKERS)
        self.foreign = {
            name: environment[variable]
            for name, variable in FOREIGN.items()
            if environment.get(variable)
        }
        # What the processes get besides the addresses, unless the user said otherwise.
        self.defaults = {} if environment.get("AUTH") else {"AUTH": "off"}
        # What only the workers get; `run` has rates for the simulation here.
        self.worker_defaults: dict[str, str] = {}

    @property
    def api(self) -> str:
        """URL of the API through nginx and the gateway."""
        return f"http://{LOOPBACK}:{self.ports.nginx.number}/api"

    def has_data(self) -> bool:
        """Say whether an earlier start has left data."""
        return any(path.is_file() for path in (self.folder / "data").rglob("*"))

    def has_workers(self) -> bool:
        """Say whether the application is wanted, or, with `WORKERS=0`, the servers only."""
        return self.split or self.workers > 0

    def environment(self) -> dict[str, str]:
        """Return the variables by which our processes find the servers."""
        own = {
            "kafka": f"{LOOPBACK}:{self.ports.kafka.number}",
            "mongo": servers.mongodb_url(self.ports.mongodb.number),
            "redis": servers.redis_url(self.ports.redis.number),
        }
        addresses = {**own, **self.foreign}
        return {**self.defaults, **{FOREIGN[name]: url for name, url in addresses.items()}}

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
        gateway = apps.gateway(
            "gateway",
            self.ports.gateway,
            [worker.address for worker in workers],
            self._places("gateway")[1],
            self.environment(),
        )
        behind = [f"{LOOPBACK}:{self.ports.gateway.number}"]
        nginx = servers.nginx(*self._places("nginx"), self.ports.nginx, behind)
        return [*missing, *workers, gateway, nginx]

    def _worker_programs(self) -> list[Program]:
        if self.split:
            services = [(f"worker-{service}", service) for service in apps.SERVICES]
        else:
            services = [(f"worker-{i + 1}", "all") for i in range(self.workers)]
        programs = []
        for i, (name, service) in enumerate(services):
            port = Port(self.ports.worker.number + i, self.ports.worker.variable)
            environment = {**self.environment(), **self.worker_defaults, "SERVICES": service}
            programs.append(apps.worker(name, port, *self._places(name), environment))
        return programs

    def _places(self, name: str) -> tuple[Path, Path]:
        return self.folder / "data" / name, self.folder / "logs" / f"{name}.log"

    def check(self) -> None:
        """Raise `LocalError` for a setting or a port that would stop `up` midway.

        Starts nothing; another command that starts something here is waited for.
        """
        if self.has_workers():
            apps.check_settings({**self.environment(), **self.worker_defaults})
        with self.state.locked():
            self._require_places(self.programs())

    def _require_places(self, programs: Sequence[Program]) -> None:
        """Raise `LocalError`, naming all at once, unless each has ports that it can have."""
        require_apart(programs)
        running = self.state.load().running()
        faults = []
        for program in programs:
            there = running.get(program.name)
            try:
                if there is not None:
                    require_place(program, there)
                    continue
                for port in program.ports:
                    require_free_of(port, program.name, running.values())
            except LocalError as error:
                faults.append(str(error))
        if faults:
            raise LocalError("\n".join(faults))

    def up(self, fresh: list[Started]) -> None:
        """Start what is missing and return when all is ready.

        Whatever is started is appended to `fresh` at once, so that a caller who is interrupted,
        or gets a `LocalError`, knows what to stop.
        """
        with self.state.locked():
            programs = self.programs()
            self._require_places(programs)
            java.build()
            foreign = {name: foreign_check(name, url) for name, url in self.foreign.items()}
            own = {program.name: program.check for program in programs}
            self.state.want({**foreign, **own})
            for name, check in foreign.items():
                self._require_foreign(name, check)
            for stage, group in groupby(programs, key=lambda program: program.stage):
                if stage == Stage.WORKER:
                    self.say(f"  {'topics':<{NAME}} {apps.make_topics(self.environment())}")
                self._start(list(group), fresh)
            self._say_surplus({program.name for program in programs})

    def restart(self) -> None:
        """Stop and start the workers one after another, each once the one before is ready again.

        No client notices, where there are two or more. The one gateway of a checkout stays as it
        is: nobody would answer in its place.

        Raises:
            LocalError: no worker runs, or one did not come back; the others go on.
        """
        with self.state.locked():
            running = self.state.load().running()
            rolling = [
                program
                for program in self.programs()
                if program.stage == Stage.WORKER and program.name in running
            ]
            if not rolling:
                raise LocalError("No worker runs. `make up` starts everything.")
            for program in rolling:
                require_place(program, running[program.name])
            for program in rolling:
                self.down([running[program.name]])
                self._start([program], [])

    def _say_surplus(self, wanted: Collection[str]) -> None:
        """Name workers of an earlier start that are too many now.

        `up` starts what is missing and stops nothing: said again without its `WORKERS`, to bring a
        lost worker back, it must not take others away.
        """
        running = self.state.load().running()
        names = [one.name for one in running.values() if one.is_worker() and one.name not in wanted]
        if names:
            self.say(
                f"  {', '.join(names)}: started before, not asked for now. They go on processing "
                "events,\n  and the gateway sends them no requests; `make down up` starts anew."
            )

    def _start(self, programs: Iterable[Program], fresh: list[Started]) -> None:
        """Start the missing ones of one stage side by side, then wait for each."""
        running = self.state.load().running()
        begun: list[tuple[Program, Started]] = []
        for program in programs:
            there = running.get(program.name)
            if there is not None and not outdated(there, program):
                self._keep(program, there)
                continue
            if there is not None:
                self.say(f"  {program.name:<{NAME}} starts again, for other workers")
                self.down([there])
            for port in program.ports:
                require_free_of(port, program.name, running.values())
            with held():
                started = spawn(program)
                if there is None:
                    fresh.append(started)
                self.state.add(started)
            begun.append((program, started))
        for program, started in begun:
            try:
                self.state.add(wait_ready(program, started))
            except ProgramDiedError:
                self.down([started])
                raise
            self.say(f"  {program.name:<{NAME}} ready, {program.address}")

    def _keep(self, program: Program, there: Started) -> None:
        """Go on with a program that runs already, if it is where it should be, and well."""
        require_place(program, there)
        self.say(f"  {program.name:<{NAME}} runs already, {there.address}")
        wait_ready(program, there)

    def _require_foreign(self, name: str, check: str) -> None:
        url, variable = self.foreign[name], FOREIGN[name]
        if not wait_until(lambda: answers(check), FOREIGN_SECONDS):
            raise LocalError(
                f"{name} doesn't answer at {url}, which {variable} names. "
                f"Start it, or unset {variable} to have one started here."
            )
        self.say(f"  {name:<{NAME}} is yours, {url}")

    def down(
        self, programs: Iterable[Started] | None = None, hurry: Callable[[], bool] = lambda: False
    ) -> None:
        """Stop these programs, or all that were ever started here; last started, first stopped."""
        known = self.state.load().programs
        pids = {started.pid for started in programs} if programs is not None else None
        chosen = [one for one in known if pids is None or one.pid in pids]
        order = sorted(chosen, key=lambda started: started.stage, reverse=True)
        for _, group in groupby(order, key=lambda started: started.stage):
            together = list(group)
            with ThreadPoolExecutor(max_workers=len(together)) as pool:
                outcomes = pool.map(lambda started: stop(started, hurry), together)
            for started, clean in zip(together, outcomes, strict=True):
                self.state.remove(started.name)
                self.say(f"  {started.name:<{NAME}} {'stopped' if clean else 'had to be killed'}")


def require_apart(programs: Iterable[Program]) -> None:
    """Raise `LocalError` where two ask for one port, or one for a port that there is not."""
    asking: dict[int, list[str]] = {}
    for program in programs:
        for port in program.ports:
            asking.setdefault(port.number, []).append(f"{program.name} ({port.variable})")
    faults = [
        f"port {number} is asked for by {' and '.join(names)}: give each a port of its own."
        for number, names in asking.items()
        if len(names) > 1
    ]
    faults += [
        f"{names[0]} would need port {number}: choose a lower one."
        for number, names in asking.items()
        if number > LAST_PORT
    ]
    if faults:
        raise LocalError("\n".join(faults))


def require_place(program: Program, there: Started) -> None:
    """Raise `LocalError` if what runs already under the program's name is at another port."""
    if there.check != program.check:
        raise LocalError(
            f"{program.name} runs already, but at {there.address} and not at "
            f"{program.address}. `make down` stops it."
        )


def require_free_of(port: Port, name: str, running: Iterable[Started]) -> None:
    """Raise `LocalError` unless `port` is free; say so where the holder is one of ours."""
    if is_free(port.number):
        return
    holder = holder_of(port.number) or ""
    for started in running:
        if holder.startswith(f"pid {started.pid} "):
            raise LocalError(
                f"{name} can't start: {started.name} of this checkout runs at port "
                f"{port.number}. `make down` stops it; {port.variable}=<port> moves {name}."
            )
    require_free(port, name)


def outdated(started: Started, program: Program) -> bool:
    """Say whether a gateway runs that was told of other workers when it started."""
    return program.stage == Stage.GATEWAY and started.shape != program.shape()


def foreign_check(name: str, url: str) -> str:
    """Return the check of a server that was there before us."""
    if name != "kafka":
        return url
    host, port = address_of(f"kafka://{url}", 9092)
    return f"kafka://{host}:{port}"


def flag(environment: Mapping[str, str], variable: str) -> bool:
    """Read a switch: unset, empty, 0, no, false and off mean no."""
    return environment.get(variable, "").lower() not in ("", "0", "no", "false", "off")


def count(
    environment: Mapping[str, str], variable: str, *, default: int, least: int, most: int
) -> int:
    """Read a number from `least` to `most`."""
    text = environment.get(variable) or str(default)
    if not text.isdecimal() or not least <= int(text) <= most:
        raise LocalError(f"{variable}={text}: give a number from {least} to {most}")
    return int(text)
