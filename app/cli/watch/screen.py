"""The view as panels on 80 by 24 characters or more, and as one line."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from app.cli.watch.view import View

WIDTH, HEIGHT = 80, 24
# Lines of each row, its frame included; the newest orders have what is left.
HEAD_LINES, UPPER_LINES, MIDDLE_LINES = 1, 8, 9
# Within half of 80 columns, without frame and padding.
SPARK_WIDTH = 36
BARS = "▁▂▃▄▅▆▇█"
ORDERS_SHOWN = 50
ORDER_STEP = "order"
# Of the newest orders; who ordered has what is left.
TIME_WIDTH, ID_WIDTH, TOTAL_WIDTH, STATUS_WIDTH = 8, 8, 13, 24
WORKERS_SHOWN = 5
UNKNOWN = "-"
STYLES = {"CONFIRMED": "green", "CANCELLED": "red", "PENDING": "yellow"}


def spark(values: Sequence[float | None], width: int = SPARK_WIDTH) -> str:
    """The newest values as bars, the highest of them a full one; nothing where none is known."""
    shown = list(values)[-width:]
    most = max((value for value in shown if value is not None), default=0.0)

    def bar(value: float | None) -> str:
        if value is None:
            return " "
        return BARS[round(max(value, 0.0) / most * (len(BARS) - 1))] if most > 0 else BARS[0]

    return "".join(map(bar, shown)).rjust(width)


def screen(view: View, now: datetime) -> Layout:
    """The whole screen."""
    page = Layout()
    page.split_column(
        Layout(_head(view, now), size=HEAD_LINES),
        Layout(name="upper", size=UPPER_LINES),
        Layout(name="middle", size=MIDDLE_LINES),
        Layout(Panel(_orders(view), title="newest orders", title_align="left")),
    )
    page["upper"].split_row(
        Layout(Panel(_totals(view), title="orders", title_align="left")),
        Layout(
            Panel(_saga(view), title=f"saga, {_count(view.pending)} pending", title_align="left")
        ),
    )
    page["middle"].split_row(
        Layout(Panel(_lags(view), title="lag by group", title_align="left")),
        Layout(Panel(_workers(view), title="workers", title_align="left")),
    )
    return page


def line(view: View, now: datetime) -> str:
    """The view in one line, for who reads no screen."""
    time = now.strftime("%H:%M:%S")
    totals = view.answers.get("analytics")
    trouble = view.trouble()
    if trouble is not None or totals is None:
        return f"{time} {trouble}"
    lag = sum(int(group["lag"]) for group in view.lags) if view.lags else None
    return (
        f"{time} orders {totals['orders']:,} ({_rate(view.history.orders_per_minute())}/min)"
        f", confirmed {totals['confirmed']:,}, cancelled {totals['cancelled']:,}"
        f", pending {_count(view.pending)}, revenue {totals['revenue']:,.2f}"
        f", lag {_count(lag)}, dead letters {_count(view.open_letters)}"
    )


def document(view: View, now: datetime) -> dict[str, Any]:
    """The view for programs."""
    totals = view.answers.get("analytics", {})
    return {
        "at": now.isoformat(timespec="seconds"),
        "url": view.url,
        "trouble": view.trouble(),
        "orders": totals.get("orders"),
        "confirmed": totals.get("confirmed"),
        "cancelled": totals.get("cancelled"),
        "pending": view.pending,
        "revenue": totals.get("revenue"),
        "successRate": totals.get("successRate"),
        "ordersPerMinute": view.history.orders_per_minute(),
        "revenuePerMinute": view.history.revenue_per_minute(),
        "lag": {group["group"]: group["lag"] for group in view.lags},
        "workers": view.workers(),
        "deadLetters": view.open_letters,
        "missing": dict(sorted(view.faults.items())),
    }


def _head(view: View, now: datetime) -> RenderableType:
    table = _grid("left", "right")
    trouble = view.trouble()
    state = Text(trouble, "yellow") if trouble else Text("live", "green")
    table.add_row(
        Text.assemble((" Orderflow ", "bold"), view.url),
        Text.assemble(state, now.strftime(" %H:%M:%S ")),
    )
    return table


def _totals(view: View) -> RenderableType:
    totals, history = view.answers.get("analytics"), view.history
    if totals is None:
        return _missing(view, "analytics")
    recent = _share(history.recent_success())
    lines = Text(no_wrap=True, overflow="crop")
    for words, values, style in (
        (
            f"orders  {totals['orders']:,}, {_rate(history.orders_per_minute())}/min",
            history.orders(),
            "cyan",
        ),
        (
            f"revenue {totals['revenue']:,.2f}, {_rate(history.revenue_per_minute())}/min",
            history.revenue(),
            "magenta",
        ),
        (
            f"success {_share(totals['successRate'])}, last minute {recent}",
            history.success(),
            "green",
        ),
    ):
        lines.append(f"{words}\n")
        lines.append(f"{spark(values)}\n", style)
    return lines


def _saga(view: View) -> RenderableType:
    flow, totals = view.answers.get("flow"), view.answers.get("analytics")
    if totals is None and flow is None:
        return _missing(view, "flow")
    table = _grid("left", "right")
    for name, waiting, words in _steps((flow or {}).get("steps", ())):
        # The order service itself has nothing to do but to hear of orders.
        if waiting or name != ORDER_STEP:
            table.add_row(Text.assemble(name, (f"  {words}", "yellow")), f"{waiting:,}")
    counts = flow if totals is None else totals
    assert counts is not None
    table.add_row(Text("confirmed", "green"), f"{counts['confirmed']:,}")
    table.add_row(Text("cancelled", "red"), f"{counts['cancelled']:,}")
    by = sorted(counts.get("cancelledBy", {}).items(), key=lambda each: -each[1])
    for reason, count in by:
        table.add_row(Text(f"  {reason.lower().replace('_', ' ')}", "dim"), f"{count:,}")
    return table


def _steps(flow: Sequence[Mapping[str, Any]]) -> Iterable[tuple[str, int, str]]:
    """Of each step, how many orders wait for it, how many of them to undo it, and how long."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for each in flow:
        found.setdefault(str(each["step"]), []).append(each)
    for name, parts in found.items():
        back = sum(int(p["waiting"]) for p in parts if p.get("direction") == "back")
        ages = [float(p["oldestSeconds"]) for p in parts if p.get("oldestSeconds") is not None]
        words = [f"undo {back:,}"] if back else []
        words += [f"{max(ages):,.0f} s"] if ages else []
        yield name, sum(int(p["waiting"]) for p in parts), ", ".join(words)


def _lags(view: View) -> RenderableType:
    if not view.lags:
        return _missing(view, "groups")
    table = _grid("left", "right", "right")
    for group in view.lags:
        members, lag = len(group["members"]), int(group["lag"])
        style = "red" if not members else "yellow" if lag else "green"
        words = f"{members} member{'s' * (members != 1)}" if members else "nobody"
        table.add_row(group["service"], Text(f"{lag:,}", style), Text(words, "dim"))
    return table


def _workers(view: View) -> RenderableType:
    table = _grid("left", "right")
    rows = list(_readiness(view))
    for name, state in rows[:WORKERS_SHOWN]:
        table.add_row(
            name, Text(state, "green" if state.startswith(("ready", "in ")) else "yellow")
        )
    if len(rows) > WORKERS_SHOWN:
        table.add_row(f"and {len(rows) - WORKERS_SHOWN} more", "")
    letters = view.open_letters
    style = "red" if letters else "green" if letters == 0 else "dim"
    table.add_row("dead letters", Text(_count(letters), style))
    return table


def _readiness(view: View) -> Iterable[tuple[str, str]]:
    """Each worker that is known of, and how it is: the gateway's word, else the groups', and who
    was asked itself."""
    breakers = view.answers.get("breakers")
    if breakers is not None and "breakers" not in view.faults:
        for each in breakers["breakers"]:
            address = str(each["target"]).removeprefix("http://")
            state = "ready" if each["live"] else "no answer"
            yield address, state if each["state"] == "closed" else f"{state}, {each['state']}"
        return
    for name, services in view.workers().items():
        yield name, f"in {len(services)} group{'s' * (len(services) != 1)}"
    ready = view.answers.get("ready", {})
    if "checks" in ready:
        yield "asked here", "ready" if ready["status"] == "ok" else _lacking(ready)


def _lacking(ready: Mapping[str, Any]) -> str:
    checks = {**ready["checks"], **ready["checks"].get("services", {})}
    lacks = [name for name, well in checks.items() if well is False]
    return ", ".join(lacks) or str(ready["status"])


def _orders(view: View) -> RenderableType:
    found = view.answers.get("orders")
    if found is None:
        return _missing(view, "orders")
    table = _grid()
    for width, justify in (
        (TIME_WIDTH, "left"),
        (ID_WIDTH, "left"),
        (None, "left"),
        (TOTAL_WIDTH, "right"),
        (STATUS_WIDTH, "left"),
    ):
        _column(table, justify, width)
    for order in found["orders"][:ORDERS_SHOWN]:
        status = order["status"]
        reason = f" {order['reason']}" if order.get("reason") else ""
        table.add_row(
            str(order["updatedAt"])[11:19],
            str(order["orderId"])[:8],
            Text(str(order["userId"])),
            f"{order['total']:,.2f}",
            Text(f"{status}{reason}", STYLES.get(status, "")),
        )
    return table


def _missing(view: View, name: str) -> Text:
    return Text(view.faults.get(name, "nothing yet"), "dim")


def _grid(*columns: Any) -> Table:
    """A grid over the whole width; its first column gives way to the others."""
    table = Table.grid(padding=(0, 1), expand=True)
    for number, justify in enumerate(columns):
        table.add_column(
            justify=justify, no_wrap=True, overflow="ellipsis", ratio=None if number else 1
        )
    return table


def _column(table: Table, justify: Any, width: int | None) -> None:
    """A column of this width, or of what the others leave."""
    table.add_column(
        justify=justify,
        width=width,
        no_wrap=True,
        overflow="ellipsis",
        ratio=1 if width is None else None,
    )


def _count(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}"


def _rate(number: float | None) -> str:
    return UNKNOWN if number is None else f"{number:,.0f}"


def _share(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share:.1%}"
