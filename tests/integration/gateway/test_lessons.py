"""The lessons on event loops, with real processes in the pool. A process that must not come to
its end is stopped by a signal, so that nothing here is a question of time."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway.servers import Gateway, gateway, until, upstream

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[3]
PRIMES_BELOW_100 = 25
WORK = "/api/cpu-bound?n=100"


@contextlib.asynccontextmanager
async def front(**fields: Any) -> AsyncIterator[Gateway]:
    async with upstream() as worker, gateway(worker, **fields) as started:
        yield started


@contextlib.contextmanager
def stopped(process: BaseProcess) -> Iterator[None]:
    """Its work stands still."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)


async def begun(front: Gateway) -> BaseProcess:
    """The only process of the pool, at rest."""
    async with front.client.get(WORK) as answer:
        assert PRIMES_BELOW_100 == (await answer.json())["primes"]
    (process,) = active_children()
    return process


async def test_other_requests_are_answered_while_the_pool_is_at_work() -> None:
    async with front(gateway_name="gateway-7") as one:
        process = await begun(one)
        with stopped(process):
            work = asyncio.create_task(one.client.get(WORK))
            for _ in range(3):
                assert 200 == (await one.client.get("/livez")).status
                assert 200 == (await one.client.get("/api/orders")).status
            assert not work.done()
        async with await work as answer:
            body = await answer.json()
            assert ("cpu-bound", "gateway-7", PRIMES_BELOW_100) == (
                body["lesson"],
                body["instance"],
                body["primes"],
            )
    assert [] == active_children()


async def test_more_than_may_wait_for_the_pool_is_503_and_the_rest_is_done() -> None:
    async with front(cpu_bound_processes=1, cpu_bound_queue=1) as one:
        with stopped(await begun(one)):
            works = [asyncio.create_task(one.client.get(WORK)) for _ in range(4)]
            refused, waiting = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            while len(refused) < 2:
                more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                refused |= more
            for each in refused:
                answer = each.result()
                assert (503, "1") == (answer.status, answer.headers["Retry-After"])
                assert "application/problem+json" == answer.content_type
        assert [200, 200] == [answer.status for answer in await asyncio.gather(*waiting)]
        assert 200 == (await one.client.get(WORK)).status


async def test_work_whose_client_has_left_holds_no_place() -> None:
    async with front(cpu_bound_processes=1, cpu_bound_queue=1) as one:
        process = await begun(one)
        with stopped(process):
            works = [asyncio.create_task(one.client.get(WORK)) for _ in range(2)]
            full = asyncio.create_task(one.client.get(WORK))
            done, _ = await asyncio.wait([full, *works], return_when=asyncio.FIRST_COMPLETED)
            assert 503 == done.pop().result().status
            for work in [*works, full]:
                work.cancel()
        async with asyncio.timeout(60):
            while (await one.client.get(WORK)).status != 200:
                await asyncio.sleep(0.05)


async def test_a_pool_process_that_is_killed_is_replaced_and_its_work_done_again() -> None:
    async with front() as one:
        process = await begun(one)
        with stopped(process):
            work = asyncio.create_task(one.client.get(WORK))
            assert 200 == (await one.client.get("/livez")).status
            process.kill()
            async with await work as answer:
                assert (200, PRIMES_BELOW_100) == (answer.status, (await answer.json())["primes"])
        again = await begun(one)
        assert process.pid != again.pid
        again.kill()
        again.join()
        await begun(one)


async def test_a_gateway_that_stops_does_not_wait_for_a_process_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.pool.LEAVE_SECONDS", 0.2)
    async with front() as one:
        os.kill((await begun(one)).pid or 0, signal.SIGSTOP)
        work = asyncio.create_task(one.client.get(WORK))
        await one.client.get("/livez")
        work.cancel()
    await until(lambda: [] == active_children())


KILLED = """
import asyncio, os, signal
from multiprocessing import active_children
from gateway.pool import Pool
from gateway.primes import count_primes

if __name__ == "__main__":
    asyncio.run(Pool(1, 0).run(count_primes, 100))
    print(active_children()[0].pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_a_killed_gateway_leaves_no_process_of_its_pool(tmp_path: Path) -> None:
    script, printed = tmp_path / "killed.py", tmp_path / "printed"
    script.write_text(KILLED)
    # Into a file: a pipe would not end while a process of the pool holds it.
    with printed.open("w") as output:
        await asyncio.to_thread(
            subprocess.run,
            [sys.executable, script],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=output,
            timeout=60,
            check=False,
        )
    pid = int(printed.read_text())
    try:
        # Who has ended may still wait to be collected by whoever adopted it.
        await until(lambda: state_of(pid) in ("", "Z"))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize("lesson", ["blocking", "non-blocking"])
async def test_a_pause_is_as_long_as_asked_for(lesson: str) -> None:
    async with (
        front(gateway_name="gateway-7") as one,
        one.client.get(f"/api/{lesson}?ms=30") as answer,
    ):
        body = await answer.json()
        assert (200, lesson, "gateway-7", 30) == (
            answer.status,
            body["lesson"],
            body["instance"],
            body["milliseconds"],
        )
        assert body["seconds"] >= 0.03


async def test_an_instance_that_was_just_blocked_serves_the_others_first() -> None:
    async with front() as one, front() as other:
        assert 200 == (await one.client.get("/api/blocking?ms=500")).status
        async with one.client.get("/api/blocking?ms=1") as answer:
            assert (503, "application/problem+json") == (answer.status, answer.content_type)
            assert int(answer.headers["Retry-After"]) >= 1
        assert 200 == (await other.client.get("/api/blocking?ms=1")).status


@pytest.mark.parametrize(
    "target",
    [
        *("blocking?ms=0", "blocking?ms=1001", "blocking?ms=x", "blocking?ms=-1"),
        *("non-blocking?ms=1001", "non-blocking?ms=", "non-blocking?ms=1e2"),
        *("cpu-bound?n=0", "cpu-bound?n=1000001", "cpu-bound?n=9999999999999999999"),
    ],
)
async def test_a_lesson_out_of_its_bounds_is_refused(target: str) -> None:
    async with front() as one:
        async with one.client.get(f"/api/{target}") as answer:
            assert (422, "application/problem+json") == (answer.status, answer.content_type)
        assert 405 == (await one.client.post(f"/api/{target}")).status
    assert [] == active_children()
