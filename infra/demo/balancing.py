"""test-load-balancing: three gateways behind nginx, by each strategy."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from infra.demo.api import REQUEST_SECONDS, Api, until
from infra.demo.beside import Beside, beside, some_of
from infra.demo.claims import Claims, DemoError
from infra.demo.command import Demo, main, number
from infra.local.control import Process
from infra.local.process import Stage

ABOUT = """Three gateways behind nginx: round robin gives each a third, in turn; least_conn spares
the one with requests open; ip_hash always sends a client to the same one. And one that dies is
not missed. Each strategy runs in an nginx of its own, from the settings of `make up`, in front of
running gateways and at least one that is started for this."""

GATEWAYS = 3
REQUESTS = 60
MOST_REQUESTS = 10_000
# The first three numbers of an address are what ip_hash goes by: with so many, each of three
# gateways is left out one time in a hundred thousand, and always the same time.
CLIENTS = 30
REQUESTS_A_CLIENT = 4
# Open requests: two a gateway where they are spread.
STREAMS = 2 * GATEWAYS
STREAM = "/api/analytics/stream"
PROBE = "/api/livez"
INSTANCE = "X-Instance-Id"
# nginx hears at once of a client that has left.
WAIT_SECONDS = 15.0


async def show(api: Api, claims: Claims, options: argparse.Namespace) -> None:
    """Each strategy on the same three gateways."""
    running = some_of(api.system, Stage.GATEWAY)[: GATEWAYS - 1]
    async with beside(api.system) as ours:
        added = [
            await ours.gateway(f"demo-gateway-{n + 1}") for n in range(GATEWAYS - len(running))
        ]
        urls = [one.address for one in running] + [one.url for one in added]
        gateways = [url.removeprefix("http://") for url in urls]
        claims.note(f"gateways: {len(running)} running, {len(added)} more: {', '.join(gateways)}")
        token = {name: v for name, v in api.session.headers.items() if name == "Authorization"}
        in_turn = (await ours.nginx("round_robin", gateways)).url
        await _round_robin(in_turn, claims, token, options.requests)
        await _least_conn(ours, claims, gateways, token, options.requests)
        await _ip_hash(ours, claims, gateways, token)
        await _one_dies(in_turn, claims, added[-1], options.requests)


async def _round_robin(url: str, claims: Claims, token: dict[str, str], requests: int) -> None:
    async with _client(token) as session:
        asked = [await _who(session, url) for _ in range(requests)]
        counts = Counter(asked)
        claims.claim(
            f"round_robin: each of the {GATEWAYS} gateways gets its part of {requests} requests",
            holds=len(counts) == GATEWAYS and max(counts.values()) - min(counts.values()) <= 1,
            evidence=_shares(counts),
        )
        rounds = [set(asked[i : i + GATEWAYS]) for i in range(requests - GATEWAYS + 1)]
        claims.claim(
            f"round_robin: in turn, so any {GATEWAYS} requests in a row are at {GATEWAYS} gateways",
            holds=all(len(one) == GATEWAYS for one in rounds),
            evidence=f"{' '.join(asked[: 2 * GATEWAYS])} …",
        )
        async with _busy(url, token) as (busy, _):
            counts = Counter([await _who(session, url) for _ in range(requests)])
            claims.claim(
                "round_robin: it looks at no load, a gateway with requests open gets as many",
                holds=counts[busy] * GATEWAYS >= requests - GATEWAYS,
                evidence=f"{busy} has requests open; {_shares(counts)}",
            )


async def _least_conn(
    ours: Beside, claims: Claims, gateways: Sequence[str], token: dict[str, str], requests: int
) -> None:
    url = (await ours.nginx("least_conn", gateways)).url
    async with _client(token) as session, _busy(url, token) as (busy, spread):
        claims.claim(
            f"least_conn: {STREAMS} requests that stay open are spread",
            holds=len(spread) == GATEWAYS and set(spread.values()) == {STREAMS // GATEWAYS},
            evidence=_shares(spread),
        )

        async def spared() -> bool:
            return busy not in [await _who(session, url) for _ in range(STREAMS)]

        # From when nginx has seen that the others' requests are gone.
        await until(spared, WAIT_SECONDS, f"{busy} is spared")
        counts = Counter([await _who(session, url) for _ in range(requests)])
        claims.claim(
            f"least_conn: the gateway with requests open gets none of {requests} others",
            holds=not counts[busy] and len(counts) == GATEWAYS - 1,
            evidence=f"{busy} has {spread[busy]} open; {_shares(counts)}",
        )


async def _ip_hash(
    ours: Beside, claims: Claims, gateways: Sequence[str], token: dict[str, str]
) -> None:
    url = (await ours.nginx("ip_hash", gateways)).url
    homes: dict[str, set[str]] = {}
    for n in range(1, CLIENTS + 1):
        address = f"127.0.{n}.1"
        async with _client(token, address) as session:
            homes[address] = {await _who(session, url) for _ in range(REQUESTS_A_CLIENT)}
    moved = [address for address, seen in homes.items() if len(seen) > 1]
    claims.claim(
        "ip_hash: all requests of a client are at one gateway",
        holds=not moved,
        evidence=f"{REQUESTS_A_CLIENT} requests of each of {CLIENTS} addresses, "
        f"{len(moved)} of which saw more than one gateway",
    )
    counts = Counter(name for seen in homes.values() for name in seen)
    claims.claim(
        "ip_hash: the clients as a whole are at all of them",
        holds=len(counts) == GATEWAYS,
        evidence=f"clients: {_shares(counts)}",
    )


async def _one_dies(url: str, claims: Claims, victim: Process, requests: int) -> None:
    async with _client({}) as session:
        before = Counter([await _who(session, url) for _ in range(GATEWAYS * 2)])
        await asyncio.to_thread(victim.kill9)
        after = Counter([await _who(session, url) for _ in range(requests)])
    claims.claim(
        f"a gateway is killed: all of the next {requests} requests are answered by the others",
        holds=victim.name in before
        and victim.name not in after
        and after.total() == requests
        and len(after) == GATEWAYS - 1,
        evidence=f"before: {_shares(before)}; after: {_shares(after)}",
    )


@asynccontextmanager
async def _busy(url: str, token: dict[str, str]) -> AsyncIterator[tuple[str, Counter[str]]]:
    """Requests that stay open, of one gateway alone; it, and how they were spread at first."""
    async with AsyncExitStack() as stack:
        open_at: dict[str, list[aiohttp.ClientResponse]] = {}
        session = await stack.enter_async_context(_client(token))
        for _ in range(STREAMS):
            answer = await session.get(url + STREAM)
            stack.callback(answer.close)
            if not answer.ok:
                raise DemoError(f"{STREAM}: {answer.status}")
            open_at.setdefault(answer.headers[INSTANCE], []).append(answer)
        spread = Counter({name: len(some) for name, some in open_at.items()})
        busy = max(spread, key=lambda name: (spread[name], name))
        for name, some in open_at.items():
            for answer in some if name != busy else ():
                answer.close()
        yield busy, spread


@asynccontextmanager
async def _client(
    headers: dict[str, str], address: str | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client, at an address of the loopback network."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0) if address else None)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=REQUEST_SECONDS)
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, timeout=timeout
    ) as session:
        yield session


async def _who(session: aiohttp.ClientSession, url: str) -> str:
    """Which gateway answers."""
    async with session.get(url + PROBE) as answer:
        if not answer.ok:
            raise DemoError(f"{PROBE}: {answer.status} {(await answer.text())[:300]}")
        return answer.headers[INSTANCE]


def _shares(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def arguments(parser: argparse.ArgumentParser) -> None:
    """How many requests."""
    parser.add_argument(
        "--requests", type=number(MOST_REQUESTS), default=REQUESTS, help="for each claim"
    )


DEMO = Demo("test-load-balancing", ABOUT, show, arguments, needs={"GATEWAYS": "2"})

if __name__ == "__main__":
    sys.exit(main(DEMO))
