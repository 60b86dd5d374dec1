"""Background checks of which workers live.

Liveness, not readiness: see docs/adr/0005-gateway-routing.md.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from gateway.naming import Names
from gateway.workers import Worker, Workers

PATH = "/livez"


@asynccontextmanager
async def watched(
    workers: Workers,
    *,
    interval_seconds: float,
    limit_seconds: float,
    names: Names | None = None,
    resolve_seconds: float = 0.0,
) -> AsyncIterator[None]:
    """Check each worker on its own time, the first time before this is entered.

    Each check opens a connection of its own: it waits behind no request, and a worker that has
    stopped accepting is found out although its old connections go on.

    Args:
        names: what the workers are behind; None where they stay the same.
        resolve_seconds: the time between two looks at the names.
    """
    async with ClientSession(
        connector=TCPConnector(force_close=True),
        timeout=ClientTimeout(total=limit_seconds),
    ) as session:
        if names is not None:
            workers.replace(await names.urls())
        await asyncio.gather(*(check(session, worker) for worker in workers))
        checks = _Checks(session, interval_seconds)
        checks.follow(workers, after=interval_seconds)
        looking = (
            [asyncio.create_task(_keep_looking(names, workers, checks, resolve_seconds))]
            if names is not None
            else []
        )
        try:
            yield
        finally:
            for task in looking:
                task.cancel()
            await asyncio.gather(*looking, return_exceptions=True)
            await checks.close()


class _Checks:
    """A task for each worker that there is."""

    def __init__(self, session: ClientSession, interval_seconds: float) -> None:
        self._session = session
        self._interval = interval_seconds
        self._tasks: dict[Worker, asyncio.Task[None]] = {}

    def follow(self, workers: Iterable[Worker], *, after: float = 0.0) -> None:
        """Begin with those that are new, so many seconds from now; end with those that are gone."""
        now = set(workers)
        for worker in self._tasks.keys() - now:
            self._tasks.pop(worker).cancel()
        for worker in now - self._tasks.keys():
            self._tasks[worker] = asyncio.create_task(self._keep_checking(worker, after))

    async def close(self) -> None:
        """End with all."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_checking(self, worker: Worker, after: float) -> None:
        await asyncio.sleep(after)
        while True:
            await check(self._session, worker)
            await asyncio.sleep(self._interval)


async def _keep_looking(
    names: Names, workers: Workers, checks: _Checks, resolve_seconds: float
) -> None:
    while True:
        await asyncio.sleep(resolve_seconds)
        workers.replace(await names.urls())
        checks.follow(workers)


async def check(session: ClientSession, worker: Worker) -> None:
    """Ask the worker whether it lives, and mark it so."""
    try:
        async with session.get(worker.url + PATH, allow_redirects=False) as answer:
            status = answer.status
    except TimeoutError:
        worker.mark_late()
    except (ClientError, OSError) as error:
        worker.mark_unreachable(f"{PATH}: {error}")
    else:
        if status == HTTPStatus.OK:
            worker.mark_live()
        else:
            worker.mark_down(f"{PATH} answers {status}")
