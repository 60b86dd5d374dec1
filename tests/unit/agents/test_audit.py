"""The audit over an in-memory server: every event once, with where it was first heard."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.errors import BulkWriteError

from app.agents.audit import AuditService
from app.agents.registry import build_service
from app.codec import UndecodableError, encode
from app.events import Event, timestamp
from app.parts import SAGA_ORDERS, services_of
from app.settings import Settings
from app.stores import repositories
from app.stores.errors import TransientStoreError
from app.topics import SPECS
from tests.builders import START, TickingClock, after, order, order_id, placed, view_id, viewed
from tests.unit.agents.fakes import FakeDatabase, resources, run

AT = timestamp(START)


def record(event: Event, offset: int = 0, partition: int = 3) -> Any:
    made = encode(event)
    return SimpleNamespace(
        topic=made.topic,
        partition=partition,
        offset=offset,
        key=made.key,
        value=made.value,
        headers=made.headers,
    )


def tell(service: AuditService, records: Iterable[Any]) -> None:
    assert [] == run(service.handle([service.decode(one) for one in records]))


def test_it_hears_every_topic() -> None:
    assert {spec.name for spec in SPECS} == set(AuditService(resources()).topics)


@pytest.mark.parametrize("saga_order", SAGA_ORDERS)
def test_every_service_of_a_system_can_be_built(saga_order: str) -> None:
    of = resources(settings=Settings(saga_order=saga_order))
    built = {name: build_service(name, of) for name in services_of(saga_order)}

    assert all(service.topics for service in built.values())


def test_an_event_is_kept_with_its_envelope_its_data_and_its_place() -> None:
    database = FakeDatabase()
    reserved = after(placed(), "InventoryReserved", AT, of=order())
    tell(AuditService(resources(database, clock=TickingClock())), [record(reserved, offset=7)])

    kept = database[repositories.AUDIT].documents()[reserved.id]
    recorded, data = kept.pop("recordedAt"), kept.pop("data")
    assert recorded > START
    assert {
        "_id": reserved.id,
        "type": "InventoryReserved",
        "orderId": order_id(1),
        "topic": "inventory.events.v1",
        "partition": 3,
        "offset": 7,
        "key": order_id(1),
        "source": "orderflow/inventory",
        "time": AT,
        "correlationId": order_id(1),
        "causationId": placed().id,
        "traceparent": None,
    } == kept
    assert (order_id(1), "user-1", 2.55) == (data["orderId"], data["userId"], data["total"])


def test_what_is_of_no_order_is_kept_under_its_own_key() -> None:
    database = FakeDatabase()
    event = viewed("alien", number=3)
    tell(AuditService(resources(database)), [record(event)])

    kept = database[repositories.AUDIT].documents()[event.id]
    assert "orderId" not in kept
    assert ("movie.views.v1", "alien", view_id(3)) == (
        kept["topic"],
        kept["key"],
        kept["correlationId"],
    )
    assert "alice" == kept["data"]["userId"]


def test_a_duplicate_at_a_new_offset_adds_nothing_and_changes_nothing() -> None:
    database = FakeDatabase()
    audit = database[repositories.AUDIT]
    service = AuditService(resources(database))
    tell(service, [record(placed(), offset=1), record(placed(), offset=2)])
    before = dict(audit.stored)

    tell(service, [record(placed(), offset=3), record(placed(number=2), offset=4)])

    assert 1 == audit.documents()[placed().id]["offset"]
    assert before.items() < audit.stored.items()
    assert 2 == len(audit.stored)


def test_a_write_that_the_majority_did_not_acknowledge_is_made_again() -> None:
    database = FakeDatabase()

    async def unacknowledged(writes: object, *, ordered: bool) -> None:
        raise BulkWriteError(
            {"writeErrors": [{"code": 11000}], "writeConcernErrors": [{"code": 64}]}
        )

    database[repositories.AUDIT].bulk_write = unacknowledged  # type: ignore[method-assign,assignment]
    service = AuditService(resources(database))

    with pytest.raises(TransientStoreError):
        tell(service, [record(placed())])


def test_a_record_that_is_no_event_is_refused() -> None:
    poison = record(placed())
    poison.value = b"not JSON"

    with pytest.raises(UndecodableError):
        AuditService.decode(poison)
