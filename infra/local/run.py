"""`make run`: start all, stock the shelves, send orders, check the books, stay until Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from infra.local import apps, java, secrets, servers
from infra.local.errors import LocalError
from infra.local.given import count, flag
from infra.local.process import Stage, Started
from infra.local.world import World

# Rates at which each outcome shows up among 2,000 orders. `make up` leaves all at 0.
SIMULATION = {
    "PAYMENT_FAILURE_RATE": "0.05",
    "PAYMENT_DELAY_SECONDS": "0.05",
    "PAYMENT_SEED": "7",
    "INVENTORY_FAILURE_RATE": "0.02",
}
# 0 sends all there are.
ORDERS = 2000
MOST_ORDERS = 10_000_000
LOOK_SECONDS = 1.0
# A count by metadata; the server has answered its health check a moment ago.
COUNT_MS = 3000
# As `faust -A app` reads it: orders made up on the spot.
GENERATED = "-"
# A progress bar hides the cursor, and can't show it again if it is interrupted.
SHOW_CURSOR = "\x1b[?25h"


def require_orders(csv: str | None, orders: int) -> None:
    """Raise `LocalError` where there would be no orders to send."""
    if csv == GENERATED:
        if not orders:
            raise LocalError("ORDERS=0 means all, and generated orders have no end: say how many")
    elif csv is not None:
        path = java.ROOT / csv
        if not path.is_file():
            raise LocalError(f"CSV={csv}: there is no such file")
        if not os.access(path, os.R_OK):
            raise LocalError(f"CSV={csv}: this file may not be read")


class Interrupted(Exception):  # noqa: N818 - not an error: the user has seen enough
    """Ctrl-C, or SIGTERM."""


class Run:
    """One foreground run; `main` gives its exit status."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.given = environment
        self.world = World(folder, environment)
        for variable, value in SIMULATION.items():
            if not environment.get(variable):
                self.world.worker_defaults[variable] = value
        self.orders = count(environment, "ORDERS", default=ORDERS, least=0, most=MOST_ORDERS)
        if not self.world.has_workers():
            raise LocalError("WORKERS=0 starts servers only: no order would ever end")
        self.csv = environment.get("CSV") or None
        require_orders(self.csv, self.orders)
        self.fresh: list[Started] = []
        self.interrupts = 0
        self.stopping = False

    def main(self) -> int:
        """Run to the end; 0 only if every order reached an end and the books balance."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)
        status = 130
        try:
            if self.world.has_data():
                print(
                    "Going on with the state of earlier runs: orders that were sent before are "
                    "already there\nand are not made again. `make clean` first starts afresh."
                )
            print("Starting the servers, workers and gateway:", flush=True)
            self.world.up(self.fresh)
            self._say_kept()
            print(f"Watch the orders come in: {self.world.console}", flush=True)
            status = self._work()
            leaving = flag(self.given, "EXIT")
            if status == 0 or not leaving:
                self._addresses()
            if not leaving:
                print("Ctrl-C stops what this command started.", flush=True)
                self._stay()
        except Interrupted:
            print("\nStopping (Ctrl-C again: at once) ...", flush=True)
        except LocalError as error:
            print(f"\n{error}", flush=True)
            status = 1
        finally:
            try:
                # A signal from here on only makes the stop faster, see `_interrupt`.
                self.stopping = True
            finally:
                if sys.stdout.isatty():
                    print(SHOW_CURSOR, end="", flush=True)
                self.world.down(self.fresh, hurry=lambda: self.interrupts > 1)
        return status

    def _work(self) -> int:
        """Stock, replay, verify, as separate programs whose output the user sees."""
        # Without CSV the commands themselves find the real orders, or generate some.
        csv = ["--csv", self.csv] if self.csv else []
        source = ["--orders", str(self.orders), *csv]
        before = self._orders_stored()
        for arguments in (
            ["stock", *source],
            ["replay", *source, "--url", self.world.api],
            ["verify"],
        ):
            status = self._command(*arguments)
            if status != 0:
                print(f"`faust -A app {arguments[0]}` failed with status {status}", flush=True)
                return status
        self._say_old(before)
        return 0

    def _say_kept(self) -> None:
        """Name the workers that ran before: what this command sets does not reach them."""
        fresh = {started.name for started in self.fresh}
        running = self.world.state.load().running().values()
        kept = [one.name for one in running if one.is_worker() and one.name not in fresh]
        if kept:
            print(
                f"{', '.join(kept)} ran already, with the settings of that start: the failure "
                "rates of `make run`\ndo not reach them. `make down` first, and they do.",
                flush=True,
            )

    def _orders_stored(self) -> int | None:
        """Count the orders in the database; None where it can't say."""
        url = self.world.environment()["MONGODB_URL"]
        try:
            with MongoClient[dict[str, Any]](
                url, serverSelectionTimeoutMS=COUNT_MS, socketTimeoutMS=COUNT_MS
            ) as client:
                orders = client.get_default_database(servers.DATABASE)["orders"]
                return orders.estimated_document_count()
        except PyMongoError:
            return None

    def _say_old(self, before: int | None) -> None:
        """Say it clearly where orders of an earlier run were sent again."""
        after = self._orders_stored()
        if not before or after is None:
            return
        new = after - before
        if self.orders and new >= self.orders:
            return
        print(
            f"\n{new:,} of these orders are new. What the table calls “already there” was sent by "
            "an earlier run:\nthe same orders sent again are the same orders. To start afresh: "
            "`make clean run`.",
            flush=True,
        )

    def _command(self, *arguments: str) -> int:
        environment = {**os.environ, **self.world.environment()}
        child = subprocess.Popen(
            apps.faust(*arguments),
            cwd=java.ROOT,
            env={**environment, **secrets.command_token(environment)},
            stdin=subprocess.DEVNULL,
        )
        try:
            return child.wait()
        finally:
            # Ctrl-C at a terminal reached it too; a SIGTERM to us did not.
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()

    def _addresses(self) -> None:
        environment = self.world.environment()
        programs = self.world.state.load().programs
        workers = [one.address for one in programs if one.is_worker()]
        gateways = [f"{one.address}/api" for one in programs if one.stage == Stage.GATEWAY]
        rows = {
            "console": self.world.console,
            "API": self.world.api,
            **({"TLS": self.world.tls_api} if self.world.tls_api else {}),
            "gateways": " ".join(gateways),
            "workers": " ".join(workers),
            "Kafka": environment["KAFKA_BOOTSTRAP_SERVERS"],
            "MongoDB": environment["MONGODB_URL"],
            "Redis": environment["REDIS_URL"],
            **({"Prometheus": self.world.prometheus} if self.world.prometheus else {}),
            "logs": str(self.world.folder / "logs"),
        }
        print("\n" + "\n".join(f"  {name:<10} {value}" for name, value in rows.items()), flush=True)

    def _stay(self) -> None:
        """Wait for a signal, and say so if a program ends on its own."""
        watched = list(self.fresh)
        pause = threading.Event()
        while True:
            pause.wait(LOOK_SECONDS)
            for started in [one for one in watched if not one.alive()]:
                watched.remove(started)
                print(f"{started.name} has ended; its log: {started.log}", flush=True)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupts += 1
        if not self.stopping and self.interrupts == 1:
            raise Interrupted
