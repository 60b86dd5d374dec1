"""How tests are shared out among processes: what shares servers together, the longest first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

# They share a stage, servers and four workers, with all scenarios of the same order of steps.
SCENARIO = re.compile(r"(tests/e2e/scenarios)/.*\[(\w+(?:,\w+)+)")
# They look at one system, in one browser.
BROWSER = "tests/browser/"
# Each of their tests starts servers of its own anyway.
ALONE = ("tests/chaos/test_crashes.py",)
# What takes longer than a minute must not begin when all else is done; from the longest on.
LONGEST = (
    "tests/chaos/test_crashes.py",
    "tests/e2e/test_windows.py",
    "tests/e2e/test_rolling.py",
    "tests/e2e/test_split.py",
    "tests/e2e/scenarios",
    BROWSER,
    "tests/e2e/test_analytics_queries.py",
    "tests/integration/streaming/test_table.py",
    "tests/e2e/test_movies.py",
    "tests/e2e",
    "tests/integration",
)


class SharingOut(LoadScopeScheduling):
    """Hands out a file's tests together, as `--dist loadfile` does, with the exceptions above."""

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=turn), last=False)
        super()._assign_work_unit(node)


def together(nodeid: str) -> str:
    """Name what runs in one process with this test, one after another."""
    if scenario := SCENARIO.match(nodeid):
        return " ".join(scenario.groups())
    path = nodeid.partition("::")[0]
    if path.startswith(BROWSER):
        return BROWSER
    return nodeid if path in ALONE else path


def turn(unit: str) -> int:
    """Say when a unit is handed out: the lower, the earlier."""
    return next((n for n, path in enumerate(LONGEST) if unit.startswith(path)), len(LONGEST))
