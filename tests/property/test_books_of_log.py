"""Whatever happens to orders, in whatever order it is heard and read: no false alarm."""

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.books_of_log import Window
from app.domain.order import OrderStatus
from app.saga import SAGAS, Saga
from tests.builders import BY_USER, order, order_id
from tests.logbook import SECOND, Played, books, problems, topic_of

ORDERS = (1, 2, 3)
MOVES_MOST = 40


@st.composite
def played(draw: Callable[..., object]) -> tuple[Saga, Played]:
    """Some orders, with failures, refusals, cancellations, crashes and repetitions."""
    table = draw(st.sampled_from(list(SAGAS.values())))
    assert isinstance(table, Saga)
    log = Played.of(table, apple=draw(st.integers(0, 3)))
    world = log.world
    for number in ORDERS:
        for step in ("inventory", "payment"):
            if draw(st.sampled_from((False, False, True))):
                world.let_fail(step, order_id(number))
        world.payment.provider.refuses[order_id(number)] = draw(st.integers(0, 2))
        log.order(order({"apple": 1}, number=number))
    for _ in range(draw(st.integers(0, MOVES_MOST))):
        _move(draw, log)
    return table, log.run()


def _move(draw: Callable[..., object], log: Played) -> None:
    world = log.world
    what = draw(st.sampled_from(("deliver",) * 6 + ("cancel", "again", "crash", "rewind")))
    number = draw(st.sampled_from(ORDERS))
    waiting = [each for each in world.waiting() if what == "deliver" or each[0] != "order"]
    if what == "cancel":
        log.move(lambda: world.cancel(order_id(number), BY_USER))
    elif what == "again":
        log.order(order({"apple": 1}, number=number))
    elif what == "rewind":
        name, topic = draw(st.sampled_from(sorted(world.positions)))
        log.move(lambda: world.rewind(name, topic, 0))
    elif waiting:
        at = draw(st.sampled_from(sorted(waiting)))
        log.move(lambda: getattr(world, what)(*at))


PLAY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@PLAY
@given(played(), st.randoms(use_true_random=False))
def test_the_log_of_any_run_balances_in_whatever_order_it_is_read(
    run: tuple[Saga, Played], random: object
) -> None:
    table, log = run
    records = log.records()
    random.shuffle(records)
    ends = {key: (each.status, each.placed.total) for key, each in log.world.order.orders.items()}

    found = books(records, table, end_of=ends.get)

    assert [] == problems(found)
    confirmed = [status for status, _ in ends.values() if status is OrderStatus.CONFIRMED]
    assert (len(ORDERS), len(confirmed), 0) == (found.orders, found.confirmed, found.under_way)
    assert found.revenue == found.charged - found.refunded


@PLAY
@given(played(), st.lists(st.integers(0, 40), min_size=3, max_size=3))
def test_what_retention_deletes_is_never_missed(run: tuple[Saga, Played], cuts: list[int]) -> None:
    table, log = run
    topics = sorted({topic_of(event) for _, event in log.log})
    kept, since = [], None
    for topic, cut in zip(topics, cuts, strict=False):
        of_topic = [
            each
            for each, (_, event) in zip(log.records(), log.log, strict=True)
            if topic_of(event) == topic
        ]
        left = of_topic[cut:]
        kept += left
        if cut:
            begins = left[0].at if left else log.log[-1][0] + SECOND
            since = max(since or 0, begins + 1)

    assert [] == problems(books(kept, table, Window(since=since)))


@PLAY
@given(played(), st.integers(0, 200), st.integers(0, 200))
def test_while_orders_are_under_way_nothing_is_missed_too_soon(
    run: tuple[Saga, Played], first: int, second: int
) -> None:
    table, log = run
    # One topic is seen earlier than the others: what came since counts as under way.
    early, late = sorted((first * SECOND, second * SECOND))
    seen = [
        each
        for each, (at, event) in zip(log.records(), log.log, strict=True)
        if at <= (early if "payment" in topic_of(event) else late)
    ]
    stopped = {each.order_id for each in seen if each.at >= early}

    found = books(seen, table, Window(until=early))

    assert {each.key for each in found.discrepancies if each.key in stopped} == set()
