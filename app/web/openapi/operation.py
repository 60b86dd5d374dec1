"""What a description of an operation is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of the path or the query, or a header.

    Attributes:
        type: as pydantic knows types; or a schema.
        empty: whether it may be given without a value, and then says nothing.
    """

    name: str
    location: Literal["path", "query", "header"]
    type: Any
    description: str
    example: Any = None
    empty: bool = False
    required: bool = False

    @classmethod
    def query(
        cls,
        name: str,
        type_: Any,
        description: str,
        example: Any = None,
        *,
        empty: bool = True,
        required: bool = False,
    ) -> "Parameter":
        """A part of the query."""
        return cls(name, "query", type_, description, example, empty, required)

    @classmethod
    def path(cls, name: str, type_: Any, description: str, example: Any = None) -> "Parameter":
        """A part of the path."""
        return cls(name, "path", type_, description, example, required=True)

    @classmethod
    def header(cls, name: str, type_: Any, description: str, example: Any = None) -> "Parameter":
        """A header that may be left out."""
        return cls(name, "header", type_, description, example)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no problem.

    Attributes:
        content: its model, or the schema of what is not JSON; None where it has no body.
        headers: those that it has beside those of every answer, by name (`shared.HEADERS`).
    """

    description: str
    content: type[BaseModel] | Mapping[str, Any] | None = None
    content_type: str = JSON
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """What a route takes and answers.

    Attributes:
        problems: the statuses of its problems, each with what it means here; empty where what is
            said of the status everywhere will do.
        body: the model of the request's body.
        internal: for workers among each other, not for clients.
    """

    name: str
    tag: str
    summary: str
    answers: Mapping[int, Answer]
    problems: Mapping[int, str] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    body: type[BaseModel] | None = None
    example: Mapping[str, Any] | None = None
    description: str = ""
    internal: bool = False


Operations = Mapping[tuple[str, str], Operation]
"""Operations by method and path."""


def ok(content: Any, description: str = "As asked.", **more: Any) -> Mapping[int, Answer]:
    """The answers of an operation that has only one."""
    return {HTTPStatus.OK.value: Answer(description, content, **more)}


def problems(*statuses: int, **said: str) -> Mapping[int, str]:
    """Problems that mean what they mean everywhere; and `of_404="..."`, those that don't."""
    own = {int(name.removeprefix("of_")): text for name, text in said.items()}
    return {**dict.fromkeys(statuses, ""), **own}
