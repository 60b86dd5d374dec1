"""A test's handle on the payment provider's process."""

import sys
from pathlib import Path
from typing import Any, Literal

import aiohttp

from infra.local.control import Process
from infra.local.ports import LOOPBACK, Port, free_ports
from infra.local.process import Program, Stage
from tests.e2e.scenarios.provider_server import Entry
from tests.kafka import eventually
from tests.shop import ROOT

# What the payment service waits for one call: a second, so that a busy machine is not taken for a
# slow provider three times in a row.
TIMEOUT_SECONDS = 1.0
ATTEMPTS = 3
# Late enough for the call to have been given up, early enough for the next one to be under way.
SLOW_SECONDS = 1.5 * TIMEOUT_SECONDS
PATIENCE_SECONDS = 60

Trick = Literal["slow", "lost", "drop", "decline"]


class ProviderProcess:
    """The provider: killed and started again at the same port, with the same ledger."""

    def __init__(self, directory: Path) -> None:
        self.silenced = False
        port = free_ports(1)[0]
        self.url = f"http://{LOOPBACK}:{port}"
        self.process = Process(
            Program(
                name="provider",
                command=(
                    *(sys.executable, "-m", "tests.e2e.scenarios.provider_server"),
                    *("--port", str(port), "--slow-seconds", str(SLOW_SECONDS)),
                    *("--ledger", str(directory / "provider.jsonl")),
                ),
                log=directory / "logs" / "provider.log",
                cwd=ROOT,
                check=f"{self.url}/control",
                address=self.url,
                stage=Stage.SERVER,
                ports=(Port(port, "the port"),),
            )
        )

    def start(self) -> None:
        """Begin, or come back."""
        self.process.start()
        self.process.wait_ready()

    def stop(self) -> None:
        """Go away: connections are refused from now on."""
        self.process.kill9()
        self.silenced = False

    async def tricks(self, order_id: str, **tricks: list[Trick]) -> None:
        """How the next calls about the order go, by action."""
        await self._put(f"{order_id}/tricks", tricks)

    async def silent(self, order_id: str) -> None:
        """Do nothing for the order, and answer nothing."""
        self.silenced = True
        await self._put(f"{order_id}/silent", body=True)

    async def loud(self, order_id: str) -> None:
        """Hang up on those who wait, and do what is asked from now on."""
        await self._put(f"{order_id}/silent", body=False)
        self.silenced = False

    async def calls(self, order_id: str) -> list[str]:
        """The actions asked for, in order, since it last started."""
        return [action for action, about in (await self._state())["calls"] if about == order_id]

    async def called(self, order_id: str) -> None:
        """Wait until it was asked for something about the order."""
        await eventually(
            lambda: self.calls(order_id), PATIENCE_SECONDS, "the provider is called", every=0.05
        )

    async def idle(self, order_id: str) -> None:
        """Wait until it has done all that it was asked for the order; its clients may have gone."""

        async def done() -> bool:
            state = await self._state()
            asked = sum(about == order_id for _, about in state["calls"])
            return bool(asked == state["finished"].count(order_id))

        await eventually(done, PATIENCE_SECONDS, "the provider is done", every=0.05)

    async def entries(self) -> dict[str, list[Entry]]:
        """The ledger's entries of each order."""
        found: dict[str, list[Entry]] = {}
        for each in (await self._state())["ledger"]:
            entry = Entry(**each)
            found.setdefault(entry.order_id, []).append(entry)
        return found

    async def _state(self) -> dict[str, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/control") as answer,
        ):
            state: dict[str, Any] = await answer.json()
            return state

    async def _put(self, path: str, body: Any) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.put(f"{self.url}/control/{path}", json=body) as answer,
        ):
            assert 200 == answer.status
