"""The lessons on event loops: heavy work on one instance and on three, and what becomes of other
requests beside a lesson."""

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import aiohttp

from benchmarks.lessons.instances import Cost, client, instances, quantile
from benchmarks.results import Result

COUNTS = (1, 3)
# As many clients as instances can take without refusing any (`CPU_BOUND_QUEUE`).
CLIENTS = 6
PRIMES_BELOW = 200_000
PRIMES = 17_984

# Other requests come at an even rate, whether the last one was answered or not: else a blocked
# instance would be asked least when it is slowest.
PROBES_PER_SECOND = 50
PROBE = "/api/count?local=1"
# A fifth of an instance's time is what may be blocked; a little less is asked for.
LESSON_EVERY_SECONDS = 1.1
# So long does a request hardly ever take beside a loop that is free.
SLOW_SECONDS = 0.05
LESSONS = {
    "blocking": "/api/blocking?ms=200",
    "non-blocking": "/api/non-blocking?ms=200",
    "cpu-bound": f"/api/cpu-bound?n={PRIMES_BELOW}",
}


async def cpu_bound(*, quick: bool) -> tuple[list[Result], str]:
    """The same work for one instance and for three, from clients that are never done."""
    found = [await _work(count, jobs=30 if quick else 90) for count in COUNTS]
    one, more = (result.events_per_second for result in found)
    section = [
        "### Heavy work on one instance and on three",
        "",
        (
            f"`GET /api/cpu-bound?n={PRIMES_BELOW}` by {CLIENTS} clients, in turn to each "
            "instance, which has one process for such work."
        ),
        "",
        "| instances | requests/s | ratio |",
        "| ---: | ---: | ---: |",
        f"| {COUNTS[0]} | {one:.1f} | 1.0 |",
        f"| {COUNTS[1]} | {more:.1f} | {more / one:.2f} |",
        "",
        (
            f"This machine has {os.cpu_count()} cores: that is about the highest ratio that any "
            "number of instances can reach on it."
        ),
    ]
    return found, "\n".join(section)


async def _work(count: int, jobs: int) -> Result:
    async with instances(count) as gateways, client() as session:
        left = iter(range(jobs))

        async def ask(url: str) -> bool:
            async with session.get(f"{url}/api/cpu-bound?n={PRIMES_BELOW}") as answer:
                return answer.status == 200 and (await answer.json())["primes"] == PRIMES

        async def one_client(url: str) -> list[bool]:
            return [await ask(url) for _ in left]

        # The processes start with the first request.
        await asyncio.gather(*(ask(gateway.url) for gateway in gateways))
        cost, began = Cost(gateways), time.perf_counter()
        urls = [gateways[number % count].url for number in range(CLIENTS)]
        answers = await asyncio.gather(*map(one_client, urls))
        seconds = time.perf_counter() - began
        right = [each for of_one in answers for each in of_one]
        return Result(
            "lesson: cpu-bound",
            _system(count),
            jobs,
            seconds,
            cost.cpu_seconds,
            cost.peak_memory_mb,
            all(right) and len(right) == jobs,
        )


@dataclass(frozen=True, slots=True)
class Beside:
    """How long other requests took beside a lesson."""

    lesson: str
    count: int
    seconds: Sequence[float]
    taught: int

    def row(self) -> str:
        """A row of the table, in milliseconds."""
        quantiles = [f"{quantile(self.seconds, share) * 1000:.1f}" for share in (0.5, 0.95, 0.99)]
        slow = sum(each > SLOW_SECONDS for each in self.seconds) / len(self.seconds)
        return (
            f"| {self.lesson} | {self.count} | {self.taught} | {' | '.join(quantiles)} "
            f"| {slow:.1%} |"
        )


async def beside(*, quick: bool) -> tuple[list[Result], str]:
    """Other requests at an even rate, while a lesson is asked for once a second or so."""
    results, rows = [], []
    for count in COUNTS:
        async with instances(count) as gateways, client() as session:
            for lesson, target in LESSONS.items():
                urls = [gateway.url for gateway in gateways]
                cost = Cost(gateways)
                measured = await _beside(session, urls, lesson, target, seconds=6 if quick else 15)
                results.append(
                    Result(
                        f"lesson: other requests beside {lesson}",
                        _system(count),
                        len(measured.seconds),
                        max(1.0, len(measured.seconds) / PROBES_PER_SECOND),
                        cost.cpu_seconds,
                        cost.peak_memory_mb,
                        measured.taught > 0,
                    )
                )
                rows.append(measured.row())
    section = [
        "### Other requests beside a lesson",
        "",
        (
            f"{PROBES_PER_SECOND} requests a second to `{PROBE.partition('?')[0]}`, in turn to "
            f"each instance, while one lesson of 0.2 s is asked for every "
            f"{LESSON_EVERY_SECONDS:g} s, in turn as well. Slow: above "
            f"{SLOW_SECONDS * 1000:.0f} ms."
        ),
        "",
        "| lesson | instances | lessons | p50 ms | p95 ms | p99 ms | slow |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *rows,
    ]
    return results, "\n".join(section)


async def _beside(
    session: aiohttp.ClientSession, urls: Sequence[str], lesson: str, target: str, seconds: float
) -> Beside:
    loop, taken = asyncio.get_running_loop(), []
    taught = 0

    async def teach() -> None:
        nonlocal taught
        number = 0
        while True:
            pause = asyncio.create_task(asyncio.sleep(LESSON_EVERY_SECONDS))
            async with session.get(urls[number % len(urls)] + target) as answer:
                answer.raise_for_status()
            taught, number = taught + 1, number + 1
            await pause

    async def probe(url: str, due: float) -> None:
        async with session.get(url + PROBE) as answer:
            answer.raise_for_status()
            await answer.read()
        taken.append(loop.time() - due)

    for url in urls:  # connections, and whatever is made with the first request
        async with session.get(url + target) as answer:
            await answer.read()
        await probe(url, loop.time())
    await asyncio.sleep(LESSON_EVERY_SECONDS)
    taken.clear()
    teaching = asyncio.create_task(teach())
    began, probes = loop.time(), []
    for number in range(int(seconds * PROBES_PER_SECOND)):
        due = began + number / PROBES_PER_SECOND
        await asyncio.sleep(max(0.0, due - loop.time()))
        probes.append(asyncio.create_task(probe(urls[number % len(urls)], due)))
    await asyncio.gather(*probes)
    if teaching.done():
        teaching.result()
    teaching.cancel()
    with suppress(asyncio.CancelledError):
        await teaching
    return Beside(lesson, len(urls), taken, taught)


def _system(count: int) -> str:
    return "1 instance" if count == 1 else f"{count} instances"
