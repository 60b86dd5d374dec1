"""Makes a process's logging write the lines of `app.telemetry.lines`, whoever logs."""

import logging
import sys
import threading
from types import TracebackType
from typing import TextIO

import structlog
from structlog.stdlib import LoggerFactory, ProcessorFormatter

from app.settings import Settings
from app.telemetry.lines import LineFormatter, console_formatter, json_formatter

logger = logging.getLogger(__name__)

LEVELS = logging.getLevelNamesMapping()
GATEWAY = "gateway"


def writes_json(conf: Settings, stream: TextIO) -> bool:
    """Whether the lines are JSON: said so, or for another program than a terminal."""
    if conf.log_format == "auto":
        return not stream.isatty()
    return conf.log_format == "json"


def formatter(conf: Settings, service: str, instance: str, stream: TextIO) -> LineFormatter:
    """The formatter that the settings ask for."""
    if writes_json(conf, stream):
        return json_formatter(service, instance)
    return console_formatter(service, instance, colors=stream.isatty())


def configure_gateway(conf: Settings) -> None:
    """Write to standard error what is at least as grave as `LOG_LEVEL`; of the libraries' lines,
    warnings and worse."""
    level = LEVELS[conf.log_level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(conf, GATEWAY, conf.gateway_name, sys.stderr))
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    for name in ("gateway", "app"):
        logging.getLogger(name).setLevel(level)
    configure_structlog()
    catch_the_rest()


def configure_structlog() -> None:
    """Let structlog's loggers be those of `logging`."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def catch_the_rest() -> None:
    """Log what Python would print: warnings, and errors that nobody caught."""
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logger.critical("uncaught: %r", error, exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        name = args.thread.name if args.thread else "?"
        logger.critical(
            "uncaught in thread %s: %r",
            name,
            args.exc_value,
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        )
