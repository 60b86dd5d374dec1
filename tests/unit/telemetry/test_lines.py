"""Lines of the log: whoever logs, one line with the same fields, whatever a client says."""

import io
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars
from structlog.stdlib import LoggerFactory, ProcessorFormatter

from app.telemetry.lines import LineFormatter, console_formatter, json_formatter

Logged = Callable[[], str]
HOSTILE = 'x","level":"critical\n\r\x1b[2J\u2028\x85\udc80\u202e{"event":"forged"}'


@pytest.fixture
def logger() -> logging.Logger:
    """One that pytest does not know, since it could not repeat a lone surrogate."""
    return logging.Logger("somebodys.module", logging.INFO)


def written(logger: logging.Logger, formatter: LineFormatter) -> Logged:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    return stream.getvalue


@pytest.fixture
def line(logger: logging.Logger) -> Callable[[], dict[str, Any]]:
    """The one line that was written."""
    text = written(logger, json_formatter("worker", "worker-1"))

    def read() -> dict[str, Any]:
        (only,) = text().splitlines()
        assert only.isascii()
        found: dict[str, Any] = json.loads(only)
        return found

    return read


def test_every_line_says_when_how_grave_who_and_what(
    logger: logging.Logger, line: Callable[[], dict[str, Any]]
) -> None:
    logger.warning("held %d records", 12, extra={"data": {"group": "orders-audit"}})
    found = line()
    assert found.pop("timestamp").endswith("Z")
    assert {
        "level": "warning",
        "logger": "somebodys.module",
        "event": "held 12 records",
        "service": "worker",
        "instance": "worker-1",
        "group": "orders-audit",
    } == found


def test_what_is_bound_around_a_request_is_in_its_lines(
    logger: logging.Logger, line: Callable[[], dict[str, Any]]
) -> None:
    with bound_contextvars(order_id="o-1", trace_id="t-1", service="payment"):
        logger.info("charged")
    found = line()
    assert ("payment", "t-1", "o-1") == (found["service"], found["trace_id"], found["order_id"])
    assert ["service", "instance", "trace_id", "order_id"] == list(found)[-4:]


def test_structlogs_lines_are_no_others(
    logger: logging.Logger, line: Callable[[], dict[str, Any]]
) -> None:
    bound = structlog.wrap_logger(
        logger,
        processors=[structlog.stdlib.filter_by_level, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=LoggerFactory(),
    )
    bound.info("served", status=202)
    found = line()
    assert ("served", "info", "somebodys.module", 202) == tuple(
        found[name] for name in ("event", "level", "logger", "status")
    )


def test_what_a_client_says_ends_no_line_and_takes_no_fields_place(
    logger: logging.Logger, line: Callable[[], dict[str, Any]]
) -> None:
    data = {"path": HOSTILE, "level": "critical", "event": "forged", "service": "bank"}
    logger.info("asked for %s", HOSTILE, extra={"data": data})
    found = line()
    assert (f"asked for {HOSTILE}", HOSTILE) == (found["event"], found["path"])
    assert ("info", "worker") == (found["level"], found["service"])
    assert ("critical", "bank") == (found["said_level"], found["said_service"])


def test_an_exception_is_text_in_the_same_line(
    logger: logging.Logger, line: Callable[[], dict[str, Any]]
) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logger.exception("failed")
    found = line()
    assert "failed" == found["event"]
    assert found["exception"].startswith("Traceback (most recent call last):\n")
    assert "in test_an_exception" in found["exception"]


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    "value", [float("nan"), {1, 2}, b"\xff", Unspeakable(), "\ud800"], ids=type
)
def test_a_value_that_json_has_not_is_told_all_the_same(
    logger: logging.Logger, line: Callable[[], dict[str, Any]], value: object
) -> None:
    logger.info("odd", extra={"data": {"value": value}})
    assert {"event", "value"} <= set(line())


def test_a_record_whose_arguments_do_not_fit_is_told_all_the_same() -> None:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "%d of %s", ("many",), None)
    line = json.loads(json_formatter("worker", "worker-1").format(record))
    assert line["event"].startswith("%d of %s ('many',) (")


def test_long_texts_are_cut(logger: logging.Logger, line: Callable[[], dict[str, Any]]) -> None:
    logger.info("x" * 1_000_000)
    assert len(line()["event"]) < 11_000


def test_a_terminals_line_is_one_line_too(logger: logging.Logger) -> None:
    text = written(logger, console_formatter("worker", "worker-1", colors=False))
    logger.info("asked for %s", HOSTILE, extra={"data": {"path": HOSTILE}})
    (only,) = text().splitlines()
    assert "\x1b" not in only
    assert r"\x1b[2J\u2028" in only
