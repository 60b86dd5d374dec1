"""Spans in a file: a line of OTLP's JSON for each batch, as OpenTelemetry's file exporters write
it (`resourceSpans`; ids in hex), so that their collector's `otlpjsonfile` receiver reads it."""

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

logger = logging.getLogger(__name__)

# Some 40,000 spans. Then the file becomes `<name>.1`, in the place of an earlier one.
FILE_MAX_BYTES = 50_000_000
# In OTLP, 0 is "unspecified", and so all others are one higher than in the API.
KIND_OFFSET = 1


class FileExporter(SpanExporter):
    """Appends to a file. What can't be written is dropped, and said so once in a while."""

    def __init__(self, path: str | Path, max_bytes: int = FILE_MAX_BYTES) -> None:
        self._path = Path(path)
        self._max_bytes = max_bytes

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write one line."""
        line = json.dumps(as_otlp(spans), separators=(",", ":")) + "\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # One call: several processes may write to one file.
            with self._path.open("ab", buffering=0) as file:
                file.write(line.encode())
                size = file.tell()
            if size > self._max_bytes:
                os.replace(self._path, self._path.with_name(self._path.name + ".1"))
        except OSError as error:
            logger.warning("spans can't be written: %s", error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is held open."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return True


def as_otlp(spans: Iterable[ReadableSpan]) -> dict[str, Any]:
    """Spans as a `TracesData` of OTLP's JSON."""
    resources = []
    # A process has a few resources, each the same object throughout.
    for _, group in groupby(sorted(spans, key=_resource), key=_resource):
        members = list(group)
        resources.append(
            {
                "resource": {"attributes": _attributes(members[0].resource.attributes)},
                "scopeSpans": [
                    {"scope": {"name": _scope(members[0])}, "spans": [_span(s) for s in members]}
                ],
            }
        )
    return {"resourceSpans": resources}


def _resource(span: ReadableSpan) -> int:
    return id(span.resource)


def _scope(span: ReadableSpan) -> str:
    scope = span.instrumentation_scope
    return scope.name if scope is not None else ""


def _span(span: ReadableSpan) -> dict[str, Any]:
    context = span.context
    assert context is not None, "a finished span has an id"
    told: dict[str, Any] = {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "name": span.name,
        "kind": span.kind.value + KIND_OFFSET,
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes or {}),
        "status": {"code": span.status.status_code.value},
    }
    if span.parent is not None:
        told["parentSpanId"] = f"{span.parent.span_id:016x}"
    if span.status.description:
        told["status"]["message"] = span.status.description
    return told


def _attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": str(value)}
