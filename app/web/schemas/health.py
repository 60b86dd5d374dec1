"""Answers to those who look after the processes; and the one form of all errors."""

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.web.schemas.values import AnswerModel, absent


class Alive(AnswerModel):
    """The process answers."""

    status: Literal["ok", "stopping"]


class Checks(AnswerModel):
    """What a worker needs, and whether it has it."""

    mongodb: bool
    redis: bool
    kafka: bool
    services: dict[str, bool] = Field(
        description="For each service of the process, whether it takes part in its consumer group "
        "and has its tables."
    )


class Ready(AnswerModel):
    """Whether the worker can do its work."""

    status: Literal["ok", "stopping", "unavailable"]
    checks: Checks


class FieldError(AnswerModel):
    """What is wrong with which field."""

    field: str
    detail: str


class Problem(AnswerModel):
    """An error (RFC 9457). Some kinds have members of their own."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="allow")

    type: str = Field(
        json_schema_extra={"format": "uri-reference"},
        examples=["urn:orderflow:problem:invalid-fields"],
        description="Its kind; `about:blank` where the status says it all.",
    )
    title: str
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="What is wrong with this request.")
    instance: str = Field(description="The path that was asked for.")
    trace_id: str = Field(description="Names the request in every log.")
    errors: list[FieldError] = absent(description="Each field that is wrong, with 422.")
