"""The table at the end of a replay."""

from collections.abc import Iterator

from rich.table import Table

from app.cli.endings import Endings, quantile
from app.cli.posting import Kind, Posted
from app.cli.sources import Source
from app.domain.order import OrderStatus
from app.money import text

# No run is shorter than this: keeps a rate finite.
LEAST_SECONDS = 0.001

Row = tuple[str, int | str]


def summary(source: Source, posted: Posted, ended: Endings | None) -> Table:
    """The figures of a run; those of speed are of the orders that this run brought.

    Args:
        ended: None where nobody waited.
    """
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    groups = [_sent(source, posted)]
    groups += [_accepted(posted)] if ended is None else [_ended(ended), _speed(posted, ended)]
    for group in groups:
        for name, figure in group:
            table.add_row(name, f"{figure:,}" if isinstance(figure, int) else figure)
        table.add_section()
    return table


def _sent(source: Source, posted: Posted) -> Iterator[Row]:
    yield "orders sent", posted.sent
    for kind in Kind:
        if posted.kinds[kind] or kind is Kind.ACCEPTED:
            yield kind.value, posted.kinds[kind]
    if posted.unsent:
        yield "not sent", posted.unsent
    if posted.retries:
        yield "retries", posted.retries.total()
    if source.path is not None:
        yield "rows skipped: returns", source.skipped.returns
        yield "rows skipped: adjustments", source.skipped.adjustments


def _accepted(posted: Posted) -> Iterator[Row]:
    seconds = max(posted.ended - posted.began, LEAST_SECONDS)
    yield "orders/s accepted", f"{len(posted.ids) / seconds:,.1f}"


def _ended(ended: Endings) -> Iterator[Row]:
    yield "confirmed", ended.of(OrderStatus.CONFIRMED)
    for reason, count in sorted(ended.reasons().items()):
        yield f"cancelled: {reason}", count
    if ended.pending:
        yield "not ended", len(ended.pending)
    yield "revenue", text(ended.revenue())


def _speed(posted: Posted, ended: Endings) -> Iterator[Row]:
    new = [ending for ending in ended.ended if ending.order_id not in posted.known]
    last = max((ending.ended_at for ending in new), default=posted.began)
    rate = len(new) / max(last - posted.began, LEAST_SECONDS)
    yield "orders/s, first post to last end", f"{rate:,.1f}" if new else "-"
    took = [ending.ended_at - ending.accepted_at for ending in new]
    for share in (0.5, 0.99):
        value = quantile(took, share)
        name = f"accepted to ended, p{share * 100:g}"
        yield name, "-" if value is None else f"{value:.3f} s"
