"""Faust's recovery, that a slow broker does not end, and that forgets no record of a standby.

Faust gives each question of a recovery a time, and takes one that ran out for the service's own
end: the recovery is over for good, which nothing says, and no stream flows from then on, after no
rebalance either. Here a question takes as long as it takes. The next rebalance ends it, and what
asks has an end of its own that ends the process.

Nor does a recovery go on that a rebalance has ended. Faust takes that end for the end of the
reading, where it was reading, and goes to standbys that are the next recovery's: nothing is known
of them yet, not even where to begin, which ended the process.
"""

import inspect
from typing import Any

from faust.tables import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery


class PatientRecovery(Recovery):
    """Recovery that waits until the next rebalance, or until the service is stopped."""

    async def _wait(self, coro: Any, timeout: Any = None) -> None:
        if self.signal_recovery_start.is_set():
            if inspect.iscoroutine(coro):
                coro.close()
            raise RebalanceAgain
        await super()._wait(coro)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Let the streams flow.

        For them Faust empties all queues, that of the changelogs as well. By now it holds what was
        fetched for standbys, which nobody would fetch again: what takes over from a standby would
        count from a state with a gap.
        """
        flow, queue = self.app.flow_control, self.tables.changelog_queue
        flow._queues.discard(queue)  # noqa: SLF001 (it has no way out)
        try:
            await super().on_recovery_completed(generation_id)
        finally:
            flow.manage_queue(queue)


class PatientTables(TableManager):
    """Tables, or none of them, recovered patiently."""

    _recovery: Recovery | None = None

    @property
    def recovery(self) -> Recovery:
        """The service that recovers tables and resumes streams."""
        if self._recovery is None:
            self._recovery = PatientRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
