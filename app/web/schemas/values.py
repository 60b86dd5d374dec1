"""The values that answers are made of, and the base of their models."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class AnswerModel(BaseModel):
    """Base of answers: camelCase. Clients ignore what they don't know, so more may come."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


def absent(**more: Any) -> Any:
    """A member that is left out where there is nothing to say; it is never null."""
    return Field(default=None, **more)


Amount = Annotated[float, Field(description="An amount of money, with two decimals.")]
Count = Annotated[int, Field(ge=0)]
Time = Annotated[
    str,
    Field(
        description="ISO 8601, in UTC.",
        json_schema_extra={"format": "date-time"},
        examples=["2026-01-31T12:00:00.000Z"],
    ),
]
OrderId = Annotated[
    str,
    Field(json_schema_extra={"format": "uuid"}, examples=["0b0d6c1e-5d2c-4f0e-9a50-7a1f5a3e9f10"]),
]
Cursor = Annotated[
    str | None,
    Field(description="The `cursor` of the next page; null on the last."),
]
Share = Annotated[float, Field(ge=0, le=1)]
