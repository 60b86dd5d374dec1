"""The spans of a process, from where they are made to OpenTelemetry's exporters.

They are made of what is known once a piece of work is done: many of them share a batch's times, and
each has the id that follows from its parent's (`Place.child`). OpenTelemetry's tracers begin and
end one span after the other and choose random ids, so its data class for finished spans
(`ReadableSpan`) is filled in here; queue, thread and exporters are its own. docs/adr/0012 says why.

Nothing of OpenTelemetry is imported where the settings name no place for spans.
"""

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from app import logs
from app.settings import Settings
from app.telemetry.context import PARENT_BASED, Place, Sampler, new_span_id, sampler

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter

logger = logging.getLogger(__name__)

NAMESPACE = "orderflow"
SCOPE = "app.telemetry"
# Below the time-outs of a stop. A collector that is away must not hold it up.
CLOSE_SECONDS = 3.0
# They say at each batch, or at each span, that a collector is away or too slow.
NOISY = (
    __name__,
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk.trace.export",
    "urllib3.connectionpool",
)

Kind = Literal["server", "client", "producer", "consumer"]
# What led to them happened in another process, as a rule.
REMOTE = ("server", "consumer")
Attributes = Mapping[str, str | int | float | bool]


class Told(NamedTuple):
    """A finished span, before OpenTelemetry has it; see `Recorder.record`."""

    resource: Any
    name: str
    kind: Kind
    place: Place
    parent: Place | None
    began: int
    ended: int
    attributes: Attributes
    error: str | None


class Recorder:
    """Takes the finished spans of one service."""

    def __init__(self, spans: "Spans", service: str) -> None:
        self._spans = spans
        self.service = service
        self._resource: Resource | None = None

    @property
    def parent_decides(self) -> bool:
        """Whether what has a parent is kept where that is."""
        return self._spans.parent_decides

    def begin(self, parent: Place | None, *, made: Place | None = None) -> Place:
        """The place of a span that begins now.

        Args:
            parent: the span that led here.
            made: without a parent, the place that was made up for the trace's beginning.
        """
        if parent is not None:
            place = parent.another()
        else:
            assert made is not None, "a trace begins somewhere"
            place = made._replace(span=made.span or new_span_id())
        return place._replace(sampled=self._spans.sampled(parent, place.trace))

    def below(self, parent: Place, name: bytes) -> Place:
        """The place below `parent` that always has this name; `parent`'s own where its trace is not
        kept, which need not be told two apart."""
        sampled = self._spans.sampled(parent, parent.trace)
        if not sampled:
            return parent._replace(sampled=False) if parent.sampled else parent
        return parent.child(name)._replace(sampled=True)

    def record(
        self,
        name: str,
        kind: Kind,
        place: Place,
        parent: Place | None,
        *,
        began: int,
        ended: int,
        attributes: Attributes,
        error: str | None = None,
    ) -> None:
        """Take a span that is over.

        Args:
            began: in ns since the epoch.
            error: what failed, if something did.
        """
        if self._resource is None:
            self._resource = self._spans.resource(self.service)
        self._spans.export(
            Told(self._resource, name, kind, place, parent, began, ended, attributes, error)
        )


class Spans:
    """A process's way to the exporters. Whoever records waits for nothing: a span goes into a
    bounded queue, and where that is full it is dropped.

    Args:
        exporters: in the place of those that the settings name.
    """

    def __init__(self, conf: Settings, exporters: "tuple[SpanExporter, ...] | None" = None) -> None:
        self._conf = conf
        self._exporters = exporters
        self._processors: tuple[SpanProcessor, ...] | None = None
        self.parent_decides = conf.otel_traces_sampler.startswith(PARENT_BASED)
        self.sampled: Sampler = sampler(conf.otel_traces_sampler, conf.otel_traces_sampler_arg)

    @classmethod
    def from_settings(cls, conf: Settings) -> "Spans | None":
        """The spans that the settings ask for; None where they name no place for them."""
        if not (conf.traces_url or conf.traces_file):
            return None
        return cls(conf)

    def of(self, service: str) -> Recorder:
        """The recorder of one of this process's services."""
        return Recorder(self, service)

    def resource(self, service: str) -> "Resource":
        """What OpenTelemetry says of whoever recorded a span."""
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 (see above)

        gateway = service == "gateway"
        return Resource.create(
            {
                "service.name": service,
                "service.namespace": NAMESPACE,
                "service.instance.id": self._conf.gateway_name
                if gateway
                else self._conf.worker_name,
            }
        )

    def export(self, told: "Told") -> None:
        """Put a finished span into the queue. Whatever goes wrong here, the work that it tells of
        goes on."""
        try:
            if self._processors is None:
                self._start()
            span = self._made(told)
            for processor in self._processors or ():
                processor.on_end(span)
        except Exception:
            logger.warning("a span could not be recorded", exc_info=True)

    def _made(self, told: "Told") -> Any:
        kind, parent, error = told.kind, told.parent, told.error
        return self._make(
            name=told.name,
            context=self._context(told.place),
            parent=None if parent is None else self._context(parent, remote=kind in REMOTE),
            resource=told.resource,
            attributes=told.attributes,
            kind=self._kinds[kind],
            status=self._ok if error is None else self._failed(error),
            start_time=told.began,
            end_time=told.ended,
            instrumentation_scope=self._scope,
        )

    def _start(self) -> None:
        """Import OpenTelemetry, and start its thread; with the first span, so that a command which
        makes none does not pay for it."""
        from opentelemetry import trace  # noqa: PLC0415 (see above)
        from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415

        self._make = ReadableSpan
        self._scope = InstrumentationScope(SCOPE)
        self._kinds = {
            "server": trace.SpanKind.SERVER,
            "client": trace.SpanKind.CLIENT,
            "producer": trace.SpanKind.PRODUCER,
            "consumer": trace.SpanKind.CONSUMER,
        }
        self._ok = trace.Status(trace.StatusCode.UNSET)
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)

        def context(place: Place, *, remote: bool = False) -> Any:
            return trace.SpanContext(place.trace, place.span, remote, flags)

        def failed(error: str) -> Any:
            return trace.Status(trace.StatusCode.ERROR, error)

        self._context = context
        self._failed = failed
        logs.sparse(*NOISY)
        if self._exporters is None:
            self._exporters = _exporters(self._conf)
        self._processors = tuple(
            BatchSpanProcessor(
                exporter,
                max_queue_size=self._conf.otel_bsp_max_queue_size,
                max_export_batch_size=min(512, self._conf.otel_bsp_max_queue_size),
                schedule_delay_millis=self._conf.otel_bsp_schedule_delay,
            )
            for exporter in self._exporters
        )

    async def close(self) -> None:
        """Send what waits, for some seconds at most."""
        if self._processors is None:
            return
        # A daemon: a process that ends does not wait for it.
        closing = threading.Thread(target=self._shut_down, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, CLOSE_SECONDS)

    def _shut_down(self) -> None:
        for processor in self._processors or ():
            processor.shutdown()


def _exporters(conf: Settings) -> "tuple[SpanExporter, ...]":
    exporters: list[SpanExporter] = []
    # The file first: at the end, a collector that is away must not take its time.
    if conf.traces_file:
        from app.telemetry.files import FileExporter  # noqa: PLC0415 (see above)

        exporters.append(FileExporter(conf.traces_file))
    if conf.traces_url:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )

        exporters.append(OTLPSpanExporter(endpoint=conf.traces_url))
    return tuple(exporters)
