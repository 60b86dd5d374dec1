"""A line of the log for each record that was handled on behalf of a trace, so that one order can
be followed through every service.

An order has some twenty lines, so each service has an `Allowance` of them (`TRACE_LOG_LINES`):
every order of a quiet system is told, and some of a busy one. `app/web/told.py` tells of requests.
"""

import logging
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any

from app.logs import Allowance
from app.streaming import Chunk
from app.telemetry.context import HEADER, trace_id_of
from app.telemetry.sending import ID, TYPE, order_id_of

logger = logging.getLogger(__name__)


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
            trace_id = trace_id_of(_text(headers.get(HEADER)))
            if trace_id is not None:
                logger.info(
                    "handled", extra={"data": {"trace_id": trace_id} | self._about(record, headers)}
                )

    def _about(self, record: Any, headers: dict[str, bytes]) -> dict[str, str | int]:
        order_id = order_id_of(record.key, headers)
        return {
            **({"order_id": _text(order_id)} if order_id else {}),
            "group": self._group,
            "type": _text(headers.get(TYPE)),
            "id": _text(headers.get(ID)),
            "key": _text(record.key),
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
        }


def _text(value: bytes | None) -> str:
    return value.decode(errors="replace") if value else ""
