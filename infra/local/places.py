"""Whether each program can have the ports that it is to have."""

from __future__ import annotations

from collections.abc import Iterable

from infra.local.errors import LocalError
from infra.local.ports import LAST_PORT, Port, holder_of, is_free, require_free
from infra.local.process import Program, Started, members


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


def require_ports(program: Program, running: Iterable[Started], there: Started | None) -> None:
    """Raise `LocalError` unless each port is free, or is held by the program itself, at `there`."""
    for port in program.ports:
        if there is None or not (is_free(port.number) or _holds(there, port)):
            require_free_of(port, program.name, running)


def _holds(started: Started, port: Port) -> bool:
    holder = holder_of(port.number) or ""
    return any(holder.startswith(f"pid {pid} ") for pid in members(started))


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
