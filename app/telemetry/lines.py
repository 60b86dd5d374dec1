"""A record of the standard library's `logging` as one line.

Whoever logged it (our modules, Faust, mode, aiokafka, structlog) it passes here, so every line has
the same fields: `timestamp`, `level`, `logger`, `event`, `service`, `instance`; then `trace_id` and
`order_id` where they are known, and what the line itself has to say. A module gives fields by
`extra={"data": {...}}`, which is mode's own way, or by structlog's keywords.

A client's words stand in values alone. They are escaped, so that they end no line, and they can't
take the place of a field that is said of every line.
"""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.contextvars import get_contextvars
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

__all__ = ["Described", "LineFormatter", "console_formatter", "json_formatter"]

# Of a value; a body of 1 MiB that is quoted in an error is not read by anybody.
TEXT_MAX_CHARACTERS = 10_000
# The beginning of a stack trace says where it was called from, its end what went wrong.
TRACE_HEAD_CHARACTERS = 4_000
TRACE_MAX_CHARACTERS = 20_000
FIXED = ("timestamp", "level", "logger", "event", "service", "instance")
# What is bound around a request comes next, in this order.
KNOWN = ("trace_id", "order_id")
# What a client can't be let say in a field that names something of ours.
RENAMED = "said_{}"
EXCEPTION = "exception"
# As in nginx's lines, so that `grep '"status":5'` finds those of all.
COMPACT = (",", ":")


class Described:
    """Gives a line its fields, in an order that reads well.

    Args:
        service: what the process is, where no service of it has bound its own name.
        instance: which of its kind it is.
    """

    def __init__(self, service: str, instance: str) -> None:
        self._service = service
        self._instance = instance

    def __call__(self, _: WrappedLogger, __: str, given: EventDict) -> EventDict:
        """The line's fields; a processor of structlog."""
        record: logging.LogRecord = given.pop("_record")
        given.pop("_from_structlog")
        bound = get_contextvars()
        line: EventDict = {
            "timestamp": _iso(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": given.pop("event", ""),
            "service": bound.pop("service", self._service),
            "instance": self._instance,
        }
        for name in KNOWN:
            if name in bound:
                line[name] = bound.pop(name)
        line.update(bound)
        data = record.__dict__.get("data")
        for own in (data if isinstance(data, Mapping) else {}, given):
            for name, value in own.items():
                line[RENAMED.format(name) if name in FIXED else name] = value
        if "stack_info" in line:
            line["stack"] = line.pop("stack_info")
        return line


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def explained(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """An exception as text in a field of its own; a processor of structlog."""
    line = structlog.processors.format_exc_info(_, __, line)
    text = line.get(EXCEPTION)
    if isinstance(text, str) and len(text) > TRACE_MAX_CHARACTERS:
        tail = TRACE_MAX_CHARACTERS - TRACE_HEAD_CHARACTERS
        line[EXCEPTION] = f"{text[:TRACE_HEAD_CHARACTERS]}\n[…]\n{text[-tail:]}"
    return line


def bounded(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Texts of bounded length; a processor of structlog."""
    for name, value in line.items():
        if isinstance(value, str) and len(value) > TEXT_MAX_CHARACTERS and name != EXCEPTION:
            line[name] = f"{value[:TEXT_MAX_CHARACTERS]}[… {len(value)} characters]"
    return line


def as_json(_: WrappedLogger, __: str, line: EventDict) -> str:
    """The line as JSON of printable ASCII: nothing in it ends a line or moves a terminal's cursor,
    and every text can be written, a lone surrogate too. A processor of structlog."""
    try:
        return json.dumps(line, default=repr, allow_nan=False, separators=COMPACT)
    except Exception:  # of somebody else's object, as well
        plain = {str(name): _plain(value) for name, value in line.items()}
        return json.dumps(plain, separators=COMPACT)


def _plain(value: Any) -> str | int | bool | None:
    if value is None or isinstance(value, str | int):
        return value
    try:
        return repr(value)[:TEXT_MAX_CHARACTERS]
    except Exception as error:  # of somebody else's object
        return f"<{type(value).__name__}: {type(error).__name__}>"


def escaped(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Texts without what could break a line of text; an exception's may have many lines. A
    processor of structlog."""
    for name, value in line.items():
        if isinstance(value, str) and name != EXCEPTION and not value.isprintable():
            line[name] = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    return line


class LineFormatter(ProcessorFormatter):
    """Formats each record; one that can't be is told all the same, as what it is."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        try:
            return super().format(record)
        except Exception as error:
            broken = logging.makeLogRecord(
                {
                    **record.__dict__,
                    "msg": "%s %s (not as the line wants them: %r)",
                    "args": (str(record.msg), _plain(record.args), error),
                    "data": None,
                }
            )
            return super().format(broken)


def json_formatter(service: str, instance: str) -> LineFormatter:
    """Lines of JSON."""
    return _formatter(service, instance, explained, bounded, as_json)


def console_formatter(service: str, instance: str, *, colors: bool) -> LineFormatter:
    """Lines for people."""
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback
    )
    return _formatter(service, instance, explained, bounded, escaped, renderer)


def _formatter(service: str, instance: str, *processors: Processor) -> LineFormatter:
    return LineFormatter(processors=[Described(service, instance), *processors])
