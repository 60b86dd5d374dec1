"""A Faust worker whose log has our lines, Faust's own among them."""

import logging
import os
import platform
import sys
from typing import Any

import faust
from faust.cli.worker import worker as worker_command

from app.settings import Settings
from app.telemetry.lines import LineFormatter, console_formatter, json_formatter
from app.telemetry.setup import catch_the_rest, configure_structlog, formatter, writes_json

logger = logging.getLogger(__name__)

# What a worker is that runs several services; each of them says its own name.
WORKER = "worker"


def service_of(conf: Settings) -> str:
    """What a worker calls itself: the one service that it runs, or `worker`."""
    names = conf.service_names()
    return names[0] if len(names) == 1 else WORKER


def worker_options(conf: Settings) -> dict[str, Any]:
    """Options of a Faust app whose worker writes our lines; `-l` and `-f` count as ever.

    Faust puts its own formatters, `colored` for a stream and `default` for a file, where these are.
    """
    service, name = service_of(conf), conf.worker_name

    def stream() -> LineFormatter:
        return formatter(conf, service, name, sys.stderr)

    def file() -> LineFormatter:
        if conf.log_format == "console":
            return console_formatter(service, name, colors=False)
        return json_formatter(service, name)

    options: dict[str, Any] = {
        "logging_config": {
            "version": 1,
            "disable_existing_loggers": False,
            "merge": True,
            "formatters": {"colored": {"()": stream}, "default": {"()": file}},
        }
    }
    if writes_json(conf, sys.stderr):
        # Of a type that Faust does not know, which would say in its own words that it starts.
        options["Worker"] = LoggingWorker
        worker_command.on_worker_created = _say_nothing
    return options


def _say_nothing(command: Any, worker: Any) -> None:
    """Instead of Faust's banner, which is a table."""


class LoggingWorker(faust.Worker):  # type: ignore[misc]  # Faust is not typed
    """A Faust worker that prints nothing beside its log."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "quiet": True})
        self.spinner = None

    def _setup_logging(self) -> None:
        super()._setup_logging()
        configure_structlog()
        catch_the_rest()
        logger.info(
            "worker starts",
            extra={
                "data": {
                    "group": self.app.conf.id,
                    "web": str(self.app.conf.canonical_url),
                    "data_dir": str(self.app.conf.datadir),
                    "pid": os.getpid(),
                    "faust": faust.__version__,
                    "python": platform.python_version(),
                    "loop": type(self.loop).__module__,
                }
            },
        )
