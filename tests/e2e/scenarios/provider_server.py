"""A payment provider as a process of its own: `python -m tests.e2e.scenarios.provider_server`.

It speaks what `app.providers.http` asks for. Its ledger, one entry an idempotency key, is a file,
so that it is still there when the process was killed. Over its control path a test reads it, and
says how the next calls about an order are treated.
"""

import argparse
import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

DECLINED = "the card was declined"
VOIDED = "this charge was withdrawn"


@dataclass
class Entry:
    """What happened under an idempotency key; amounts as they were asked for."""

    key: str
    order_id: str = ""
    charged: list[float] = field(default_factory=list)
    refunded: list[float] = field(default_factory=list)
    declined: bool = False
    withdrawn: bool = False


class Ledger:
    """The entries, each change of which is in the file before it is answered."""

    def __init__(self, file: Path) -> None:
        self.entries: dict[str, Entry] = {}
        self._file = file
        if file.exists():
            for line in file.read_text().splitlines():
                entry = Entry(**json.loads(line))
                self.entries[entry.key] = entry

    def charge(self, key: str, order_id: str, amount: float, *, decline: bool) -> dict[str, Any]:
        """Charge once a key, and never what was withdrawn."""
        entry = self._entry(key, order_id)
        if not (entry.charged or entry.declined or entry.withdrawn):
            entry.declined = decline
            if not decline:
                entry.charged.append(amount)
            self._keep(entry)
        if entry.withdrawn or entry.declined:
            return {"ok": False, "detail": VOIDED if entry.withdrawn else DECLINED}
        return {"ok": True, "paymentId": f"p-{key}"}

    def withdraw(self, key: str, order_id: str) -> dict[str, Any]:
        """Take back what was charged, and never charge under the key again."""
        entry = self._entry(key, order_id)
        entry.withdrawn = True
        self._keep(entry)
        return {"ok": True}

    def refund(self, key: str, order_id: str, amount: float) -> dict[str, Any]:
        """Give back once a key."""
        entry = self._entry(key, order_id)
        if not entry.refunded:
            entry.refunded.append(amount)
            self._keep(entry)
        return {"ok": True}

    def _entry(self, key: str, order_id: str) -> Entry:
        entry = self.entries.setdefault(key, Entry(key))
        entry.order_id = order_id
        return entry

    def _keep(self, entry: Entry) -> None:
        with self._file.open("a") as file:
            file.write(json.dumps(asdict(entry)) + "\n")


class Provider:
    """The calls, and what becomes of each.

    Of an order and an action (`charge`, `withdraw`, `refund`) a list of tricks says how the next
    calls go: `slow` does it too late, `lost` does it and hangs up, `drop` hangs up, `decline` says
    no. About an order that is silent nothing is done, and nothing answered until it no longer is.
    """

    def __init__(self, ledger: Ledger, slow_seconds: float) -> None:
        self._ledger = ledger
        self._slow_seconds = slow_seconds
        self._tricks: dict[tuple[str, str], list[str]] = {}
        self._silent: dict[str, asyncio.Event] = {}
        self._calls: list[tuple[str, str]] = []
        self._finished: list[str] = []

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.post("/charges", self.charge),
            web.delete("/charges/{order}", self.withdraw),
            web.post("/refunds", self.refund),
            web.get("/control", self.state),
            web.put("/control/{order}/tricks", self.plan),
            web.put("/control/{order}/silent", self.silence),
        ]

    async def charge(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        order_id, amount = body["orderId"], body["amount"]
        return await self._answer(
            request,
            "charge",
            order_id,
            lambda key, trick: self._ledger.charge(
                key, order_id, amount, decline=trick == "decline"
            ),
        )

    async def withdraw(self, request: web.Request) -> web.StreamResponse:
        order_id = request.match_info["order"]
        return await self._answer(
            request, "withdraw", order_id, lambda key, _: self._ledger.withdraw(key, order_id)
        )

    async def refund(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        order_id, amount = body["orderId"], body["amount"]
        return await self._answer(
            request, "refund", order_id, lambda key, _: self._ledger.refund(key, order_id, amount)
        )

    async def state(self, request: web.Request) -> web.Response:
        entries = [asdict(entry) for entry in self._ledger.entries.values()]
        return web.json_response(
            {"ledger": entries, "calls": self._calls, "finished": self._finished}
        )

    async def plan(self, request: web.Request) -> web.Response:
        tricks: Mapping[str, list[str]] = await request.json()
        for action, names in tricks.items():
            self._tricks[request.match_info["order"], action] = list(names)
        return web.Response()

    async def silence(self, request: web.Request) -> web.Response:
        order_id = request.match_info["order"]
        if await request.json():
            self._silent[order_id] = asyncio.Event()
        else:
            self._silent.pop(order_id).set()
        return web.Response()

    async def _answer(
        self,
        request: web.Request,
        action: str,
        order_id: str,
        do: Callable[[str, str | None], dict[str, Any]],
    ) -> web.StreamResponse:
        self._calls.append((action, order_id))
        try:
            return await self._treated(request, action, order_id, do)
        finally:
            self._finished.append(order_id)

    async def _treated(
        self,
        request: web.Request,
        action: str,
        order_id: str,
        do: Callable[[str, str | None], dict[str, Any]],
    ) -> web.StreamResponse:
        if (loud_again := self._silent.get(order_id)) is not None:
            await loud_again.wait()
            return _hang_up(request)
        tricks = self._tricks.get((order_id, action))
        trick = tricks.pop(0) if tricks else None
        if trick == "drop":
            return _hang_up(request)
        if trick == "slow":
            await asyncio.sleep(self._slow_seconds)
        answer = do(request.headers["Idempotency-Key"], trick)
        return _hang_up(request) if trick == "lost" else web.json_response(answer)


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:  # the client may have gone first
        request.transport.abort()
    return web.Response()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--slow-seconds", type=float, required=True)
    given = parser.parse_args()
    app = web.Application()
    app.add_routes(Provider(Ledger(given.ledger), given.slow_seconds).routes())
    web.run_app(app, host="127.0.0.1", port=given.port, print=None)


if __name__ == "__main__":
    main()
