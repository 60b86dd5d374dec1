"""What is asked of a worker or the API, and how often."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from app.cli.asking import AnswerError, Api
from app.cli.console import CommandError
from app.cli.watch.view import View

# Who is asked may not have it: a worker has no breakers. It is asked again, should it change.
ABSENT_SECONDS = 30.0
# Without these there is nothing to show to whoever asks.
REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True, slots=True)
class Question:
    """One of them.

    Attributes:
        seconds: how often; what costs Kafka something, less often.
        any_status: whether an answer is one whatever its status.
    """

    name: str
    path: str
    seconds: float = 1.0
    query: Mapping[str, str] = field(default_factory=dict)
    any_status: bool = False


QUESTIONS = (
    Question("analytics", "/analytics"),
    Question("flow", "/sagas/flow"),
    Question("orders", "/orders", query={"limit": "50"}),
    Question("ready", "/readyz", any_status=True),
    Question("breakers", "/breakers"),
    Question("groups", "/groups", 3.0),
    Question("letters", "/dlq", 5.0, query={"state": "open", "limit": "1"}),
)


class Asker:
    """Asks each question when it is due, and keeps the view up to date."""

    def __init__(self, api: Api, view: View) -> None:
        self._api = api
        self._view = view
        self._due = {question.name: 0.0 for question in QUESTIONS}

    async def once(self) -> None:
        """Ask what is due, side by side.

        Raises:
            CommandError: the caller may not ask.
        """
        now = time.monotonic()
        due = [question for question in QUESTIONS if self._due[question.name] <= now]
        await asyncio.gather(*(self._ask(question) for question in due))

    async def _ask(self, question: Question) -> None:
        name = question.name
        self._due[name] = time.monotonic() + question.seconds
        try:
            document = await self._answer(question)
        except AnswerError as error:
            if error.http_status in REFUSED:
                raise
            self._view.fault(name, str(error), answered=True)
            if error.http_status == HTTPStatus.NOT_FOUND:
                self._due[name] = time.monotonic() + ABSENT_SECONDS
        except CommandError as error:
            self._view.fault(name, str(error), answered=False)
        else:
            self._view.answer(name, document)

    async def _answer(self, question: Question) -> Mapping[str, Any]:
        if question.any_status:
            return (await self._api.look(question.path, question.query))[1]
        return await self._api.get(question.path, question.query)
