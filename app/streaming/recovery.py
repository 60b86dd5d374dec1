"""Faust's recovery, that a slow broker does not end.

Faust gives each question of a recovery a time, and takes one that ran out for the service's own
end: the recovery is over for good, which nothing says, and no stream flows from then on, after no
rebalance either. Here a question takes as long as it takes. The next rebalance ends it, and what
asks has an end of its own that ends the process.
"""

from typing import Any

from faust.tables import TableManager
from faust.tables.recovery import Recovery


class PatientRecovery(Recovery):
    """Recovery that waits until the next rebalance, or until the service is stopped."""

    async def _wait(self, coro: Any, timeout: Any = None) -> None:
        await super()._wait(coro)


class PatientTables(TableManager):
    """Tables, or none of them, recovered patiently."""

    _recovery: Recovery | None = None

    @property
    def recovery(self) -> Recovery:
        """The service that recovers tables and resumes streams."""
        if self._recovery is None:
            self._recovery = PatientRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
