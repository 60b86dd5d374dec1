"""Owners as a group's description tells them, and how often it is asked for."""

import zlib
from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from faust.assignor.client_assignment import ClientAssignment, ClientMetadata

from app.web.analytics.owners import (
    CACHED_SECONDS,
    KnownOwners,
    Owners,
    OwnersUnknownError,
    canonical,
    owners_in,
)

TOPIC, LOG = "order.events.v1", "orders-analytics-order-windows-changelog"


def member(url: str, actives: list[int], standbys: list[int]) -> dict[str, Any]:
    """As Faust's assignor encodes it (`PartitionAssignor._protocol_assignments`)."""
    assignment = ClientAssignment(actives={TOPIC: actives, LOG: actives}, standbys={LOG: standbys})
    metadata = ClientMetadata(
        assignment=assignment,
        url=url,
        changelog_distribution={},
        external_topic_distribution={},
        topic_groups={TOPIC: 0, LOG: 0},
    )
    encoded = ConsumerProtocolMemberAssignment(
        4,
        [(TOPIC, actives), (LOG, actives + standbys)],
        zlib.compress(metadata.dumps()),
    ).encode()
    return {"member_id": url, "member_assignment": encoded}


def test_owners_are_the_members_whose_own_a_partition_is_not_its_standbys() -> None:
    description = {
        "state": "Stable",
        "members": [
            member("http://a:6066", [0, 2], [1]),
            member("http://b:6066/", [1], [0, 2]),
            {"member_id": "c", "member_assignment": b""},
        ],
    }

    expected = {0: "http://a:6066", 2: "http://a:6066", 1: "http://b:6066"}
    assert {TOPIC: expected, LOG: expected} == owners_in(description)


@pytest.mark.parametrize("state", ["PreparingRebalance", "CompletingRebalance", "Empty", "Dead"])
def test_nobody_owns_anything_while_partitions_are_given_out(state: str) -> None:
    members = [member("http://a:6066", [0], [])]

    assert {} == owners_in({"state": state, "members": members})


def test_urls_are_compared_as_faust_passes_them_on() -> None:
    assert canonical("http://127.0.0.1:6066") == canonical("http://127.0.0.1:6066/")


class Group:
    """Counts how often it is described."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked = 0
        self.away = False

    async def __call__(self) -> Owners:
        self.asked += 1
        if self.away:
            raise OwnersUnknownError("away")
        return {LOG: {0: f"http://{self.asked}"}}


async def test_owners_are_kept_for_a_moment_and_asked_for_anew_on_demand() -> None:
    group = Group()
    owners = KnownOwners(group, lambda: group.now)

    assert [1, 1] == [int((await owners())[LOG][0][7:]) for _ in range(2)]
    group.now += CACHED_SECONDS
    await owners()
    assert 1 == group.asked
    group.now += 0.01
    await owners()
    assert 2 == group.asked
    group.now += 0.01
    await owners(anew=True)
    assert 3 == group.asked


async def test_owners_that_can_not_be_told_are_asked_for_again() -> None:
    group = Group()
    owners = KnownOwners(group, lambda: group.now)
    group.away = True
    with pytest.raises(OwnersUnknownError):
        await owners()
    group.away = False
    assert {LOG: {0: "http://2"}} == await owners()
