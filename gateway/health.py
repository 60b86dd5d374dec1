"""Background checks of which workers live.

Liveness, not readiness: see docs/adr/0005-gateway-routing.md.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from gateway.workers import Worker, Workers

PATH = "/livez"


@asynccontextmanager
async def watched(
    workers: Workers, *, interval_seconds: float, limit_seconds: float
) -> AsyncIterator[None]:
    """Check each worker on its own time, the first time before this is entered.

    Each check opens a connection of its own: it waits behind no request, and a worker that has
    stopped accepting is found out although its old connections go on.
    """
    async with ClientSession(
        connector=TCPConnector(force_close=True),
        timeout=ClientTimeout(total=limit_seconds),
    ) as session:
        await asyncio.gather(*(check(session, worker) for worker in workers))
        tasks = [
            asyncio.create_task(_keep_checking(session, worker, interval_seconds))
            for worker in workers
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_checking(session: ClientSession, worker: Worker, interval_seconds: float) -> None:
    while True:
        await asyncio.sleep(interval_seconds)
        await check(session, worker)


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
