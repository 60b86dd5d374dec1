"""What workers ask each other, and who may."""

import struct

from app.tables.ledger import Progress
from app.tables.reading import Part
from app.topics import ORDER_WINDOWS
from app.web.analytics.parts import decode, encode
from tests.unit.web.analytics.conftest import Cluster, confirmed

PATH = f"/analytics/parts/{ORDER_WINDOWS.name}?partitions="
TOKEN = {"X-Cluster-Token": "secret"}


async def test_parts_hold_the_partitions_that_are_here_and_no_others(cluster: Cluster) -> None:
    await cluster.hear(2, confirmed(1))

    answer = await cluster.client.get(PATH + "1,2", headers=TOKEN)

    parts = decode(await answer.read())
    assert [(2, 1)] == [(part.partition, len(part.cells)) for part in parts]


async def test_a_worker_that_does_not_say_whether_it_is_behind_may_be() -> None:
    """Of the version before, while workers are replaced: rather final later than too soon."""
    body = encode([Part(2, Progress(), behind=False)])
    assert [False] == [part.behind for part in decode(body)]
    (length,) = struct.unpack_from(">I", body)
    head = body[4 : 4 + length].replace(b',"behind":false', b"")
    assert len(head) < length

    (part,) = decode(struct.pack(">I", len(head)) + head)

    assert part.behind


async def test_partitions_that_are_elsewhere_are_a_conflict(cluster: Cluster) -> None:
    assert 409 == (await cluster.client.get(PATH + "1,3", headers=TOKEN)).status
    unknown = "/analytics/parts/no-such-table?partitions=0"
    assert 409 == (await cluster.client.get(unknown, headers=TOKEN)).status


async def test_who_does_not_know_the_token_gets_nothing(cluster: Cluster) -> None:
    assert 401 == (await cluster.client.get(PATH + "0")).status
    wrong = {"X-Cluster-Token": "sécret"}
    assert 403 == (await cluster.client.get(PATH + "0", headers=wrong)).status


async def test_what_came_through_a_gateway_is_not_answered(cluster: Cluster) -> None:
    for name in ("Via", "X-Forwarded-For", "X-Forwarded-Prefix"):
        answer = await cluster.client.get(PATH + "0", headers=TOKEN | {name: "x"})
        assert 404 == answer.status


async def test_a_question_that_is_none_is_a_bad_request(cluster: Cluster) -> None:
    for query in ("x", "0&size=60", "0&size=60&by=WORLD&first=0&last=1&limit=1"):
        assert 400 == (await cluster.client.get(PATH + query, headers=TOKEN)).status
