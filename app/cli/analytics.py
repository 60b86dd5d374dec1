"""`faust -A app analytics`: what the windows hold, as tables and bars, from a running worker."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.bar import Bar
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from app.cli.asking import Api, asking
from app.cli.console import CommandError

SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
ONE = {"minute": "a minute", "hour": "an hour", "day": "a day"}
WATCH_SECONDS = 1.0
# A window that begins later than this is of a clock that is ahead: the list must not end with it
# alone. By whole hours, so that a gateway can give one answer to all who ask.
AHEAD = timedelta(hours=1)
BAR_WIDTH = 40
# A day's windows need no time of day, an hour's no more than it.
DAY = "%Y-%m-%d"
MINUTE = "%Y-%m-%d %H:%M"
NONE = "-"


@dataclass(frozen=True, slots=True)
class Shown:
    """What is asked for.

    Attributes:
        url: of a worker, or of a gateway with its `/api`.
        size: of the windows: a key of `SECONDS`.
        limit: rows: windows, or windows and keys.
        top: products.
        watch: again every second, until interrupted.
    """

    url: str
    size: str
    by: str
    limit: int
    top: int
    watch: bool = False
    token: str | None = None


async def analytics(console: Console, shown: Shown) -> int:
    """Print the totals, the last windows, and the top products of the newest day.

    Raises:
        CommandError: nobody answers there, or not all partitions can be read now.
    """
    async with asking(shown.url, shown.token) as api:
        if not shown.watch:
            console.print(await _page(api, shown))
            return 0
        page = await _page(api, shown)
        # Ctrl-C is how to leave what does not end.
        with (
            contextlib.suppress(asyncio.CancelledError),
            Live(page, console=console, auto_refresh=False) as live,
        ):
            while True:
                await asyncio.sleep(WATCH_SECONDS)
                # While partitions move, what was there last stays.
                with contextlib.suppress(CommandError):
                    live.update(await _page(api, shown), refresh=True)
        return 0


async def _page(api: Api, shown: Shown) -> Group:
    windows = {
        "size": str(SECONDS[shown.size]),
        "by": shown.by,
        "limit": str(shown.limit),
        "to": _soon(datetime.now(UTC)),
    }
    totals, found, top = await asyncio.gather(
        api.get("/analytics"),
        api.get("/analytics/windows", windows),
        api.get("/analytics/top", {"n": str(shown.top)}),
    )
    return Group(_totals(totals), _windows(found, shown), _top(top))


def _soon(now: datetime) -> str:
    hour = now.replace(minute=0, second=0, microsecond=0)
    return (hour + AHEAD + AHEAD).strftime("%Y-%m-%dT%H:%M:%SZ")


def _totals(totals: Mapping[str, Any]) -> Table:
    table = Table(title="All orders", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    saga = totals["sagaSeconds"]
    rows = {
        "revenue": _amount(totals["revenue"]),
        "orders": f"{totals['orders']:,}",
        "confirmed": f"{totals['confirmed']:,}",
        **{f"cancelled, {escape(why)}": f"{n:,}" for why, n in totals["cancelledBy"].items()},
        "success rate": _share(totals["successRate"]),
        "orders per minute": f"{totals['ordersPerMinute']:,.1f}",
        "customers (estimate)": f"{totals['customers']:,}",
        "saga p50 / p99": " / ".join(_seconds(saga[rank]) for rank in ("p50", "p99")),
        **{f"late for {_size(size)}": f"{n:,}" for size, n in totals["lateEvents"].items()},
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _windows(found: Mapping[str, Any], shown: Shown) -> Table:
    rows = found["windows"]
    count = f"{len(rows):,}"
    table = Table(
        title=f"Windows of {ONE[shown.size]}"
        + (
            f", the last {count}"
            if shown.by == "none"
            else f" by {shown.by}, the last {count} rows"
        ),
        title_justify="left",
        caption="… still takes orders",
        caption_justify="left",
    )
    table.add_column("from (UTC)", no_wrap=True)
    if shown.by != "none":
        table.add_column(shown.by, no_wrap=True)
    for name in ("orders", "success", "revenue"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("revenue", ratio=1, min_width=10)
    most = max((row["revenue"] for row in rows), default=0.0)
    for row in rows:
        start = datetime.fromisoformat(row["start"])
        table.add_row(
            start.strftime(DAY if shown.size == "day" else MINUTE) + ("" if row["final"] else " …"),
            *([escape(row["key"])] if shown.by != "none" else []),
            f"{row['orders']:,}",
            _share(row["successRate"]),
            _amount(row["revenue"]),
            Bar(most or 1.0, 0, row["revenue"], width=BAR_WIDTH, color="cyan"),
        )
    return table


def _top(top: Mapping[str, Any]) -> Table:
    window = top["window"]
    day = f" of {datetime.fromisoformat(window['start']).strftime(DAY)}" if window else ""
    table = Table(title=f"Top products{day}", title_justify="left")
    table.add_column("product", no_wrap=True)
    table.add_column("units", justify="right")
    table.add_column("revenue", justify="right")
    for row in top["products"]:
        table.add_row(escape(row["productId"]), f"{row['quantity']:,}", _amount(row["revenue"]))
    return table


def _size(seconds: str) -> str:
    names = {str(number): ONE[name] for name, number in SECONDS.items()}
    return names.get(seconds, f"{seconds} s")


def _amount(amount: float) -> str:
    return f"{amount:,.2f}"


def _share(share: float | None) -> str:
    return NONE if share is None else f"{share:.1%}"


def _seconds(seconds: float | None) -> str:
    return NONE if seconds is None else f"{seconds:.3f} s"
