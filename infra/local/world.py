"""The whole system of one checkout: `up`, `down` and `restart` for what its plan asks for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

from infra.local import apps, java
from infra.local.errors import LocalError, ProgramDiedError
from infra.local.health import address_of, answers, wait_until
from infra.local.nginx import reload
from infra.local.places import require_apart, require_free_of, require_place, require_ports
from infra.local.plan import FOREIGN, Plan
from infra.local.process import Program, Stage, Started, spawn, stop, wait_ready
from infra.local.signals import held
from infra.local.state import StateFile

# A server of somebody else's may be starting too.
FOREIGN_SECONDS = 20.0
# What is started anew where it was started with other settings than are asked for now.
CHANGING = (Stage.GATEWAY, Stage.FRONT, Stage.MONITORING)

# Width of the column of names in what we say.
NAME = 16

Say = Callable[[str], None]


# The security protocol of a Kafka that anybody can ask.
PLAINTEXT = "PLAINTEXT"


class World(Plan):
    """The programs that an environment asks for, and what runs of them under `folder`."""

    def __init__(self, folder: Path, environment: Mapping[str, str], say: Say = print) -> None:
        super().__init__(folder, environment)
        self.say = say
        self.state = StateFile(folder / "state.json")

    def has_data(self) -> bool:
        """Say whether an earlier start has left data."""
        return any(path.is_file() for path in (self.folder / "data").rglob("*"))

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
                if there is None or program.stage == Stage.FRONT:
                    require_ports(program, running.values(), there)
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
            foreign = {
                name: foreign_check(name, url, self.given) for name, url in self.foreign.items()
            }
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
        """Stop and start the workers one after another, each once the one before is ready again,
        and then the gateways.

        No client notices, where there are two or more of each. A gateway that is the only one
        stays as it is: nobody would answer in its place.

        Raises:
            LocalError: no worker runs, or one did not come back; the others go on.
        """
        with self.state.locked():
            running = self.state.load().running()
            programs = [program for program in self.programs() if program.name in running]
            workers = [program for program in programs if program.stage == Stage.WORKER]
            gateways = [program for program in programs if program.stage == Stage.GATEWAY]
            if not workers:
                raise LocalError("No worker runs. `make up` starts everything.")
            for program in programs:
                require_place(program, running[program.name])
            for program in workers:
                self._again(program, running)
            if len(gateways) > 1:
                for program in gateways:
                    # nginx asks nobody whether he leaves, so it is told.
                    self._front([other for other in gateways if other is not program])
                    self._again(program, running)
                self._front(gateways)
            self._say_left(workers, gateways)

    def _say_left(self, workers: Sequence[Program], gateways: Sequence[Program]) -> None:
        """Name what a restart has left as it was."""
        again = {program.name for program in (*workers, *(gateways if len(gateways) > 1 else ()))}
        running = self.state.load().running().values()
        left = [
            one.name
            for one in running
            if one.stage in (Stage.WORKER, Stage.GATEWAY) and one.name not in again
        ]
        if left:
            self.say(
                f"  {', '.join(left)}: left as before. `make restart` takes as many as WORKERS\n"
                "  and GATEWAYS ask for, and no gateway that is the only one."
            )

    def _again(self, program: Program, running: Mapping[str, Started]) -> None:
        self.down([running[program.name]])
        self._start([program], [])

    def _front(self, gateways: Sequence[Program]) -> None:
        """Have nginx, if it runs, send its requests to these gateways."""
        there = self.state.load().running().get("nginx")
        if there is not None:
            self.state.add(reload(self.nginx_program(gateways), there))

    def _say_surplus(self, wanted: Collection[str]) -> None:
        """Name workers and gateways of an earlier start that are too many now.

        `up` starts what is missing and stops nothing: said again without its `WORKERS`, to bring a
        lost worker back, it must not take others away.
        """
        running = self.state.load().running().values()
        for stage, meaning in {
            Stage.WORKER: "They go on processing\n  events, and the gateways send them no requests",
            Stage.GATEWAY: "They go on\n  listening, and nginx sends them no requests",
        }.items():
            names = [one.name for one in running if one.stage == stage and one.name not in wanted]
            if names:
                self.say(
                    f"  {', '.join(names)}: started before, not asked for now. {meaning}; "
                    "`make down up` starts anew."
                )

    def _start(self, programs: Iterable[Program], fresh: list[Started]) -> None:
        """Start the missing ones of one stage side by side, wait for each, then renew others."""
        running = self.state.load().running()
        begun: list[tuple[Program, Started]] = []
        changed: list[tuple[Program, Started]] = []
        for program in programs:
            there = running.get(program.name)
            if there is None:
                begun.append((program, self._spawn(program, running, fresh)))
            elif outdated(there, program):
                changed.append((program, there))
            else:
                self._keep(program, there)
        for program, started in begun:
            self._wait(program, started)
        # One after another, so that the others serve.
        for program, there in changed:
            self._renew(program, there, running)

    def _spawn(
        self, program: Program, running: Mapping[str, Started], fresh: list[Started]
    ) -> Started:
        for port in program.ports:
            require_free_of(port, program.name, running.values())
        with held():
            started = spawn(program)
            fresh.append(started)
            self.state.add(started)
        return started

    def _wait(self, program: Program, started: Started) -> None:
        try:
            self.state.add(wait_ready(program, started))
        except ProgramDiedError:
            self.down([started])
            raise
        self.say(f"  {program.name:<{NAME}} ready, {program.address}")

    def _renew(self, program: Program, there: Started, running: Mapping[str, Started]) -> None:
        """Give a running gateway, nginx or Prometheus the settings that are asked for now."""
        if program.stage == Stage.FRONT:
            self.say(f"  {program.name:<{NAME}} takes new settings")
            self.state.add(reload(program, there))
            self._wait(program, self.state.load().running()[program.name])
            return
        why = "other settings" if program.stage == Stage.MONITORING else "other workers"
        self.say(f"  {program.name:<{NAME}} starts again, for {why}")
        self.down([there])
        self._wait(program, self._spawn(program, running, []))

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


def outdated(started: Started, program: Program) -> bool:
    """Say whether a gateway, nginx or Prometheus runs that was told something else at its start."""
    return program.stage in CHANGING and started.shape != program.shape()


def foreign_check(name: str, url: str, environment: Mapping[str, str]) -> str:
    """Return the check of a server that was there before us."""
    if name != "kafka":
        return url
    host, port = address_of(f"kafka://{url}", 9092)
    protocol = environment.get("KAFKA_SECURITY_PROTOCOL") or PLAINTEXT
    # With TLS or a password, only a client of ours can ask it: `faust -A app topics` is the first.
    scheme = "kafka" if protocol == PLAINTEXT else f"kafka+{protocol.lower()}"
    return f"{scheme}://{host}:{port}"
