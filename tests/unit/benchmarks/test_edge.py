"""What the load generator understands of answers, and what its figures say."""

from collections import Counter

import pytest

from benchmarks.edge.faults import ALLOWED, Fault
from benchmarks.edge.figures import ACCEPTING, READING, Figures
from benchmarks.edge.load import FINE, Record, said, whole
from benchmarks.edge.running import Run, Search
from benchmarks.edge.traffic import SHARES, Traffic, What

LOST = "connection broke"
LATER = "503 problem+json, Retry-After"


def record() -> Record:
    """Four requests at two a second: two are answered well."""
    return Record(
        began=100.0,
        what=[What.ACCEPT, What.ORDER, What.ACCEPT, What.INVENTORY],
        due=[0.0, 0.5, 1.0, 1.5],
        took=[0.1, 0.2, 0.3, 0.5],
        outcome=[0, 1, 2, 0],
        outcomes=[FINE, LOST, LATER],
        accepted=["one"],
        cpu_seconds=0.01,
        connections=3,
        samples={},
    )


@pytest.mark.parametrize(
    ("head", "rest", "body"),
    [
        (b"http/1.1 200 ok\r\ncontent-length: 4", b"body", b"body"),
        (b"http/1.1 200 ok\r\ncontent-length: 4\r\nvia: 1", b"bo", None),
        (b"http/1.1 200 ok\r\ntransfer-encoding: chunked", b"4\r\nbody\r\n0\r\n\r\n", b"4\r\nbody"),
        (b"http/1.1 200 ok\r\ntransfer-encoding: chunked", b"4\r\nbody\r\n", None),
    ],
)
def test_an_answer_is_whole_once_all_of_it_has_come(
    head: bytes, rest: bytes, body: bytes | None
) -> None:
    found = whole(head, rest)
    assert (body is None) == (found is None)
    assert found is None or found.startswith(body or b"")


def test_an_error_is_named_by_status_form_and_whether_it_says_when_to_come_again() -> None:
    head = b"http/1.1 503 x\r\ncontent-type: application/problem+json\r\nretry-after: 1"
    assert LATER == said(head)
    assert "500 of another form" == said(b"http/1.1 500 x\r\ncontent-type: text/html")


def test_the_mix_is_of_the_shares_that_are_asked_for() -> None:
    traffic = Traffic("localhost", "test", 1.0)
    traffic.recent.append(b"an-order")
    assert Counter(SHARES) == Counter(traffic.next().what for _ in range(100))


def test_figures_count_errors_by_kind_and_of_each_kind_of_request() -> None:
    figures = Figures(record(), 2.0)
    assert Counter({LOST: 1, LATER: 1}) == figures.errors
    assert (Counter({LATER: 1}), Counter({LOST: 1})) == (
        figures.errors_of(ACCEPTING),
        figures.errors_of(READING),
    )
    assert (0.5, 2.0, 1.0) == (figures.error_share, figures.seconds, figures.achieved)
    assert [0.3, 0.3, 0.3, 0.3] == figures.times(ACCEPTING)
    assert [100.5, 101.0] == figures.error_moments
    assert 2 == figures.since(101.0).count


def test_a_fault_may_be_told_as_a_problem_and_as_nothing_else() -> None:
    fault = Fault("worker", Figures(record(), 2.0), 100.2, 101.0, 0, 0.0, 0.0)
    assert {LOST: 1} == fault.forbidden
    assert not fault.harmless
    assert pytest.approx(0.8) == fault.error_seconds
    for kind in ("503 problem+json", "409 problem+json, Retry-After", "502 of another form"):
        assert ALLOWED.fullmatch(kind) is None


def run(rate: float, *, p99: float = 0.05, seconds: float = 1.0, lost: int = 0) -> Run:
    """A run whose requests are all answered well, `p99` seconds after they were due."""
    count = int(rate * seconds)
    answered = Record(
        began=0.0,
        what=[What.ACCEPT] * count,
        due=[number / rate for number in range(count)],
        took=[p99] * count,
        outcome=[0] * count,
        outcomes=[FINE],
        accepted=[],
        cpu_seconds=0.0,
        connections=1,
        samples={},
    )
    return Run(Figures(answered, rate), {}, {}, 0.0, 0.0, lost)


def test_the_highest_rates_are_those_that_were_good_each_time() -> None:
    long = run(20, seconds=10)
    search = Search(
        [run(40, lost=1), run(30), run(20), run(10)], [run(30, seconds=10, lost=1), long]
    )
    assert (long, long) == (search.borne, search.quick)


def test_a_rate_may_be_borne_and_not_quick() -> None:
    slow, fast = run(40, p99=0.2, seconds=20), run(10, seconds=20)
    search = Search([slow, fast])
    assert (slow, fast) == (search.borne, search.quick)
