"""The commands of `faust -A app ...`, besides Faust's own.

This page says what each takes; what it does is a plain function in the module of its name.
`analytics` asks a running worker, the others need none. Exit status: 0 done, 1 not so, 2 a server
or a file is not to be had.
"""

from typing import Any

import click
import faust
from faust.cli import option

from app.cli.analytics import SECONDS, Shown
from app.cli.analytics import analytics as run_analytics
from app.cli.command import OrderflowCommand, connected
from app.cli.replay import DEFAULT_CONCURRENCY, DEFAULT_URL, Replay
from app.cli.replay import replay as run_replay
from app.cli.sources import DEFAULT_ORDERS, GENERATED, Source
from app.cli.stock import stock as run_stock
from app.cli.topics import topics as run_topics
from app.cli.verify import DEFAULT_WAIT_SECONDS
from app.cli.verify import verify as run_verify
from app.settings import Settings

CONCURRENCY_MOST = 2000
WINDOWS_DEFAULT = 20
WINDOWS_MOST = 1000
TOP_DEFAULT = 10
TOP_MOST = 100

csv_option = option(
    "--csv",
    metavar="PATH|-",
    default=None,
    show_default=False,
    help=f"Sales ledger (plain, .xz or .gz); `{GENERATED}` for generated orders. "
    "Default: the real one where it stands beside the checkout, else generated.",
)
seed_option = option("--seed", type=int, default=0, help="Of generated orders.")


def register(app: faust.App, settings: Settings) -> None:
    """Add the commands to the app."""

    @app.command(base=OrderflowCommand)
    async def topics(self: Any) -> int:
        """Create missing Kafka topics, check the others."""
        return await run_topics(settings, self.console)

    @app.command(
        csv_option,
        option(
            "--orders",
            type=click.IntRange(min=0),
            default=None,
            show_default=False,
            metavar="N",
            help="Stock for a replay of the first N orders only (0: of all). "
            f"Default: every product, at a level for {DEFAULT_ORDERS} orders.",
        ),
        option(
            "--level",
            type=click.IntRange(min=0),
            default=None,
            show_default=False,
            metavar="N",
            help="Units of each product. Default: such that a few orders find no stock.",
        ),
        seed_option,
        base=OrderflowCommand,
    )
    async def stock(
        self: Any, csv: str | None, orders: int | None, level: int | None, seed: int
    ) -> int:
        """Stock the shelves; products that exist are left."""
        async with connected(settings) as database:
            source = Source.choose(csv, seed)
            return await run_stock(database, self.console, source, orders=orders, level=level)

    @app.command(
        csv_option,
        option(
            "--orders",
            type=click.IntRange(min=0),
            default=DEFAULT_ORDERS,
            metavar="N",
            help="How many to send, 0 for all.",
        ),
        option("--url", default=DEFAULT_URL, help="Of the API."),
        option(
            "--rate",
            type=click.FloatRange(min=0),
            default=0.0,
            help="Orders a second, 0 for as fast as possible.",
        ),
        option(
            "--concurrency",
            type=click.IntRange(min=1, max=CONCURRENCY_MOST),
            default=DEFAULT_CONCURRENCY,
            help="Requests under way at once.",
        ),
        option(
            "--token",
            default=None,
            show_default=False,
            help="Bearer token, with AUTH=on. Default: ORDERFLOW_TOKEN.",
        ),
        option("--no-wait", is_flag=True, default=False, help="Don't wait for the orders to end."),
        seed_option,
        base=OrderflowCommand,
    )
    async def replay(self: Any, csv: str | None, seed: int, no_wait: bool, **plan: Any) -> int:
        """Send orders over HTTP, wait for them, sum up."""
        async with connected(settings) as database:
            source = Source.choose(csv, seed)
            plan["token"] = plan["token"] or settings.orderflow_token
            return await run_replay(
                database, self.console, Replay(source=source, wait=not no_wait, **plan)
            )

    @app.command(
        option(
            "--wait",
            type=click.FloatRange(min=0),
            default=DEFAULT_WAIT_SECONDS,
            metavar="SECONDS",
            help="First wait so long for orders under way to end.",
        ),
        option("--json", "as_json", is_flag=True, default=False, help="For programs."),
        base=OrderflowCommand,
    )
    async def verify(self: Any, wait: float, as_json: bool) -> int:
        """Check that stock, orders and money balance."""
        async with connected(settings) as database:
            return await run_verify(
                database,
                self.console,
                wait=wait,
                as_json=as_json or self.json,
                # Another provider's ledger is not ours to read.
                ledger=settings.payment_provider == "simulated",
            )

    @app.command(
        option(
            "--url",
            default=None,
            show_default=False,
            help="Of a worker, or of the API. Default: the worker at WORKER_PORT.",
        ),
        option("--size", type=click.Choice(tuple(SECONDS)), default="hour", help="Of the windows."),
        option(
            "--by",
            type=click.Choice(("none", "country", "product")),
            default="none",
            help="What the windows are split by.",
        ),
        option(
            "--limit",
            type=click.IntRange(min=1, max=WINDOWS_MOST),
            default=WINDOWS_DEFAULT,
            metavar="N",
            help="How many windows, the newest.",
        ),
        option(
            "--top",
            type=click.IntRange(min=1, max=TOP_MOST),
            default=TOP_DEFAULT,
            metavar="N",
            help="How many products.",
        ),
        option(
            "--token",
            default=None,
            show_default=False,
            help="Bearer token, with AUTH=on. Default: ORDERFLOW_TOKEN.",
        ),
        option("--watch", is_flag=True, default=False, help="Again every second, until Ctrl-C."),
        base=OrderflowCommand,
    )
    async def analytics(self: Any, url: str | None, **shown: Any) -> int:
        """Show revenue, success and top products of the last windows."""
        shown["token"] = shown["token"] or settings.orderflow_token
        return await run_analytics(self.console, Shown(url=url or settings.url, **shown))
