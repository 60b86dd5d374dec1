"""What the wire server answers is what MongoDB answers, for each kind of call the project makes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pymongo import ASCENDING, DESCENDING, MongoClient, ReturnDocument, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, BulkWriteError, DuplicateKeyError

from infra.local.health import wait_until
from infra.local.testing import LocalServers

pytestmark = pytest.mark.timeout(60)

Documents = Collection[dict[str, Any]]
PRODUCTS = 4000


@pytest.fixture(scope="module")
def client(local_servers: LocalServers) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](local_servers.mongodb_url) as connected:
        yield connected


@pytest.fixture
def documents(client: MongoClient[dict[str, Any]]) -> Documents:
    made = client["wire"][f"documents-{uuid4().hex}"]
    made.create_index("batch")  # as the repositories do, before the first document
    return made


@pytest.fixture
def products(documents: Documents) -> Documents:
    documents.insert_many(
        {"_id": f"p{i}", "fence": 5, "available": 10, "sold": 0, "holds": {}, "batch": i % 7}
        for i in range(PRODUCTS)
    )
    return documents


def test_a_bulk_of_fenced_updates_changes_every_document_whose_fence_fits(
    products: Documents,
) -> None:
    updates = [
        UpdateOne(
            {"_id": f"p{i}", "fence": {"$lte": 6}}, {"$set": {"fence": 6}, "$inc": {"sold": 1}}
        )
        for i in range(PRODUCTS)
    ]

    result = products.bulk_write(updates, ordered=False)

    assert result.matched_count == PRODUCTS
    assert products.count_documents({"fence": 6, "sold": 1}) == PRODUCTS


def test_a_fence_that_does_not_fit_matches_nothing(products: Documents) -> None:
    updates = [
        UpdateOne({"_id": f"p{i}", "fence": 4}, {"$inc": {"sold": 1}}) for i in range(PRODUCTS)
    ]

    result = products.bulk_write(updates, ordered=False)

    assert result.matched_count == 0
    assert products.update_one({"_id": "p1", "fence": 4}, {"$inc": {"sold": 1}}).matched_count == 0
    assert products.count_documents({"sold": 0}) == PRODUCTS


def test_a_list_of_ids_with_further_conditions_finds_those_that_meet_all(
    products: Documents,
) -> None:
    products.update_many({"_id": {"$in": ["p1", "p2", "p3"]}}, {"$set": {"fence": 9}})

    found = products.find({"_id": {"$in": ["p1", "p2", "p8", "none"]}, "fence": {"$gte": 9}})

    assert {product["_id"] for product in found} == {"p1", "p2"}


def test_a_condition_inside_and_uses_the_id_as_well(products: Documents) -> None:
    found = products.find({"$and": [{"_id": "p7"}, {"$or": [{"fence": 5}, {"fence": 6}]}]})

    assert [product["_id"] for product in found] == ["p7"]


def test_holds_are_added_and_taken_away_by_dotted_paths(products: Documents) -> None:
    hold = {"$set": {"holds.order-1": 3}, "$inc": {"available": -3}, "$max": {"fence": 7}}
    products.update_one({"_id": "p1", "holds.order-1": {"$exists": False}}, hold)
    again = products.update_one({"_id": "p1", "holds.order-1": {"$exists": False}}, hold)
    held = products.find_one({"_id": "p1"})
    products.update_one(
        {"_id": "p1", "holds.order-1": 3}, {"$unset": {"holds.order-1": ""}, "$inc": {"sold": 3}}
    )
    settled = products.find_one({"_id": "p1"})

    assert again.matched_count == 0
    assert held is not None
    assert settled is not None
    assert (held["holds"], held["available"], held["fence"]) == ({"order-1": 3}, 7, 7)
    assert (settled["holds"], settled["available"], settled["sold"]) == ({}, 7, 3)


def test_an_upsert_inserts_once_and_updates_afterwards(documents: Documents) -> None:
    update = {"$setOnInsert": {"made": 1}, "$inc": {"seen": 1}}
    first = documents.update_one({"_id": "a", "kind": "x"}, update, upsert=True)
    second = documents.update_one({"_id": "a", "kind": "x"}, update, upsert=True)

    assert first.upserted_id == "a"
    assert second.matched_count == 1
    assert documents.find_one({"_id": "a"}) == {"_id": "a", "kind": "x", "made": 1, "seen": 2}


def test_an_upsert_whose_further_condition_fails_is_a_duplicate_key(documents: Documents) -> None:
    documents.insert_one({"_id": "a", "version": 5})

    with pytest.raises(DuplicateKeyError):
        documents.update_one({"_id": "a", "version": 4}, {"$set": {"version": 5}}, upsert=True)


def test_find_one_and_update_returns_the_document_as_it_became(products: Documents) -> None:
    after = products.find_one_and_update(
        {"_id": "p3", "available": {"$gte": 4}},
        {"$inc": {"available": -4}},
        return_document=ReturnDocument.AFTER,
    )
    before = products.find_one_and_update({"_id": "p3", "fence": 5}, {"$set": {"fence": 6}})
    none = products.find_one_and_update({"_id": "p3", "fence": 5}, {"$set": {"fence": 7}})

    assert after is not None
    assert before is not None
    assert (after["available"], before["fence"], none) == (6, 5, None)


def test_a_unique_index_refuses_a_second_document_and_lets_the_rest_of_a_bulk_in(
    documents: Documents,
) -> None:
    documents.create_index("email", unique=True)
    documents.insert_one({"_id": 1, "email": "a@example.org"})
    with pytest.raises(DuplicateKeyError):
        documents.insert_one({"_id": 2, "email": "a@example.org"})
    documents.update_one({"_id": 1}, {"$set": {"email": "b@example.org"}})
    documents.insert_one({"_id": 3, "email": "a@example.org"})
    with pytest.raises(DuplicateKeyError):
        documents.update_one({"_id": 3}, {"$set": {"email": "b@example.org"}})

    with pytest.raises(BulkWriteError) as caught:
        documents.insert_many(
            [{"_id": 1, "email": "c"}, {"_id": 4, "email": "d"}, {"_id": 5, "email": "d"}],
            ordered=False,
        )

    details = caught.value.details
    assert [(error["index"], error["code"]) for error in details["writeErrors"]] == [
        (0, 11000),
        (2, 11000),
    ]
    assert details["nInserted"] == 1


def test_an_ordered_bulk_of_updates_stops_at_its_first_error(documents: Documents) -> None:
    documents.insert_many([{"_id": 1, "n": 0}, {"_id": 2, "n": 0}])
    bad = UpdateOne({"_id": 1, "n": 9}, {"$set": {"n": 1}}, upsert=True)
    good = UpdateOne({"_id": 2}, {"$set": {"n": 1}})

    with pytest.raises(BulkWriteError) as caught:
        documents.bulk_write([good, bad, UpdateOne({"_id": 2}, {"$set": {"n": 2}})])

    assert caught.value.details["nMatched"] == 1
    assert [error["index"] for error in caught.value.details["writeErrors"]] == [1]
    assert documents.find_one({"_id": 2}) == {"_id": 2, "n": 1}


@pytest.fixture
def dated(documents: Documents) -> Documents:
    documents.create_index([("user", ASCENDING), ("placed", DESCENDING)])
    documents.create_index([("placed", DESCENDING), ("_id", DESCENDING)])
    documents.insert_many(
        {
            "_id": f"o{i:03}",
            "user": f"u{i % 3}",
            "placed": (i * 37) % 101,
            "tags": ["a", f"t{i % 2}"],
        }
        for i in range(300)
    )
    return documents


@pytest.mark.parametrize("direction", [ASCENDING, DESCENDING])
@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"user": "u1"},
        {"user": {"$in": ["u0", "u2"]}},
        {"user": "u1", "placed": {"$gt": 20, "$lte": 60}},
        {"placed": {"$lt": 50}},
        {"placed": 37},
        {"user": "nobody"},
        {"user": None},
        {"$or": [{"placed": {"$lt": 9}}, {"placed": 50, "_id": {"$lt": "o100"}}]},
    ],
)
def test_an_indexed_query_finds_sorts_and_limits_as_one_without_index_does(
    dated: Documents, condition: dict[str, Any], direction: int
) -> None:
    plain = dated.database[f"{dated.name}-plain"]
    plain.insert_many(dated.find())
    order = [("placed", direction), ("_id", direction)]

    found = list(dated.find(condition).sort(order).skip(3).limit(20))

    assert found == list(plain.find(condition).sort(order).skip(3).limit(20))


def test_an_index_follows_updates_and_deletions(dated: Documents) -> None:
    dated.update_many({"user": "u1", "placed": {"$lt": 50}}, {"$set": {"user": "u9"}})
    dated.delete_many({"user": "u2"})

    left = {user: dated.count_documents({"user": user}) for user in ("u0", "u1", "u2", "u9")}

    counted: dict[str, int] = dict.fromkeys(left, 0)
    for document in dated.find():
        counted[document["user"]] += 1
    assert left == counted
    assert left["u2"] == 0
    assert left["u9"] > 0


def test_an_index_over_arrays_finds_by_element_and_keeps_documents_without_one(
    dated: Documents,
) -> None:
    dated.create_index("tags")
    dated.insert_one({"_id": "bare", "tags": []})

    assert dated.count_documents({"tags": "t1"}) == 150
    assert dated.count_documents({"tags": {"$in": ["a", "t1"]}}) == 300
    assert len(list(dated.find().sort("tags", ASCENDING))) == 301


def test_a_read_is_not_changed_by_an_update_that_comes_later(products: Documents) -> None:
    cursor = products.find({}, batch_size=100).sort("_id")
    first = next(cursor)

    products.update_many({}, {"$set": {"sold": 1}, "$unset": {"batch": ""}})

    assert first["sold"] == 0
    assert {product["sold"] for product in cursor} == {0}


def test_data_and_indexes_are_there_again_after_a_stop(
    local_servers: LocalServers, documents: Documents
) -> None:
    documents.create_index("email", unique=True)
    documents.create_index([("user", ASCENDING)])
    documents.insert_many({"_id": i, "email": f"e{i}", "user": i % 5} for i in range(1000))

    local_servers.stop("mongo")
    local_servers.start("mongo")

    assert documents.count_documents({}) == 1000
    assert documents.count_documents({"user": 3}) == 200
    with pytest.raises(DuplicateKeyError):
        documents.insert_one({"_id": 1001, "email": "e5"})


def test_with_the_journal_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    with LocalServers(tmp_path, only={"mongo"}, mongo_journal=True) as servers:
        with (
            MongoClient[dict[str, Any]](servers.mongodb_url) as client,
            ThreadPoolExecutor(1) as pool,
        ):

            def write_until_cut_off() -> None:
                with suppress(AutoReconnect):
                    for i in range(1_000_000):
                        client["wire"]["journal"].insert_one({"_id": i})
                        acknowledged.append(i)

            writing = pool.submit(write_until_cut_off)
            assert wait_until(lambda: len(acknowledged) > 500, 20)
            servers.process("mongo").kill9()
            writing.result(timeout=60)
        servers.start("mongo")

        with MongoClient[dict[str, Any]](servers.mongodb_url) as client:
            kept = {document["_id"] for document in client["wire"]["journal"].find()}

    assert set(acknowledged) <= kept
