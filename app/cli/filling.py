"""Commands that put something in: stock, orders."""

from typing import Any

import click
import faust
from faust.cli import option

from app.cli.command import OrderflowCommand, connected
from app.cli.help import described
from app.cli.replay import DEFAULT_CONCURRENCY, DEFAULT_URL, Replay
from app.cli.replay import replay as run_replay
from app.cli.sources import DEFAULT_ORDERS, GENERATED, Source
from app.cli.stock import stock as run_stock
from app.settings import Settings

CONCURRENCY_MOST = 2000

csv_option = option(
    "--csv",
    metavar="PATH|-",
    default=None,
    show_default=False,
    help=f"Sales ledger (plain, .xz or .gz); `{GENERATED}` for generated orders. "
    "Default: the real one where it stands beside the checkout, else generated.",
)
seed_option = option("--seed", type=int, default=0, help="Of generated orders.")
token_option = option(
    "--token",
    default=None,
    show_default=False,
    help="Bearer token, with AUTH=on. Default: ORDERFLOW_TOKEN.",
)


def register(app: faust.App, settings: Settings) -> None:
    """Add the commands to the app."""

    @described(
        ("stock", "every product, enough for most of 2,000 orders"),
        ("stock --csv - --orders 100", "generated: what the first 100 orders ask for"),
        ("stock --level 5", "five units of each product"),
    )
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

    @described(
        ("replay --orders 50", "the first 50, as fast as they are taken"),
        ("replay --rate 20", "2,000 orders, 20 a second"),
        ("replay --csv - --seed 7 --no-wait", "generated ones, without waiting for their ends"),
        ("replay --url http://127.0.0.1:6066", "straight to a worker"),
        statuses={1: "not every order was accepted and ended"},
    )
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
        token_option,
        option("--no-wait", is_flag=True, default=False, help="Don't wait for the orders to end."),
        seed_option,
        base=OrderflowCommand,
    )
    async def replay(self: Any, csv: str | None, seed: int, no_wait: bool, **plan: Any) -> int:
        """Send orders over HTTP, wait for them, sum up.

        They have their ledger's times: after orders of today they are late for their windows.
        """
        async with connected(settings) as database:
            source = Source.choose(csv, seed)
            plan["token"] = plan["token"] or settings.orderflow_token
            return await run_replay(
                database, self.console, Replay(source=source, wait=not no_wait, **plan)
            )
