"""Events on Kafka: the data alone as JSON in the value, the CloudEvents envelope in headers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from app.events import CONTENT_TYPE, EVENT_TYPES, SPEC_VERSION, Event
from app.topics import BY_EVENT, TopicSpec

Headers = list[tuple[str, bytes]]
ERRORS_SHOWN = 3


class UndecodableError(ValueError):
    """A record that is no event of its topic, and will not become one by trying again."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """An event ready to be sent."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


def encode(event: Event) -> Encoded:
    """The record of an event; the key is what it is about, such as an order's id, so an order's
    events share a partition."""
    headers: Headers = [
        ("ce_id", event.id.encode()),
        ("ce_type", event.type.encode()),
        ("ce_source", event.source.encode()),
        ("ce_time", event.time.encode()),
        ("ce_specversion", SPEC_VERSION.encode()),
        ("content-type", CONTENT_TYPE.encode()),
        ("correlationid", event.correlation_id.encode()),
    ]
    if event.causation_id is not None:
        headers.append(("causationid", event.causation_id.encode()))
    if event.traceparent is not None:
        headers.append(("traceparent", event.traceparent.encode()))
    return Encoded(
        topic=BY_EVENT[event.type].name,
        key=event.key.encode(),
        value=event.data.model_dump_json(by_alias=True, exclude_none=True).encode(),
        headers=headers,
    )


def decode(
    topic: TopicSpec,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes]],
) -> Event:
    """The event of a record.

    Raises:
        UndecodableError: says what is wrong with the record.
    """
    try:
        envelope = {name: content.decode() for name, content in headers if content is not None}
    except UnicodeDecodeError:
        raise UndecodableError("a header is not UTF-8") from None
    name = _required(envelope, "ce_type")
    model = EVENT_TYPES.get(name)
    if model is None or model not in topic.events:
        raise UndecodableError(f"{name!r} is no event of {topic.name}")
    if value is None:
        raise UndecodableError("no value")
    try:
        data = model.model_validate_json(value)
    except ValidationError as error:
        raise UndecodableError(_explain(name, error)) from None
    if key != data.key.encode():
        raise UndecodableError(f"the key is not the id of what {name} is about: {key!r}")
    return Event(
        id=_required(envelope, "ce_id"),
        source=_required(envelope, "ce_source"),
        time=_required(envelope, "ce_time"),
        correlation_id=envelope.get("correlationid", data.origin),
        data=data,
        causation_id=envelope.get("causationid"),
        traceparent=envelope.get("traceparent"),
    )


def _required(envelope: Mapping[str, str], name: str) -> str:
    try:
        return envelope[name]
    except KeyError:
        raise UndecodableError(f"header {name} is missing") from None


def _explain(name: str, error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    shown = "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in found[:ERRORS_SHOWN]
    )
    more = f" and {len(found) - ERRORS_SHOWN} more" if len(found) > ERRORS_SHOWN else ""
    return f"not a valid {name}: {shown}{more}"
