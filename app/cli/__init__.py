"""The commands of `faust -A app ...`, besides Faust's own.

| module        | commands |
| filling.py    | stock, replay: put something in |
| looking.py    | doctor, watch, verify, analytics: change nothing |
| operating.py  | topics, groups, dlq: what an operator asks, makes and mends |

These say what each takes; what it does is a plain function in the module of its name. `watch` and
`analytics` ask a running worker, the others need none. Exit status: 0 done, 1 not so, 2 a server or
a file is not to be had, or an option is wrong.
"""

import faust

from app.cli import filling, help, looking, operating  # noqa: A004 (that is what it holds)
from app.settings import Settings


def register(app: faust.App, settings: Settings) -> None:
    """Add the commands to the app, and make its help say so."""
    filling.register(app, settings)
    looking.register(app, settings)
    operating.register(app, settings)
    help.arrange()
