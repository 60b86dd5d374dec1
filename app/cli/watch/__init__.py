"""`faust -A app watch`: what flows, on one screen, as long as one looks.

| module       | holds |
| asked.py     | what is asked of a worker or the API, and how often |
| view.py      | what is known: the newest answers, and rates from the ones before |
| screen.py    | the view as panels on 80 by 24 characters or more, and as one line |
| running.py   | asking and showing, each in its own time |
"""

from app.cli.watch.running import Watch, watch

__all__ = ["Watch", "watch"]
