"""Answers of the analytics."""

from typing import Annotated, Literal

from pydantic import Field

from app.web.analytics.orders import Metric
from app.web.schemas.values import Amount, AnswerModel, Count, Share, Time, absent

Final = Annotated[
    bool,
    Field(
        description="Whether all partitions have passed the window's end and the grace, but for "
        "those that are silent. What may still come is the end of an order that it counts already, "
        "and what a silent partition hears after all."
    ),
]
SuccessRate = Annotated[
    Share | None,
    Field(description="Confirmed of all that have ended; null where none has."),
]
Users = Annotated[int, Field(ge=0, description="Estimated.")]


class Partitions(AnswerModel):
    """How many of the partitions are in an answer."""

    covered: Count
    total: Annotated[int, Field(ge=1)]


class Covered(AnswerModel):
    """An answer over the partitions."""

    partitions: Partitions
    partial: Literal[True] = absent(description="Partitions are missing (`allow=partial`).")


class Sums(AnswerModel):
    """Counts of orders. Revenue counts confirmed ones."""

    revenue: Amount
    orders: Count
    confirmed: Count
    cancelled: Count
    success_rate: SuccessRate
    units: Count


class SagaSeconds(AnswerModel):
    """How long sagas took, in seconds; null where none has ended."""

    p50: float | None
    p99: float | None


class Details(Sums):
    """What is only kept of all orders together."""

    cancelled_by: dict[str, int] = Field(description="How many, by reason.")
    saga_seconds: SagaSeconds
    customers: Count = Field(description="Estimated.")
    customers_error: float = Field(
        ge=0, description="The estimate's relative error, one standard deviation."
    )


class Summary(Details, Covered):
    """Everything that was counted, and how many orders a minute there are now."""

    orders_per_minute: float = Field(ge=0)
    late_events: dict[str, int] = Field(
        description="Events that came too late for a window, by its size: their own partition had "
        "passed its end and the grace, whatever the others had."
    )
    at: Time | None = Field(description="The time of the newest event; null where there is none.")


class Bounds(AnswerModel):
    """Where a window lies."""

    start: Time
    end: Time


class OrderWindow(Bounds, Sums):
    """The orders placed within a window; the details where it is of all orders."""

    key: str = absent(description="Of which country or product, where asked by one.")
    cancelled_by: dict[str, int] = absent()
    saga_seconds: SagaSeconds = absent()
    customers: Count = absent()
    customers_error: Annotated[float, Field(ge=0)] = absent()
    orders_per_minute: Annotated[float, Field(ge=0)] = absent(description="Of hopping windows.")
    final: Final


class Page(Covered):
    """Windows in ascending order, and where they go on."""

    size: Annotated[int, Field(ge=1, description="Of a window, in seconds.")]
    next: Time = absent(description="The `from` of the next page.")
    next_key: str = absent(description="The `fromKey` of the next page.")
    previous: Time = absent(description="The `to` of the page before.")


class OrderWindows(Page):
    """Windows of orders."""

    hop: int = absent(description="Seconds from one hopping window to the next.")
    by: Literal["none", "country", "product"]
    windows: list[OrderWindow]


class RankedWindow(Bounds):
    """The window of a ranking."""

    final: Final


class Ranking(Covered):
    """A ranking within one window; null where there is none."""

    size: Annotated[int, Field(ge=1, description="Of the window, in seconds.")]
    window: RankedWindow | None


class RankedProduct(AnswerModel):
    """A product of a ranking."""

    product_id: str
    revenue: Amount
    quantity: Count
    orders: Count
    confirmed: Count


class TopProducts(Ranking):
    """The top products of a window."""

    metric: Metric
    products: list[RankedProduct]


class ViewWindow(Bounds):
    """The views within a window."""

    movie_id: str = absent()
    views: Count
    users: Users
    final: Final


class ViewWindows(Page):
    """Windows of views."""

    by: Literal["none", "movie"]
    windows: list[ViewWindow]


class RankedMovie(AnswerModel):
    """A movie of a ranking."""

    movie_id: str
    views: Count
    users: Users


class TopMovies(Ranking):
    """The top movies of a window."""

    movies: list[RankedMovie]


class ActionWindow(Bounds):
    """The actions within a window."""

    user_id: str = absent()
    action: str = absent()
    actions: Count
    users: Users
    final: Final


class ActionWindows(Page):
    """Windows of actions."""

    by: Literal["none", "user", "action"]
    windows: list[ActionWindow]


class RankedUser(AnswerModel):
    """A user of a ranking."""

    user_id: str
    actions: Count
    users: Users


class TopUsers(Ranking):
    """The most active users of a window."""

    users: list[RankedUser]
