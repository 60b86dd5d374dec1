"""trace-follow: one trace id through nginx, the gateway, a worker, Kafka and every service."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.telemetry.context import HEADER as TRACEPARENT
from app.telemetry.context import Place, new_span_id
from app.topics import GROUP_PREFIX, SPECS
from app.web.tracing import HEX_ID
from infra.demo.api import Api, own_name, until
from infra.demo.beside import some_of
from infra.demo.claims import Claims, NotInTimeError, NotUpError
from infra.demo.command import Demo, main
from infra.demo.kafka import records_of
from infra.demo.spans import NS_PER_MS, Span, read, roots, tree
from infra.demo.system import System, environment_of
from infra.local.process import Stage

ABOUT = """Places an order under a trace id of its own and follows it: the line of nginx's access
log, of the gateway's log, of the worker that accepted it, of each service that handled its events,
the headers of those events in Kafka, and the spans of all of them, which are one tree. Given a
trace id, it follows what was done under that."""

# Every service that hears of orders; movies does not.
SERVICES = ("order", "inventory", "payment", "notification", "audit", "analytics")
ENDS = frozenset({"OrderConfirmed", "OrderCancelled"})
PLACED = "OrderPlaced"
# nginx writes its log every second, and a service tells after it has committed.
LINES_SECONDS = 20.0
LOOK_SECONDS = 0.3
SETTING = "TRACE_LOG_LINES"
TRACE_HEADER = "X-Trace-Id"
INDENT = "  "
EVENT = "orderflow.event"

Line = Mapping[str, Any]


@dataclass(slots=True)
class Lines:
    """The lines that name the trace, by who wrote them; and its spans."""

    nginx: list[Line] = field(default_factory=list)
    gateway: list[Line] = field(default_factory=list)
    worker: list[Line] = field(default_factory=list)
    services: dict[str, list[Line]] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether everybody who takes part in an order has told, up to the order's end."""
        return bool(self.nginx and self.gateway and self.worker) and all(
            any(line["type"] in ENDS for line in self.services.get(name, ())) for name in SERVICES
        )

    @property
    def recorded(self) -> bool:
        """Whether everybody who takes part has recorded a span of all that it tells of, and what
        led to it is there."""
        consumed = [span for span in self.spans if span.kind == "consumer"]
        lines = sum(len(told) for told in self.services.values())
        return not self.missing and len(consumed) >= lines and len(roots(self.spans)) == 1

    @property
    def missing(self) -> list[str]:
        """Who has recorded no span."""
        told = {span.service for span in self.spans}
        return [name for name in ("gateway", "worker", *SERVICES) if name not in told]

    @property
    def order_id(self) -> str | None:
        """The order that was placed under the trace."""
        for line in (one for some in self.services.values() for one in some):
            if line["type"] == PLACED:
                return str(line["order_id"])
        return None


async def show(api: Api, claims: Claims, options: argparse.Namespace) -> None:
    """Place an order, or take the trace that was given, and find it everywhere."""
    system = api.system
    _require_told(system)
    trace, placed = options.trace_id, options.trace_id is None
    if placed:
        trace = secrets.token_hex(16)
        product = own_name("trace")
        await api.stock(product, 1)
        # Sampled: its spans are kept, also where those of other requests are not.
        parent = Place(int(trace, 16), new_span_id(), sampled=True)
        headers = {TRACE_HEADER: trace, TRACEPARENT: parent.traceparent}
        order = await api.place("demo-tracer", product, headers=headers)
        claims.note(f"order {order} is placed with {TRACE_HEADER}: {trace}")
        await api.ended(order)
    lines = Lines()

    async def told() -> bool:
        nonlocal lines
        lines = look(system, trace)
        return lines.complete and (lines.recorded or not placed)

    # What is there by then is what the claims are about.
    with suppress(NotInTimeError):
        await until(told, LINES_SECONDS, "everybody has told", every=LOOK_SECONDS)
    _say(claims, lines)
    await _say_events(system, claims, trace, lines.order_id)
    _say_spans(claims, lines, wanted=placed)


def _require_told(system: System) -> None:
    (worker, *_) = some_of(system, Stage.WORKER)
    environment = environment_of(worker.pid)
    if not float(environment.get(SETTING) or 0):
        raise NotUpError(f"The workers' logs name no traces: start them with {SETTING}=20.")
    if environment.get("LOG_FORMAT") == "console":
        raise NotUpError("The logs are for people: start the system without LOG_FORMAT=console.")


def look(system: System, trace: str) -> Lines:
    """Look through the logs of all, and through what they keep of spans."""
    found = Lines(nginx=_naming(system.world.folder / "data" / "nginx" / "access.log", trace))
    for gateway in system.members(Stage.GATEWAY):
        found.gateway += _naming(Path(gateway.log), trace)
    for worker in system.members(Stage.WORKER):
        for line in _naming(Path(worker.log), trace):
            if line["event"] == "handled":
                service = str(line["group"]).removeprefix(GROUP_PREFIX)
                found.services.setdefault(service, []).append(line)
            elif line["event"] == "answered":
                found.worker.append(line)
    found.spans = read(_files(system), trace)
    return found


def _files(system: System) -> list[Path]:
    started = [*system.members(Stage.GATEWAY), *system.members(Stage.WORKER)]
    paths = (environment_of(one.pid).get("TRACES_FILE") for one in started)
    # And what was before a file was full.
    return [Path(path + older) for path in dict.fromkeys(paths) if path for older in ("", ".1")]


def _naming(log: Path, trace: str) -> list[Line]:
    """The log's lines of this trace; what else is in it, such as a crash's last words, is not
    looked at."""
    found = []
    with suppress(FileNotFoundError), log.open(errors="replace") as lines:
        for text in lines:
            if trace in text:
                with suppress(json.JSONDecodeError):
                    line = json.loads(text)
                    if line.get("trace_id") == trace:
                        found.append(line)
    return found


def _say(claims: Claims, lines: Lines) -> None:
    for words, found in (
        ("nginx's access log has it", lines.nginx),
        ("the gateway's log has it", lines.gateway),
        ("the log of the worker that accepted the order has it", lines.worker),
    ):
        claims.claim(words, holds=bool(found), evidence=_first(found))
    for service in SERVICES:
        told = lines.services.get(service, [])
        events = [str(line["type"]) for line in told]
        claims.claim(
            f"the {service} service's lines have it",
            holds=bool(told),
            evidence=_first(told) + (f" (and {', '.join(events[1:])})" if events[1:] else ""),
        )


def _first(lines: Sequence[Line]) -> str:
    return json.dumps(lines[0]) if lines else "no line"


def _say_spans(claims: Claims, lines: Lines, *, wanted: bool) -> None:
    if not lines.spans and not wanted:
        claims.note("no spans: they were kept of none that did not ask for it (docs/tracing.md)")
        return
    if lines.spans:
        first = lines.spans[0].began
        claims.table(
            "The spans, each below what led to it",
            ("service", "span", "kind", "from (ms)", "takes (ms)"),
            [
                (
                    span.service,
                    INDENT * depth + _named(span),
                    span.kind,
                    f"{(span.began - first) / NS_PER_MS:.1f}",
                    f"{span.milliseconds:.1f}",
                )
                for depth, span in tree(lines.spans)
            ],
        )
    missing = lines.missing
    claims.claim(
        "gateway, worker and every service have recorded spans of it",
        holds=not missing,
        evidence=f"{len(lines.spans)} spans"
        + (f"; none of {', '.join(missing)}" if missing else ""),
    )
    above = roots(lines.spans)
    claims.claim(
        "its spans are one tree",
        holds=len(above) == 1,
        evidence=f"{len(above)} at the top: {', '.join(span.name for span in above)}",
    )


def _named(span: Span) -> str:
    """The span's name; of an event's, with the event in its topic's place."""
    event = span.attributes.get(EVENT)
    return f"{span.name.partition(' ')[0]} {event}" if event else span.name


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
