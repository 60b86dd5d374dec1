"""The AsyncAPI 3 document of the events: made from the registry of topics and the events' models.

Operations say what each service sends and receives; who receives is passed in, because only the
services know (`app.agents.registry`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from app.events import CONTENT_TYPE, EVENT_TYPES, SPEC_VERSION, EventData, OrderEventData, UserActed
from app.schemas import Schemas
from app.streaming.dead_letters import HEADER_PREFIX
from app.topics import GROUP_PREFIX, MS_PER_HOUR, SPECS, TopicSpec

ASYNCAPI = "3.0.0"
KAFKA_BINDING = "0.5.0"
SCHEMA_REF = "#/components/schemas/{model}"
SERVER = "kafka"

Receives = Mapping[str, Sequence[str]]
"""The topics that each service consumes, by the service's name."""

UUID_HEADER = {"type": "string", "format": "uuid"}
ENVELOPE: Mapping[str, Any] = {
    "type": "object",
    "description": "The event's envelope: CloudEvents 1.0 in Kafka's binary mode.",
    "required": [
        "ce_id",
        "ce_type",
        "ce_source",
        "ce_time",
        "ce_specversion",
        "content-type",
        "correlationid",
    ],
    "properties": {
        "ce_id": UUID_HEADER
        | {"description": "The same whenever the event is emitted again: consumers know it by it."},
        "ce_type": {"type": "string", "enum": list(EVENT_TYPES)},
        "ce_source": {"type": "string", "description": "`orderflow/` and the service."},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_specversion": {"const": SPEC_VERSION},
        "content-type": {"const": CONTENT_TYPE},
        "correlationid": UUID_HEADER
        | {"description": "The same for all events of one order, or of one view."},
        "causationid": UUID_HEADER | {"description": "The event that led to this one."},
        "traceparent": {
            "type": "string",
            "description": "W3C trace context: of the request that began it, or, where spans are "
            "made, of the span that sent it.",
        },
    },
}
DEAD_LETTER: Mapping[str, Any] = {
    "type": "object",
    "description": "The record's own headers, and why it is here.",
    "required": [
        HEADER_PREFIX + name
        for name in ("reason", "detail", "group", "topic", "partition", "offset", "timestamp")
    ],
    "properties": {
        HEADER_PREFIX + name: {"type": "string", "description": text}
        for name, text in {
            "reason": "A short code, such as `undecodable`.",
            "detail": "What is wrong, in a sentence.",
            "group": "The consumer group that gave it up; others may have processed it.",
            "topic": "Where it was.",
            "partition": "Where it was.",
            "offset": "Where it was.",
            "timestamp": "When it was written there, in ms since 1970.",
            "null-value": "`1` where the record had neither key nor value.",
            "truncated": "`1` where the record is too large to be here: it lies where it was.",
        }.items()
    },
}


def asyncapi(
    receives: Receives, *, version: str, partitions: int, retention_hours: int, dead_hours: int
) -> dict[str, Any]:
    """The document."""
    channels: dict[str, Any] = {}
    for spec in SPECS:
        channels[spec.name] = _channel(spec, partitions, retention_hours)
    for spec in SPECS:
        channels[spec.dead_letters] = _dead_letters(spec, partitions, dead_hours)
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "Orderflow events",
            "version": version,
            "description": "What the services of Orderflow tell each other. One service alone "
            "writes to a topic. A record's value is the event's data as JSON, its envelope "
            "(CloudEvents) is in the headers, and its key keeps events in order.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            SERVER: {
                "host": "127.0.0.1:9092",
                "protocol": "kafka",
                "description": "The local one; `KAFKA_BOOTSTRAP_SERVERS` names others.",
            }
        },
        "channels": channels,
        "operations": _operations(receives),
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _channel(spec: TopicSpec, partitions: int, hours: int) -> dict[str, Any]:
    return {
        "address": spec.name,
        "title": spec.name,
        "description": f"Written by the {spec.owner} service, keyed by {keys_of(spec)}.",
        "servers": [{"$ref": f"#/servers/{SERVER}"}],
        "messages": {
            event.__name__: {"$ref": f"#/components/messages/{event.__name__}"}
            for event in spec.events
        },
        "bindings": _kafka(spec.name, partitions, hours),
    }


def _dead_letters(spec: TopicSpec, partitions: int, hours: int) -> dict[str, Any]:
    return {
        "address": spec.dead_letters,
        "title": spec.dead_letters,
        "description": f"Records of `{spec.name}` that a service could not process, in the "
        "partition they were in.",
        "servers": [{"$ref": f"#/servers/{SERVER}"}],
        "messages": {"DeadLetter": {"$ref": "#/components/messages/DeadLetter"}},
        "bindings": _kafka(spec.dead_letters, partitions, hours),
    }


def _kafka(topic: str, partitions: int, hours: int) -> dict[str, Any]:
    return {
        "kafka": {
            "topic": topic,
            "partitions": partitions,
            "topicConfiguration": {
                "cleanup.policy": ["delete"],
                "retention.ms": hours * MS_PER_HOUR,
            },
            "bindingVersion": KAFKA_BINDING,
        }
    }


def keys_of(spec: TopicSpec) -> str:
    """What the topic's records are keyed by."""
    return " or ".join(dict.fromkeys(_key(event) for event in spec.events))


def _key(event: type[EventData]) -> str:
    if issubclass(event, OrderEventData):
        return "the order's id"
    return "the user's id" if issubclass(event, UserActed) else "the movie's id"


def _messages() -> dict[str, Any]:
    messages: dict[str, Any] = {
        event.__name__: {
            "name": event.__name__,
            "title": event.__name__,
            "summary": _first_line(event),
            "contentType": CONTENT_TYPE,
            "headers": {"$ref": SCHEMA_REF.format(model="Envelope")},
            "payload": {"$ref": SCHEMA_REF.format(model=event.__name__)},
            "correlationId": {"location": "$message.header#/correlationid"},
            "bindings": {
                "kafka": {
                    "key": {"type": "string", "description": f"UTF-8: {_key(event)}."},
                    "bindingVersion": KAFKA_BINDING,
                }
            },
        }
        for event in EVENT_TYPES.values()
    }
    messages["DeadLetter"] = {
        "name": "DeadLetter",
        "title": "DeadLetter",
        "summary": "A record that could not be processed, as it was.",
        "headers": {"$ref": SCHEMA_REF.format(model="DeadLetterHeaders")},
        "payload": {"$ref": SCHEMA_REF.format(model="AnyRecord")},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "The record's own."},
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }
    return messages


def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = {}
    _, defined = TypeAdapter.json_schemas(
        [(name, "validation", TypeAdapter[Any](event)) for name, event in EVENT_TYPES.items()],
        by_alias=True,
        ref_template=SCHEMA_REF,
        schema_generator=Schemas,
    )
    found.update(defined["$defs"])
    found["Envelope"] = dict(ENVELOPE)
    found["DeadLetterHeaders"] = dict(DEAD_LETTER)
    found["AnyRecord"] = {"description": "The record's value, byte for byte."}
    return dict(sorted(found.items()))


def _operations(receives: Receives) -> dict[str, Any]:
    """Who sends and who receives what; each service in the consumer group of its own."""
    sent = {
        f"{spec.owner}-sends-{spec.name}": _operation("send", spec.owner, spec.name)
        for spec in SPECS
    }
    received: dict[str, Any] = {}
    buried: dict[str, Any] = {}
    for service, topics in receives.items():
        for topic in topics:
            received[f"{service}-receives-{topic}"] = _operation("receive", service, topic)
            dead = f"{topic}.dlq"
            buried[f"{service}-sends-{dead}"] = _operation("send", service, dead)
    return {**sent, **received, **buried}


def _operation(action: str, service: str, topic: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "title": f"{service} {action}s {topic}",
        "tags": [{"name": service}],
    }
    if action == "receive":
        made["bindings"] = {
            "kafka": {
                "groupId": {"type": "string", "enum": [GROUP_PREFIX + service]},
                "bindingVersion": KAFKA_BINDING,
            }
        }
    return made


def _first_line(event: type[EventData]) -> str:
    return " ".join((event.__doc__ or "").partition("\n\n")[0].split())
