"""What the gateway keeps of a worker's answers."""

import pytest
from aiohttp import web

from app.web.analytics.views import fresh
from gateway.caching import RULES, entry_of


def test_the_workers_analytics_may_be_kept_by_the_gateway() -> None:
    kept = entry_of(fresh({"orders": 3}))
    assert kept is not None
    assert b'{"orders":3}' == kept.body


def test_analytics_without_some_partitions_may_not() -> None:
    assert entry_of(fresh({"orders": 3, "partial": True})) is None


def test_the_same_answer_has_the_same_etag_and_another_has_another() -> None:
    tags = [entry_of(fresh({"orders": number})) for number in (3, 3, 4)]
    assert [True, False] == [tags[0] == tags[1], tags[0] == tags[2]]


@pytest.mark.parametrize("said", ["no-store", "private", "max-age=5, Private"])
def test_what_its_giver_keeps_from_others_is_not_kept(said: str) -> None:
    answer = web.Response(
        body=b"{}", content_type="application/json", headers={"Cache-Control": said}
    )
    assert entry_of(answer) is None


def test_nothing_is_kept_for_long_that_is_promised_exact() -> None:
    assert (1, 1) == (RULES["/api/analytics"].fresh, RULES["/api/analytics"].stale)
    assert all(rule.fresh + rule.stale <= 3 for rule in RULES.values())
