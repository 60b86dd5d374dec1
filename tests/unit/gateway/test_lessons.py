import asyncio

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from gateway.lessons import FREE_SHARES, BlockedShare, Lessons
from gateway.pool import Pool
from gateway.primes import count_primes

pytestmark = pytest.mark.timeout(30)


async def test_only_the_blocking_lesson_keeps_the_loop_for_itself() -> None:
    lessons = Lessons("gateway-1", Pool(1, 0))
    with pytest.raises(StopIteration) as ended:
        lessons.blocking(make_mocked_request("GET", "/?ms=1")).send(None)
    assert 200 == ended.value.value.status

    pausing = asyncio.create_task(lessons.non_blocking(make_mocked_request("GET", "/?ms=1")))
    await asyncio.sleep(0)
    assert not pausing.done()
    assert 200 == (await pausing).status


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0.001, 1)), max_size=40))
def test_no_more_than_a_share_of_the_time_is_lost_however_often_it_is_asked_for(
    asked: list[tuple[float, float]],
) -> None:
    clock = Clock()
    share, blocked, began = BlockedShare(clock), 0.0, clock.now
    for pause, seconds in asked:
        clock.now += pause
        wait = share.take(seconds)
        assert wait >= 0
        if wait == 0:
            # All that was lost before, as a part of the time since.
            assert blocked <= (clock.now - began) / (1 + FREE_SHARES) + 1e-6
            blocked += seconds
            clock.now += seconds


@given(st.integers(1, 3000))
def test_primes_are_those_without_a_divisor(below: int) -> None:
    divided = sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, below))
    assert divided == count_primes(below)
