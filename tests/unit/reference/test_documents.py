"""The reference says what is so: the files are what the code makes, and what they hold is valid."""

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from jsonschema import Draft7Validator, Draft202012Validator

from app.codec import encode
from app.events import EVENT_TYPES
from app.parts import SERVICE_NAMES
from app.topics import SPECS
from infra.reference import ROOT, files
from tests.builders import placed
from tests.openapi import of_gateway, of_worker

ASYNCAPI_SCHEMA = Path(__file__).parent / "asyncapi-3.0.0.json.gz"
FILES = files()
EVENTS: Mapping[str, Any] = json.loads(FILES[Path("docs/api/asyncapi.json")])


@pytest.mark.parametrize("path", FILES, ids=str)
def test_each_file_is_what_the_code_makes(path: Path) -> None:
    written = (ROOT / path).read_text()
    assert FILES[path] == written, "run `make reference`"


@pytest.mark.parametrize("document", [of_worker(), of_gateway()], ids=["worker", "gateway"])
def test_the_api_is_valid_openapi(document: dict[str, Any]) -> None:
    schemathesis.openapi.from_dict(document).validate()


def asyncapi_faults(document: Mapping[str, Any]) -> list[str]:
    schema = json.loads(gzip.decompress(ASYNCAPI_SCHEMA.read_bytes()))
    return [error.message for error in Draft7Validator(schema).iter_errors(document)]


def test_the_events_are_valid_asyncapi() -> None:
    assert [] == asyncapi_faults(EVENTS)


def test_what_is_no_asyncapi_is_found_out() -> None:
    (name, operation), *_ = EVENTS["operations"].items()
    broken = {**EVENTS, "operations": {name: {**operation, "action": "shout"}}}

    assert asyncapi_faults(broken)


@pytest.mark.parametrize(
    "document", [of_worker(), of_gateway(), EVENTS], ids=["worker", "gateway", "events"]
)
def test_every_reference_leads_somewhere(document: Mapping[str, Any]) -> None:
    for reference in references(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def test_operations_have_names_of_their_own() -> None:
    for document in (of_worker(), of_gateway()):
        names = [
            operation["operationId"]
            for methods in document["paths"].values()
            for operation in methods.values()
        ]
        assert len(names) == len(set(names))


def test_every_topic_its_dead_letters_and_every_event_are_described() -> None:
    topics = {name for spec in SPECS for name in (spec.name, spec.dead_letters)}
    assert topics == set(EVENTS["channels"])
    assert {*EVENT_TYPES, "DeadLetter"} == set(EVENTS["components"]["messages"])
    assert set(EVENT_TYPES) <= set(EVENTS["components"]["schemas"])


def test_each_topic_has_one_sender_and_every_service_receives() -> None:
    sent = [o["channel"]["$ref"] for o in EVENTS["operations"].values() if o["action"] == "send"]
    for spec in SPECS:
        assert 1 == sent.count(f"#/channels/{spec.name}")
    receivers = {
        operation["tags"][0]["name"]
        for operation in EVENTS["operations"].values()
        if operation["action"] == "receive"
    }
    assert set(SERVICE_NAMES) == receivers


def test_a_record_is_as_the_reference_says() -> None:
    record = encode(placed())

    schemas = {"components": EVENTS["components"]}
    for name, said in (
        ("OrderPlaced", json.loads(record.value)),
        ("Envelope", {key: value.decode() for key, value in record.headers}),
    ):
        Draft202012Validator({"$ref": f"#/components/schemas/{name}", **schemas}).validate(said)


def test_the_page_of_events_shows_them_all() -> None:
    page = FILES[Path("docs/api/events.md")]
    assert set(EVENT_TYPES) <= set(re.findall(r"^### (\w+)$", page, re.MULTILINE))
