"""`faust -A app doctor`: is everything as it should be, and if not, what to do about it.

| module         | looks at |
| servers.py     | Kafka, MongoDB, Redis; and their clocks |
| topics.py      | the topics that must exist |
| groups.py      | the consumer groups |
| configured.py  | the settings among each other |
| machine.py     | Python, packages, disk |
| processes.py   | workers and gateways |

All checks run at once, each within its time limit, so the answer comes soon even if nothing does.
"""

from app.cli.doctor.finding import AREAS
from app.cli.doctor.running import DEFAULT_SECONDS, Visit, doctor

__all__ = ["AREAS", "DEFAULT_SECONDS", "Visit", "doctor"]
