"""Commands that change nothing: doctor, watch, verify, analytics."""

from typing import Any

import click
import faust
from faust.cli import option

from app.cli.analytics import SECONDS, Shown
from app.cli.analytics import analytics as run_analytics
from app.cli.command import OrderflowCommand, connected
from app.cli.doctor import AREAS, DEFAULT_SECONDS, Visit
from app.cli.doctor import doctor as run_doctor
from app.cli.filling import token_option
from app.cli.help import described
from app.cli.replay import DEFAULT_URL
from app.cli.verify import DEFAULT_WAIT_SECONDS, QUICK_RECORDS, Asked
from app.cli.verify import verify as run_verify
from app.cli.watch import Watch
from app.cli.watch import watch as run_watch
from app.settings import Settings

WINDOWS_DEFAULT = 20
WINDOWS_MOST = 1000
TOP_DEFAULT = 10
TOP_MOST = 100
# Nobody reads faster, and a slower one is no watching.
EVERY_LEAST, EVERY_MOST = 0.2, 3600.0
LOOK_MOST_SECONDS = 60.0

json_option = option("--json", "as_json", is_flag=True, default=False, help="For programs.")


def register(app: faust.App, settings: Settings) -> None:
    """Add the commands to the app."""
    _register_doctor(app, settings)
    _register_watch(app, settings)
    _register_verify(app, settings)
    _register_analytics(app, settings)


def _register_doctor(app: faust.App, settings: Settings) -> None:
    @described(
        ("doctor", "look at everything"),
        ("doctor --only servers --only topics", "at these alone, such as before a start"),
        ("doctor --worker http://10.0.0.7:6066", "at this worker besides those that Kafka knows"),
        ("doctor --json", "for a program: {ok, findings: [{area, name, level, detail, todo}]}"),
        statuses={0: "nothing failed; there may be warnings", 1: "something failed"},
    )
    @app.command(
        option(
            "--only",
            type=click.Choice(AREAS),
            multiple=True,
            show_default=False,
            help="Look at this alone; may be given several times.",
        ),
        option(
            "--worker",
            "workers",
            metavar="URL",
            multiple=True,
            show_default=False,
            help="Of a worker to look at; may be given several times. Default: those that take "
            "part in a consumer group.",
        ),
        option(
            "--gateway",
            "gateways",
            metavar="URL",
            multiple=True,
            show_default=False,
            help="Of a gateway, likewise. Default: the one at GATEWAY_PORT.",
        ),
        option(
            "--timeout",
            "seconds",
            type=click.FloatRange(min=0.5, max=LOOK_MOST_SECONDS),
            default=DEFAULT_SECONDS,
            metavar="SECONDS",
            help="For each check; all are made at once.",
        ),
        json_option,
        base=OrderflowCommand,
    )
    async def doctor(self: Any, as_json: bool, **visit: Any) -> int:
        """Check servers, topics, groups, settings, clock, disk, workers."""
        return await run_doctor(
            settings, self.console, Visit(as_json=as_json or self.json, **visit)
        )


def _register_watch(app: faust.App, settings: Settings) -> None:
    @described(
        ("watch", "until Ctrl-C"),
        ("watch --url http://127.0.0.1:3000/api", "through this gateway"),
        ("watch --once", "one frame"),
        ("watch | tee flow.log", "where there is no terminal, a line each second"),
        ("watch --json", "a document each second"),
        statuses={0: "one frame was shown, or you have left", 2: "nobody answers at the beginning"},
    )
    @app.command(
        option(
            "--url",
            default=None,
            show_default=False,
            help=f"Of a worker, or of the API. Default: {DEFAULT_URL}, else the gateway at "
            "GATEWAY_PORT, else the worker at WORKER_PORT.",
        ),
        token_option,
        option("--once", is_flag=True, default=False, help="One frame, and no more."),
        option(
            "--every",
            type=click.FloatRange(min=EVERY_LEAST, max=EVERY_MOST),
            default=1.0,
            metavar="SECONDS",
            help="Between two frames, or lines.",
        ),
        json_option,
        base=OrderflowCommand,
    )
    async def watch(
        self: Any, url: str | None, token: str | None, as_json: bool, **how: Any
    ) -> int:
        """Show live what flows: orders, saga, lag, workers, dead letters."""
        gateway = f"http://{settings.gateway_bind}:{settings.gateway_port}/api"
        urls = (url,) if url else (DEFAULT_URL, gateway, settings.url)
        token = token or settings.orderflow_token
        return await run_watch(
            self.console, Watch(urls=urls, token=token, as_json=as_json or self.json, **how)
        )


def _register_verify(app: faust.App, settings: Settings) -> None:
    @described(
        ("verify", "the stores; the topics, too, where that is quick"),
        ("verify --topics", "the topics, however much they hold"),
        ("verify --no-topics --wait 0", "the stores as they are now"),
        ("verify --json", "for a program"),
        statuses={0: "the books balance", 1: "they do not: each discrepancy is named"},
    )
    @app.command(
        option(
            "--wait",
            type=click.FloatRange(min=0),
            default=DEFAULT_WAIT_SECONDS,
            metavar="SECONDS",
            help="First wait so long for orders under way to end.",
        ),
        option(
            "--topics/--no-topics",
            default=None,
            show_default=False,
            help="Whether to read the saga's topics from their beginning and compare. "
            f"Default: up to {QUICK_RECORDS:,} records.",
        ),
        option(
            "--url",
            default=None,
            show_default=False,
            help="Of a worker, or of the API, whose analytics are compared with the topics. "
            "Default: a worker that takes part in them.",
        ),
        token_option,
        json_option,
        base=OrderflowCommand,
    )
    async def verify(self: Any, as_json: bool, token: str | None, **asked: Any) -> int:
        """Check that stock, orders, money and events balance."""
        async with connected(settings) as database:
            return await run_verify(
                settings,
                database,
                self.console,
                Asked(
                    as_json=as_json or self.json,
                    token=token or settings.orderflow_token,
                    # Another provider's ledger is not ours to read.
                    ledger=settings.payment_provider == "simulated",
                    **asked,
                ),
            )


def _register_analytics(app: faust.App, settings: Settings) -> None:
    @described(
        ("analytics", "the last hours, and the top products of the newest day"),
        ("analytics --size day --by country", "days by country"),
        ("analytics --watch", "again every second, until Ctrl-C"),
        statuses={1: "no answer now, such as while partitions move", 2: "no worker answers"},
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
            help="How many rows, the newest: windows, or windows and keys.",
        ),
        option(
            "--top",
            type=click.IntRange(min=1, max=TOP_MOST),
            default=TOP_DEFAULT,
            metavar="N",
            help="How many products.",
        ),
        token_option,
        option("--watch", is_flag=True, default=False, help="Again every second, until Ctrl-C."),
        base=OrderflowCommand,
    )
    async def analytics(self: Any, url: str | None, **shown: Any) -> int:
        """Show revenue, success and top products of the last windows."""
        shown["token"] = shown["token"] or settings.orderflow_token
        return await run_analytics(self.console, Shown(url=url or settings.url, **shown))
