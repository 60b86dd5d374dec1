"""The AsyncAPI document as a page in Markdown."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from app.asyncapi.document import keys_of
from app.events import EVENT_TYPES
from app.topics import SPECS

MADE_BY = (
    "Made by `python -m infra.reference` from `app/topics.py` and `app/events.py`; for programs "
    "the same is in [asyncapi.json](asyncapi.json)."
)
DEAD_LETTERS = (
    "What a service could not process goes to the topic's name with `.dlq`, with its own key, "
    "value, headers and partition, and these headers:"
)
HEADERS = ("Envelope", "DeadLetterHeaders")
# More values than these would fill a table's row.
SHOWN = 5


def events_page(document: Mapping[str, Any]) -> str:
    """The document as a page in Markdown."""
    schemas = document["components"]["schemas"]
    return "\n".join(
        chain(
            (
                "# Events",
                "",
                MADE_BY,
                "",
                document["info"]["description"],
                "",
                "## Topics",
                "",
                "| topic | sent by | received by | key | events |",
                "| --- | --- | --- | --- | --- |",
            ),
            _topic_rows(document),
            (
                "",
                DEAD_LETTERS,
                "",
            ),
            _members(schemas["DeadLetterHeaders"]),
            ("", "## Envelope", "", schemas["Envelope"]["description"], ""),
            _members(schemas["Envelope"]),
            ("", "## Data", ""),
            *(_event(name, document) for name in EVENT_TYPES),
            *(
                chain((f"### {name}", ""), _members(schema), ("",))
                for name, schema in schemas.items()
                if name not in EVENT_TYPES and schema.get("properties") and name not in HEADERS
            ),
        )
    )


def _topic_rows(document: Mapping[str, Any]) -> Iterable[str]:
    for spec in SPECS:
        who: dict[str, list[str]] = {"send": [], "receive": []}
        for operation in document["operations"].values():
            if operation["channel"]["$ref"] == f"#/channels/{spec.name}":
                who[operation["action"]].append(operation["tags"][0]["name"])
        events = ", ".join(f"[{e.__name__}](#{e.__name__.lower()})" for e in spec.events)
        yield (
            f"| `{spec.name}` | {', '.join(who['send'])} | {', '.join(who['receive'])} "
            f"| {keys_of(spec)} | {events} |"
        )


def _event(name: str, document: Mapping[str, Any]) -> Iterable[str]:
    yield f"### {name}"
    yield ""
    yield document["components"]["messages"][name]["summary"]
    yield ""
    yield from _members(document["components"]["schemas"][name])
    yield ""


def _members(schema: Mapping[str, Any]) -> Iterable[str]:
    yield "| member | type | |"
    yield "| --- | --- | --- |"
    required = schema.get("required", ())
    for name, each in schema["properties"].items():
        optional = "" if name in required else ", optional"
        yield f"| `{name}` | {_type(each)}{optional} | {each.get('description', '')} |"


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "enum" in schema:
        return (
            "one of several"
            if len(schema["enum"]) > SHOWN
            else " · ".join(f"`{each}`" for each in schema["enum"])
        )
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"array of {_type(schema['items'])}"
    said = schema.get("format") or ("uuid" if "pattern" in schema else "")
    return f"{schema['type']} ({said})" if said else str(schema["type"])
