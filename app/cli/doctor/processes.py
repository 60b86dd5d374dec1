"""Workers and gateways: who is there, and ready."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from aiokafka.errors import KafkaError

from app.cli.asking import asking
from app.cli.console import CommandError
from app.cli.doctor.finding import Finding, failed, ok, warning
from app.cli.doctor.servers import UnansweredError, connected
from app.cli.members import worker_urls
from app.parts import services_of
from app.settings import Settings
from app.topics import GROUP_PREFIX

AREA = "processes"
# Parts of the check's time: to ask Kafka who there is, and to ask those. So that one who is silent
# is named as that, some is left.
KAFKA_SHARE, ASKED_SHARE = 0.5, 0.3
CONNECT_SECONDS = 1.0


async def workers(settings: Settings, given: Sequence[str], seconds: float) -> Sequence[Finding]:
    """Those that take part in a group, those that were named, and the port of the next."""
    why = "none takes part in a group"
    groups = [GROUP_PREFIX + name for name in services_of(settings.saga_order)]
    try:
        async with asyncio.timeout(seconds * KAFKA_SHARE), connected(settings) as connections:
            known = await worker_urls(await connections.admin(), groups)
    except (UnansweredError, KafkaError, TimeoutError):
        known, why = [], "Kafka does not answer"
    urls = dict.fromkeys(url.rstrip("/") for url in (*given, *known))
    limit = seconds * ASKED_SHARE
    found = list(await asyncio.gather(*(_worker(url, limit) for url in urls)))
    if not urls:
        todo = "`make up` starts two; --worker URL names one that Kafka can't tell of"
        found.append(warning(AREA, "workers", f"none is known: {why}", todo))
    if settings.url not in urls:
        found += await _port(settings.url)
    return found


async def gateways(settings: Settings, given: Sequence[str], seconds: float) -> Sequence[Finding]:
    """Those that were named; else the one that the settings say, which need not be there."""
    limit = seconds * (KAFKA_SHARE + ASKED_SHARE)
    default = f"http://{settings.gateway_bind}:{settings.gateway_port}"
    urls = [url.rstrip("/") for url in given] or [default]
    return await asyncio.gather(*(_gateway(url, limit, named=bool(given)) for url in urls))


async def _worker(url: str, seconds: float) -> Finding:
    name = url.removeprefix("http://")
    began = time.monotonic()
    try:
        async with asking(url, seconds=seconds) as api:
            status, said = await api.look("/readyz")
    except CommandError as error:
        todo = "Its log says why; or this machine does not reach it: see WORKER_URL"
        return failed(AREA, name, _words(error), todo)
    return judge_worker(name, status, said, time.monotonic() - began)


def judge_worker(name: str, status: int, said: Mapping[str, Any], seconds: float) -> Finding:
    """How a worker is, by its answer to `/readyz`."""
    checks = said.get("checks")
    if not isinstance(checks, Mapping):
        todo = "Something else has the port: WORKER_PORT=<another>"
        return failed(AREA, name, "not an answer of a worker", todo)
    services = checks.get("services", {})
    if status == 200:
        count = f"{len(services)} service{'s' * (len(services) != 1)}"
        return ok(AREA, name, f"worker, ready, {count}, {seconds * 1000:.0f} ms")
    lacks = ", ".join(lacking(checks)) or str(said.get("status"))
    todo = "It waits for these; a service takes part some seconds after a start"
    return failed(AREA, name, f"worker, not ready: {lacks}", todo)


def lacking(checks: Mapping[str, Any]) -> Iterable[str]:
    """What is not well, by name."""
    for name, well in checks.items():
        if isinstance(well, Mapping):
            yield from lacking(well)
        elif not well:
            yield name


async def _gateway(url: str, seconds: float, *, named: bool) -> Finding:
    name = url.removeprefix("http://")
    try:
        async with asking(url, seconds=seconds) as api:
            status, said = await api.look("/readyz")
    except CommandError as error:
        todo = "`make up` starts one; --gateway URL says where it is"
        level = failed if named else warning
        return level(AREA, name, f"gateway: {_words(error)}", todo)
    return judge_gateway(name, status, said)


def judge_gateway(name: str, status: int, said: Mapping[str, Any]) -> Finding:
    """How a gateway is, by its answer to `/readyz`."""
    behind = said.get("workers")
    if not isinstance(behind, Mapping):
        todo = "Something else has the port: GATEWAY_PORT=<another>"
        return failed(AREA, name, "not an answer of a gateway", todo)
    words = f"gateway, {behind['live']} of {behind['total']} workers live"
    if status != 200:
        return failed(AREA, name, words, "GATEWAY_WORKERS must name workers that run")
    if behind["live"] < behind["total"]:
        return warning(AREA, name, words, "Start the others, or take them out of GATEWAY_WORKERS")
    return ok(AREA, name, words)


async def _port(url: str) -> Sequence[Finding]:
    """Whether a worker could be started here, where none is."""
    parts = urlsplit(url)
    name = f"port {parts.port}"
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except ConnectionRefusedError:
        return [ok(AREA, name, "free, for a worker (WORKER_PORT)")]
    except (OSError, TimeoutError):
        return []  # an address of elsewhere: nothing to say about this machine
    writer.close()
    words = "taken, by none of the workers that Kafka knows"
    return [warning(AREA, name, words, "WORKER_PORT=<another>, or stop what has it")]


def _words(error: CommandError) -> str:
    return str(error).split(" (is the system up?")[0]
