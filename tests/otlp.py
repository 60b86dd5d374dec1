"""A collector of spans: what takes OTLP over HTTP, in a thread of the test's own process."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from infra.demo.spans import KINDS, Span
from infra.local.ports import LOOPBACK, free_ports

PATH = "/v1/traces"


class Collector:
    """Takes spans, and keeps them by the ids of their traces."""

    def __init__(self) -> None:
        self.port = free_ports(1)[0]
        self._spans: dict[str, list[Span]] = {}
        self._lock = threading.Lock()
        taking = self._taking()
        self._server = ThreadingHTTPServer((LOOPBACK, self.port), taking)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """What `OTEL_EXPORTER_OTLP_ENDPOINT` says."""
        return f"http://{LOOPBACK}:{self.port}"

    def trace(self, trace_id: str) -> list[Span]:
        """What came of a trace so far."""
        with self._lock:
            return list(self._spans.get(trace_id, ()))

    def _taking(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Taking(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                known = self.path == PATH
                if known:
                    collector._take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200 if known else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        return Taking

    def _take(self, request: ExportTraceServiceRequest) -> None:
        for of_resource in request.resource_spans:
            resource = _attributes(of_resource.resource.attributes)
            for scope in of_resource.scope_spans:
                for told in scope.spans:
                    span = Span(
                        id=told.span_id.hex(),
                        parent=told.parent_span_id.hex(),
                        name=told.name,
                        kind=KINDS[told.kind],
                        service=resource["service.name"],
                        instance=resource["service.instance.id"],
                        began=told.start_time_unix_nano,
                        ended=told.end_time_unix_nano,
                        attributes=_attributes(told.attributes),
                    )
                    with self._lock:
                        self._spans.setdefault(told.trace_id.hex(), []).append(span)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _attributes(told: "list[KeyValue]") -> dict[str, Any]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in told}
