"""trace-follow: one trace id through nginx, the gateway, a worker, Kafka and every service."""

from __future__ import annotations

import argparse
import re
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from app.topics import GROUP_PREFIX, SPECS
from app.web.tracing import HEX_ID
from infra.demo.api import Api, own_name, until
from infra.demo.beside import some_of
from infra.demo.claims import Claims, NotInTimeError, NotUpError
from infra.demo.command import Demo, main
from infra.demo.kafka import records_of
from infra.demo.system import System, environment_of
from infra.local.process import Stage

ABOUT = """Places an order under a trace id of its own and follows it: the line of nginx's access
log, of the gateway's log, of the worker that accepted it, of each service that handled its events,
and the headers of those events in Kafka. Given a trace id, it follows what was done under that."""

# Every service that hears of orders; movies does not.
SERVICES = ("order", "inventory", "payment", "notification", "audit", "analytics")
HANDLED = re.compile(r"trace [0-9a-f]{32}: (\S+) handled (\w+) of (\S+), (\S+) partition \d+")
END = re.compile(r"handled Order(?:Confirmed|Cancelled) of ")
ORDER_ID = re.compile(r"handled OrderPlaced of ([0-9a-f]{8}-[0-9a-f-]{27}),")
# nginx writes its log every second, and a service tells after it has committed.
LINES_SECONDS = 20.0
LOOK_SECONDS = 0.3
SETTING = "TRACE_LOG_LINES"
TRACE_HEADER = "X-Trace-Id"


@dataclass(slots=True)
class Lines:
    """The lines that name the trace, by where they are."""

    nginx: list[str] = field(default_factory=list)
    gateway: list[tuple[str, str]] = field(default_factory=list)
    worker: list[tuple[str, str]] = field(default_factory=list)
    services: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether everybody who takes part in an order has told, up to the order's end."""
        return bool(self.nginx and self.gateway and self.worker) and all(
            any(END.search(line) for _, line in self.services.get(GROUP_PREFIX + name, ()))
            for name in SERVICES
        )

    @property
    def order_id(self) -> str | None:
        """The order that was placed under the trace."""
        for _, line in (one for some in self.services.values() for one in some):
            if found := ORDER_ID.search(line):
                return found[1]
        return None


async def show(api: Api, claims: Claims, options: argparse.Namespace) -> None:
    """Place an order, or take the trace that was given, and find it everywhere."""
    system = api.system
    _require_told(system)
    trace = options.trace_id
    if trace is None:
        trace = secrets.token_hex(16)
        product = own_name("trace")
        await api.stock(product, 1)
        order = await api.place("demo-tracer", product, headers={TRACE_HEADER: trace})
        claims.note(f"order {order} is placed with {TRACE_HEADER}: {trace}")
        await api.ended(order)
    lines = Lines()

    async def told() -> bool:
        nonlocal lines
        lines = look(system, trace)
        return lines.complete

    # What is there by then is what the claims are about.
    with suppress(NotInTimeError):
        await until(told, LINES_SECONDS, "everybody has told", every=LOOK_SECONDS)
    _say(claims, lines)
    await _say_events(system, claims, trace, lines.order_id)


def _require_told(system: System) -> None:
    (worker, *_) = some_of(system, Stage.WORKER)
    if not float(environment_of(worker.pid).get(SETTING) or 0):
        raise NotUpError(f"The workers' logs name no traces: start them with {SETTING}=20.")


def look(system: System, trace: str) -> Lines:
    """Look through the logs of all."""
    found = Lines(nginx=_naming(system.world.folder / "data" / "nginx" / "access.log", trace))
    for gateway in system.members(Stage.GATEWAY):
        found.gateway += [(gateway.name, line) for line in _naming(Path(gateway.log), trace)]
    for worker in system.members(Stage.WORKER):
        for line in _naming(Path(worker.log), trace):
            handled = HANDLED.search(line)
            if handled:
                found.services.setdefault(handled[1], []).append((worker.name, line))
            else:
                found.worker.append((worker.name, line))
    return found


def _naming(log: Path, trace: str) -> list[str]:
    try:
        with log.open(errors="replace") as lines:
            return [line.strip() for line in lines if trace in line]
    except FileNotFoundError:
        return []


def _say(claims: Claims, lines: Lines) -> None:
    claims.claim("nginx's access log has it", holds=bool(lines.nginx), evidence=_first(lines.nginx))
    claims.claim(
        "the gateway's log has it",
        holds=bool(lines.gateway),
        evidence=_first([f"{name}: {line}" for name, line in lines.gateway]),
    )
    claims.claim(
        "the log of the worker that accepted the order has it",
        holds=bool(lines.worker),
        evidence=_first([f"{name}: {line}" for name, line in lines.worker]),
    )
    for service in SERVICES:
        told = lines.services.get(GROUP_PREFIX + service, [])
        events = [found[2] for _, line in told if (found := HANDLED.search(line))]
        claims.claim(
            f"the {service} service's lines have it",
            holds=bool(told),
            evidence=_first([f"{name}: {line}" for name, line in told])
            + (f" (and {', '.join(events[1:])})" if events[1:] else ""),
        )


def _first(lines: Sequence[str]) -> str:
    return lines[0] if lines else "no line"


async def _say_events(system: System, claims: Claims, trace: str, order_id: str | None) -> None:
    records = []
    for spec in SPECS if order_id is not None else ():
        records += await records_of(system.kafka, spec.name, str(order_id))
    records.sort(key=lambda record: record.timestamp)
    headers = [_texts(dict(record.headers)) for record in records]
    claims.table(
        f"The events of order {order_id}",
        ("at (UTC)", "event", "topic, partition, offset", "traceparent", "correlationid"),
        [
            (
                datetime.fromtimestamp(record.timestamp / 1000, UTC).strftime("%H:%M:%S.%f")[:-3],
                said.get("ce_type", "?"),
                f"{record.topic} {record.partition}@{record.offset}",
                said.get("traceparent", "-"),
                said.get("correlationid", "-"),
            )
            for record, said in zip(records, headers, strict=True)
        ],
    )
    traced = [said for said in headers if said.get("traceparent", "").split("-")[1:2] == [trace]]
    correlated = [said for said in headers if said.get("correlationid") == order_id]
    claims.claim(
        "every event of the order has the trace in its traceparent, and the order's correlationid",
        holds=0 < len(records) == len(traced) == len(correlated),
        evidence=f"{len(records)} events in {len({record.topic for record in records})} topics, "
        f"{len(traced)} of the trace, {len(correlated)} correlated",
    )


def _texts(headers: Mapping[str, bytes]) -> dict[str, str]:
    return {name: value.decode(errors="replace") for name, value in headers.items()}


def _trace_id(text: str) -> str:
    if not HEX_ID.fullmatch(text) or not text.strip("0"):
        raise argparse.ArgumentTypeError("give a trace id of 32 lower-case hex digits")
    return text


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which trace."""
    parser.add_argument(
        "trace_id",
        nargs="?",
        type=_trace_id,
        metavar="TRACE_ID",
        help="of an order that was placed before; default: a new order's",
    )


DEMO = Demo("trace-follow", ABOUT, show, arguments)

if __name__ == "__main__":
    sys.exit(main(DEMO))
