"""Making all checks at once, each within its time limit; and what comes of them, shown."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.console import FAILED
from app.cli.doctor import configured, groups, machine, processes, servers, topics
from app.cli.doctor.finding import AREAS, IS_IT_UP, Finding, Level, failed
from app.settings import Settings

# A server that is well answers in milliseconds, and a group in a tenth of a second. Its lag is
# looked at twice, a second apart.
DEFAULT_SECONDS = 5.0
STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.FAILED: "bold red"}
ERROR_CHARACTERS = 200
# Of a check's time, for its server.
SERVER_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Visit:
    """What to look at.

    Attributes:
        only: these areas alone; all, where it is empty.
        seconds: for each check.
        workers: addresses besides those that Kafka knows.
        gateways: addresses; by default the one at `GATEWAY_PORT`.
    """

    only: tuple[str, ...] = ()
    seconds: float = DEFAULT_SECONDS
    workers: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One of them: the areas of what it finds, the first for what it could not find out."""

    name: str
    areas: tuple[str, ...]
    call: Callable[[], Awaitable[Sequence[Finding]]]


def checks(settings: Settings, visit: Visit) -> tuple[Check, ...]:
    """All checks of a visit."""
    # A little less than the check's, so that it is the server's name that is said.
    seconds = visit.seconds * SERVER_SHARE
    return (
        Check("Kafka", ("servers", "clock"), lambda: servers.kafka(settings, seconds)),
        Check("MongoDB", ("servers", "clock"), lambda: servers.mongodb(settings, seconds)),
        Check("Redis", ("servers", "clock"), lambda: servers.redis(settings, seconds)),
        Check("topics", ("topics",), lambda: topics.check(settings, seconds)),
        Check("dead letters", ("topics",), lambda: topics.check_dead_letters(settings, seconds)),
        Check("groups", ("groups",), lambda: groups.check(settings, seconds)),
        Check("settings", ("settings",), lambda: configured.check(settings)),
        Check("versions", ("versions",), machine.versions),
        Check("disk", ("disk",), lambda: machine.disk(settings.data_dir)),
        Check(
            "workers",
            ("processes",),
            lambda: processes.workers(settings, visit.workers, seconds),
        ),
        Check(
            "gateways",
            ("processes",),
            lambda: processes.gateways(settings, visit.gateways, seconds),
        ),
    )


async def doctor(settings: Settings, console: Console, visit: Visit) -> int:
    """Look at everything, print what was found; 0 unless something failed."""
    began = time.monotonic()
    areas = visit.only or AREAS
    due = [each for each in checks(settings, visit) if set(each.areas) & set(areas)]
    found = await asyncio.gather(*(made(each, visit.seconds) for each in due))
    findings = [each for part in found for each in part if each.area in areas]
    findings.sort(key=lambda each: AREAS.index(each.area))
    seconds = time.monotonic() - began
    if visit.as_json:
        console.out(orjson.dumps(document(findings, seconds)).decode(), highlight=False)
    else:
        console.print(table(findings))
        console.print(summary(findings, seconds), highlight=False)
    return FAILED if any(each.level is Level.FAILED for each in findings) else 0


async def made(check: Check, seconds: float) -> Sequence[Finding]:
    """What the check finds within the time; that it found nothing is a finding too."""
    area = check.areas[0]
    try:
        async with asyncio.timeout(seconds):
            return await check.call()
    except TimeoutError:
        return [failed(area, check.name, f"no answer within {seconds:g} s", IS_IT_UP)]
    except Exception as error:  # whatever it is, the other checks are shown all the same
        words = f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]
        return [failed(area, check.name, f"could not be looked at: {words}", IS_IT_UP)]


def document(findings: Sequence[Finding], seconds: float) -> dict[str, Any]:
    """What was found, for programs."""
    return {
        "ok": all(each.level is not Level.FAILED for each in findings),
        "seconds": round(seconds, 3),
        "findings": [asdict(each) for each in findings],
    }


def table(findings: Sequence[Finding]) -> Table:
    """What was found, a line each, and below it what to do."""
    shown = Table.grid(padding=(0, 2))
    for _ in range(3):
        shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    area = ""
    for each in findings:
        detail = Text(each.detail)
        if each.todo and each.level is not Level.OK:
            detail.append(f"\n→ {each.todo}", "bold")
        shown.add_row(
            Text("" if each.area == area else each.area, "dim"),
            Text(each.level.value, STYLES[each.level]),
            each.name,
            detail,
        )
        area = each.area
    return shown


def summary(findings: Sequence[Finding], seconds: float) -> Text:
    """How many are how, in a line."""
    counts = {level: sum(each.level is level for each in findings) for level in Level}
    words = ", ".join(f"{count} {level.value}" for level, count in counts.items() if count)
    worst = next((level for level in reversed(Level) if counts[level]), Level.OK)
    return Text(f"\n{words}; looked for {seconds:.1f} s", STYLES[worst])
