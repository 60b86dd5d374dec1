"""The spans of a trace, read back from the files in which the processes keep them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """A span of OTLP; times in ns since the epoch."""

    id: str
    parent: str
    name: str
    kind: str
    service: str
    instance: str
    began: int
    ended: int
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def milliseconds(self) -> float:
        """How long it took."""
        return (self.ended - self.began) / NS_PER_MS


def read(files: Iterable[Path], trace_id: str) -> list[Span]:
    """The spans of the trace, each once, in the order in which they began."""
    found = {span.id: span for path in files for span in _of_file(path, trace_id)}
    return sorted(found.values(), key=lambda span: span.began)


def _of_file(path: Path, trace_id: str) -> Iterator[Span]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        if trace_id in line:
            yield from of_otlp(json.loads(line), trace_id)


def of_otlp(document: Mapping[str, Any], trace_id: str) -> Iterator[Span]:
    """The trace's spans in a `TracesData` of OTLP's JSON."""
    for of_resource in document["resourceSpans"]:
        resource = _attributes(of_resource["resource"]["attributes"])
        for scope in of_resource["scopeSpans"]:
            for told in scope["spans"]:
                if told["traceId"] == trace_id:
                    yield Span(
                        id=told["spanId"],
                        parent=told.get("parentSpanId", ""),
                        name=told["name"],
                        kind=KINDS[told["kind"]],
                        service=str(resource.get("service.name")),
                        instance=str(resource.get("service.instance.id")),
                        began=int(told["startTimeUnixNano"]),
                        ended=int(told["endTimeUnixNano"]),
                        attributes=_attributes(told["attributes"]),
                    )


def _attributes(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {one["key"]: _value(one["value"]) for one in told}


def _value(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    return int(content) if kind == "intValue" else content


def roots(spans: Sequence[Span]) -> list[Span]:
    """Those that are below none that is there; of one tree, there is one."""
    known = {span.id for span in spans}
    return [span for span in spans if span.parent not in known]


def tree(spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """Each span and its depth, what it led to after it."""
    below: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        below[span.parent].append(span)
    waiting = [(0, span) for span in reversed(roots(spans))]
    while waiting:
        depth, span = waiting.pop()
        yield depth, span
        waiting += [(depth + 1, one) for one in reversed(below[span.id])]
