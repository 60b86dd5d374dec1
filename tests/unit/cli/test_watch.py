"""`faust -A app watch`: rates, the screen, what it does when nobody answers; in a real terminal."""

import asyncio
import contextlib
import fcntl
import io
import os
import pty
import re
import signal
import struct
import sys
import termios
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from rich.console import Console

from app.cli.asking import asking
from app.cli.console import UNREACHABLE, CommandError
from app.cli.watch import Watch, watch
from app.cli.watch.asked import Asker
from app.cli.watch.screen import HEIGHT, WIDTH, document, line, screen, spark
from app.cli.watch.view import History, Sample, View
from gateway.server import nobody_waits
from infra.local.ports import free_ports
from tests.kafka import eventually

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 11, 21, 17, 5, 12, tzinfo=UTC)
PATIENCE_SECONDS = 60
LEAVES_THE_SCREEN = "\x1b[?1049l"
SHOWS_THE_CURSOR = "\x1b[?25h"

TOTALS = {
    "orders": 1_234_567,
    "confirmed": 1_200_000,
    "cancelled": 34_000,
    "revenue": 98_765_432.1,
    "successRate": 0.9724,
    "cancelledBy": {"OUT_OF_STOCK": 30_000, "PAYMENT_FAILED": 3_999, "TIMEOUT": 1},
}
FLOW = {
    "pending": 567,
    "confirmed": 1_200_000,
    "cancelled": 34_000,
    "cancelledBy": {},
    "steps": [
        {"step": "inventory", "direction": "forward", "waiting": 300, "oldestSeconds": 4.4},
        {"step": "payment", "direction": "forward", "waiting": 260, "oldestSeconds": 12.0},
        {"step": "inventory", "direction": "back", "waiting": 7},
    ],
}
SERVICES = ("order", "inventory", "payment", "notification", "audit", "analytics", "movies")
GROUPS = {
    "groups": [
        {
            "group": f"orders-{name}",
            "service": name,
            "lag": 12 if name == "order" else 0,
            "members": [] if name == "movies" else [{"clientId": f"worker-1-{name}"}],
        }
        for name in SERVICES
    ]
}
LETTERS = {"counts": [{"topic": "order.events.v1", "open": 3}, {"topic": "x", "open": 1}]}
ORDER = {
    "orderId": "0b9f7a52-0000-0000-0000-000000000000",
    "userId": "somebody-with-a-very-long-name-that-goes-on-and-on",
    "total": 123_456.78,
    "status": "CANCELLED",
    "reason": "OUT_OF_STOCK",
    "updatedAt": "2026-11-21T17:05:11.000Z",
}
READY = {"status": "ok", "checks": {"mongodb": True, "services": {"order": True}}}
WORKER: dict[str, Any] = {
    "/analytics": TOTALS,
    "/sagas/flow": FLOW,
    "/groups": GROUPS,
    "/dlq": LETTERS,
    "/orders": {"orders": [ORDER] * 50},
    "/readyz": READY,
}


def known() -> View:
    """A view in which everything has been answered just now."""
    view = View("http://127.0.0.1:6066")
    for name, path in (
        ("analytics", "/analytics"),
        ("flow", "/sagas/flow"),
        ("groups", "/groups"),
        ("letters", "/dlq"),
        ("orders", "/orders"),
        ("ready", "/readyz"),
    ):
        view.answer(name, WORKER[path])
    return view


def printed(view: View) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=WIDTH, height=HEIGHT).print(screen(view, NOW))
    return out.getvalue().splitlines()


def test_a_sparkline_has_its_highest_value_full_and_nothing_for_what_is_not_known() -> None:
    assert "   ▁▅█ █" == spark([0.0, 4.0, 7.0, None, 7.0], width=8)
    assert "▁▁" == spark([0.0, 0.0, 0.0], width=2)
    assert "    " == spark([], width=4)


def test_rates_are_of_the_last_minute_and_begin_anew_with_another_system() -> None:
    history = History()
    assert (None, None) == (history.orders_per_minute(), history.recent_success())
    history.note(Sample(10.0, 100, 90, 10, 1000.0))
    history.note(Sample(11.0, 100, 90, 10, 1000.0))  # the same answer, given again
    history.note(Sample(12.0, 104, 93, 11, 1040.0))

    assert (120.0, 1200.0) == (history.orders_per_minute(), history.revenue_per_minute())
    assert ([2.0], [0.75], 0.75) == (
        history.orders(),
        history.success(),
        history.recent_success(),
    )

    history.note(Sample(13.0, 5, 5, 0, 50.0))
    assert history.orders_per_minute() is None


def test_what_a_customer_is_called_is_shown_as_it_is() -> None:
    view = known()
    view.answer("orders", {"orders": [ORDER | {"userId": "[/x] [bold]"}]})

    assert "[/x] [bold]" in "\n".join(printed(view))


def test_the_screen_fits_a_small_terminal_and_has_all_that_matters() -> None:
    shown = printed(known())

    assert HEIGHT == len(shown)
    assert {WIDTH} == {len(row) for row in shown}
    text = " ".join("\n".join(shown).split())
    for words in (
        "live 17:05:12",
        "orders 1,234,567",
        "revenue 98,765,432.10",
        "success 97.2%",
        "saga, 567 pending",
        "inventory undo 7, 4 s 307",
        "payment 12 s 260",
        "out of stock 30,000",
        "nobody",
        "worker-1 in 6 groups",
        "dead letters 4",
        "17:05:11",
        "0b9f7a52",
        "CANCELLED OUT_OF_STOCK",
    ):
        assert words in text, text


def test_before_anything_is_answered_the_screen_says_so() -> None:
    view = View("http://127.0.0.1:6066")
    view.fault("analytics", "503 Only 3 of 6 partitions can be read now.", answered=True)

    shown = "\n".join(printed(view))

    assert "no totals" in shown
    assert "Only 3 of 6 partitions" in shown
    assert "17:05:12 no totals" == line(view, NOW)


def test_the_gateways_word_on_its_workers_is_shown_where_it_is_to_be_had() -> None:
    view = known()
    down = {"target": "http://10.0.0.7:6066", "live": False, "state": "open"}
    view.answer("breakers", {"breakers": [down, {**down, "live": True, "state": "closed"}] * 4})

    shown = "\n".join(printed(view))

    assert "no answer, open" in shown
    assert "and 3 more" in shown


def test_without_a_terminal_it_is_a_line_and_for_programs_a_document() -> None:
    view = known()

    expected = (
        "17:05:12 orders 1,234,567 (-/min), confirmed 1,200,000, cancelled 34,000, pending 567, "
        "revenue 98,765,432.10, lag 12, dead letters 4"
    )
    assert expected == line(view, NOW)
    shown = document(view, NOW)
    assert (4, 12, None) == (shown["deadLetters"], shown["lag"]["orders-order"], shown["trouble"])


def test_what_is_not_ready_is_named() -> None:
    view = known()
    view.answers.pop("groups")
    checks = {"mongodb": False, "services": {"order": True, "payment": False}}
    view.answer("ready", {"status": "unavailable", "checks": checks})

    assert "mongodb, payment" in "\n".join(printed(view))


class Stub:
    """A worker that answers as ours do; it can be stopped and started again at its port."""

    def __init__(self) -> None:
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.status: dict[str, int] = {}
        self.asked: list[str] = []
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        status = self.status.get(request.path, 200 if request.path in WORKER else 404)
        body = WORKER.get(request.path, {}) if status == 200 else {"detail": "no"}
        return web.json_response(body, status=status)

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self.handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await self._site.start()

    async def stop(self) -> None:
        if self._runner is not None and self._site is not None:
            # The command, in a process of its own, may be connecting just now.
            await nobody_waits(self._site)
            await self._runner.cleanup()
            self._runner = self._site = None


@pytest.fixture
async def worker() -> AsyncIterator[Stub]:
    stub = Stub()
    await stub.start()
    yield stub
    await stub.stop()


async def test_what_a_worker_does_not_have_is_not_asked_for_again_at_once(worker: Stub) -> None:
    view = View(worker.url)
    async with asking(worker.url) as api:
        asker = Asker(api, view)
        await asker.once()
        await asker.once()

    assert 1 == worker.asked.count("/breakers")
    assert {"breakers"} == set(view.faults)
    assert view.trouble() is None


async def test_one_frame_is_enough_where_one_is_asked_for(worker: Stub) -> None:
    out = io.StringIO()
    # Nobody answers at the first address.
    urls = (f"http://127.0.0.1:{free_ports(1)[0]}", worker.url)

    assert 0 == await watch(Console(file=out), Watch(urls=urls, once=True))

    assert HEIGHT == len(out.getvalue().splitlines())
    assert worker.url in out.getvalue()


async def test_who_may_not_ask_is_told_how_to(worker: Stub) -> None:
    worker.status["/analytics"] = 401

    with pytest.raises(CommandError, match="ORDERFLOW_TOKEN"):
        await watch(Console(file=io.StringIO()), Watch(urls=(worker.url,), once=True))


async def test_where_nobody_answers_to_begin_with_it_ends(worker: Stub) -> None:
    await worker.stop()

    with pytest.raises(CommandError, match="nothing answers at") as error:
        await watch(Console(file=io.StringIO()), Watch(urls=(worker.url,)))
    assert UNREACHABLE == error.value.status


async def test_an_answer_that_swallows_the_cancellation_does_not_keep_it_from_ending(
    worker: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = Asker.once
    worker_was_seen, asking_again, swallowed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def once(asker: Asker) -> None:
        if not swallowed.is_set() and worker_was_seen.is_set():
            asking_again.set()
            try:
                await asyncio.sleep(PATIENCE_SECONDS)
            except asyncio.CancelledError:
                swallowed.set()
        await asks(asker)
        worker_was_seen.set()

    monkeypatch.setattr(Asker, "once", once)
    looking = asyncio.create_task(
        watch(Console(file=io.StringIO()), Watch(urls=(worker.url,), every=0.05))
    )
    await asyncio.wait_for(asking_again.wait(), PATIENCE_SECONDS)

    os.kill(os.getpid(), signal.SIGINT)

    assert 0 == await asyncio.wait_for(looking, PATIENCE_SECONDS)
    assert swallowed.is_set()


class Terminal:
    """The command in a terminal of 80 by 24."""

    def __init__(self, process: asyncio.subprocess.Process, master: int) -> None:
        self.process = process
        self.written = ""
        self._master = master
        os.set_blocking(master, False)

    @classmethod
    async def start(cls, tmp_path: Path, *arguments: str) -> "Terminal":
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "faust", "-A", "app", *arguments),
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm", "DATA_DIR": str(tmp_path)},
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        return cls(process, master)

    def read(self) -> str:
        """All that was written so far, and since the last look."""
        before = len(self.written)
        with contextlib.suppress(BlockingIOError, OSError):
            while data := os.read(self._master, 1 << 16):
                self.written += data.decode(errors="replace")
        return self.written[before:]

    async def shows(self, words: str) -> None:
        """Wait until it shows this anew."""
        self.read()
        seen = ""

        def found() -> bool:
            nonlocal seen
            seen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.read())
            return words in seen

        await eventually(found, PATIENCE_SECONDS, f"the terminal shows {words!r}")


async def test_in_a_terminal_it_outlives_its_worker_and_leaves_all_as_it_was(
    worker: Stub, tmp_path: Path
) -> None:
    terminal = await Terminal.start(tmp_path, "watch", "--url", worker.url, "--every", "0.2")
    try:
        await terminal.shows("live")
        await worker.stop()
        await terminal.shows("reconnecting")
        await worker.start()
        await terminal.shows("live")

        terminal.process.send_signal(signal.SIGINT)
        give_up = time.monotonic() + PATIENCE_SECONDS
        while terminal.process.returncode is None and time.monotonic() < give_up:
            terminal.read()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(terminal.process.wait(), 0.2)
    finally:
        if terminal.process.returncode is None:
            terminal.process.kill()
            await terminal.process.wait()
    terminal.read()
    assert 0 == terminal.process.returncode
    assert LEAVES_THE_SCREEN in terminal.written
    assert SHOWS_THE_CURSOR in terminal.written
    assert "error" not in terminal.written
