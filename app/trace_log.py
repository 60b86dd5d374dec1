"""A line of the log for each record that was handled on behalf of a trace, so that one order can
be followed through every service.

An order has some twenty lines, so each service has an `Allowance` of them (`TRACE_LOG_LINES`):
every order of a quiet system is told, and some of a busy one. `app/web/told.py` tells of requests.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any

from app.logs import Allowance
from app.streaming import Chunk

logger = logging.getLogger(__name__)

# W3C Trace Context: version, trace id, parent, flags.
TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-")


class RecordTraces:
    """Tells of the records that a service has handled."""

    def __init__(self, group: str, allowance: Allowance) -> None:
        self._group = group
        self._allowance = allowance

    def handled(self, chunks: Sequence[Chunk], emitted: int) -> None:
        """One line a record that carries a trace; `Observer.on_batch`."""
        granted = self._allowance.take(sum(len(chunk.records) for chunk in chunks))
        if not granted:
            return
        records: Iterable[Any] = chain.from_iterable(chunk.records for chunk in chunks)
        for record in islice(records, granted):
            headers = dict(record.headers)
            trace = TRACEPARENT.match(headers.get("traceparent") or b"")
            if trace is not None:
                logger.info(
                    "trace %s: %s handled %s of %s, %s partition %d offset %d",
                    trace[1].decode(),
                    self._group,
                    _text(headers.get("ce_type")),
                    _text(record.key),
                    record.topic,
                    record.partition,
                    record.offset,
                )


def _text(value: bytes | None) -> str:
    """What a header or key says, such that it can't break the line."""
    return ascii(value.decode(errors="replace"))[1:-1] if value else "?"
