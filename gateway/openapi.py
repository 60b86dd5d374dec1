"""The OpenAPI document of the gateway: what workers answer, under `/api`, and its own endpoints.

Only `python -m infra.reference` imports this: a gateway hands out the file that it makes, and needs
none of the workers' stack.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, RootModel

from app.identity.policy import Who
from app.identity.policy import who_may as workers_who_may
from app.web import requests
from app.web.openapi.document import document
from app.web.openapi.health import HEALTH, TEXT, UNCHANGED
from app.web.openapi.operation import Answer, Operation, Operations, Parameter, ok, problems
from app.web.openapi.shared import IDEMPOTENCY_KEY, LIMITS, OF_A_BODY, PREFER
from app.web.openapi.worker import (
    DESCRIPTION,
    TAGS,
    VERSION,
    WORKER,
)
from app.web.schemas import analytics, directory, orders
from app.web.schemas.values import AnswerModel
from gateway import auth, caching, counting, dashboard, lessons, paying, tokens
from gateway.proxy import PREFIX

REFERENCE: Operations = {route: one for route, one in HEALTH.items() if one.tag == "reference"}
# On whom it is: what asks no worker can't meet these.
OF_WORKERS = problems(502, 503, 504)
OF_ALL = problems(429)
OWN_TAGS = {
    "edge": "The gateway's own.",
    "lessons": "What a single event loop, several instances and waiting cost, to try out.",
}


class Live(AnswerModel):
    """The gateway answers."""

    live: Literal[True]


class LiveWorkers(AnswerModel):
    """How many workers the gateway can send requests to."""

    live: Annotated[int, Field(ge=0)]
    total: Annotated[int, Field(ge=0)]


class GatewayReady(AnswerModel):
    """Whether the gateway can do its work."""

    ready: bool
    workers: LiveWorkers


class CircuitBreaker(AnswerModel):
    """How a worker's circuit breaker stands, in the gateway that answers."""

    target: str
    state: Literal["closed", "half-open", "open"]
    failures: Annotated[int, Field(ge=0, description="In a row.")]
    opened_at: str | None
    retry_at: str | None
    live: bool
    outstanding: Annotated[int, Field(ge=0, description="Requests that it has not answered yet.")]


class Breakers(AnswerModel):
    """The breakers of all workers."""

    breakers: list[CircuitBreaker]


class Dashboard(AnswerModel):
    """Users, orders and analytics, as the workers have them; a part that is missing is null."""

    users: list[directory.User] | None
    orders: list[orders.Order] | None
    analytics: analytics.Summary | None
    partial: bool
    missing: list[dashboard.MissingPart]


class PayForOrder(requests.RequestModel):
    """The body of `POST /pay` for an order that was placed."""

    order_id: str = Field(min_length=1)


class Pay(RootModel[requests.PlaceOrder | PayForOrder]):
    """The body of `POST /pay`: an order to place, or the id of one that was placed."""


MILLISECONDS = Parameter.query(
    "ms",
    Annotated[
        int,
        Field(
            ge=1,
            le=lessons.PAUSE_MOST_MILLISECONDS,
            json_schema_extra={"default": lessons.PAUSE_MILLISECONDS},
        ),
    ],
    "How long, in milliseconds.",
    20,
    empty=False,
)
FRESH = ("Cache-Control",)
OWN: Operations = {
    ("GET", "/livez"): Operation("live", "health", "Whether the gateway answers", ok(Live)),
    ("GET", "/readyz"): Operation(
        "ready",
        "health",
        "Whether the gateway can do its work",
        {
            200: Answer("It can.", GatewayReady),
            503: Answer("There is no worker, or it is to stop.", GatewayReady),
        },
    ),
    ("GET", "/metrics"): Operation(
        "metrics", "health", "Metrics for Prometheus", ok(TEXT, content_type="text/plain")
    ),
    **REFERENCE,
    ("GET", "/breakers"): Operation(
        "listBreakers", "edge", "How each worker's circuit breaker stands", ok(Breakers), OF_ALL
    ),
    ("GET", "/dashboard"): Operation(
        "getDashboard",
        "edge",
        "Users, orders and analytics in one answer",
        ok(Dashboard, headers=FRESH),
        {**OF_ALL, **problems(400, of_503="No part can be had now.")},
        description="They are asked for side by side, each with a time limit of its own; "
        "`partial` where one is missing.",
    ),
    ("POST", "/pay"): Operation(
        "pay",
        "lessons",
        "Place an order and wait until it is paid",
        {
            200: Answer("It is confirmed.", paying.PayAnswer, headers=("Location",)),
            202: Answer(
                "It is accepted, and not decided yet.", paying.PayAnswer, headers=("Location",)
            ),
        },
        {
            **OF_ALL,
            **OF_WORKERS,
            **problems(
                *OF_A_BODY,
                402,
                of_404="There is no such order.",
                of_409="The order was cancelled, so that nothing is paid; or a post with this "
                "`Idempotency-Key` is under way.",
            ),
        },
        (IDEMPOTENCY_KEY, PREFER),
        body=Pay,
        example={
            "userId": "alice",
            "items": [{"productId": "85123A", "quantity": 1, "price": 2.55}],
        },
        description="As a synchronous service would: it costs a connection for as long as the "
        "saga takes. `Prefer: respond-async` does not wait.",
    ),
    ("GET", "/secure"): Operation(
        "trySecure",
        "edge",
        "Who asks",
        ok(auth.SecureAnswer),
        OF_ALL,
        description="Needs a token whatever `AUTH` says; in development `demo-token` is one.",
    ),
    ("POST", "/token"): Operation(
        "getToken",
        "edge",
        "A token, in development",
        ok(tokens.TokenAnswer, headers=FRESH),
        {
            **OF_ALL,
            **problems(400, 408, 413, 422, of_404="This gateway gives out none."),
        },
        body=tokens.TokenRequest,
        example={"userId": "alice", "role": "customer"},
    ),
    ("GET", "/limited"): Operation(
        "tryLimit",
        "lessons",
        "May be asked 5 times in 10 s",
        ok(counting.Allowed, headers=FRESH),
        {**OF_ALL, **problems(503)},
    ),
    ("GET", "/count"): Operation(
        "count",
        "lessons",
        "How often this was asked for",
        ok(counting.Count, headers=FRESH),
        {**OF_ALL, **problems(of_503="The shared counter is away.")},
        (
            Parameter.query(
                counting.LOCAL,
                Annotated[str, Field()],
                "`1`: by this gateway alone; else by all of them together.",
                "1",
            ),
        ),
    ),
    ("GET", "/blocking"): Operation(
        "tryBlocking",
        "lessons",
        "Sleeps in the event loop: nobody else is served",
        ok(lessons.PauseLesson),
        {**OF_ALL, **problems(422, of_503="It was just blocked, and serves the others first.")},
        (MILLISECONDS,),
    ),
    ("GET", "/non-blocking"): Operation(
        "tryNonBlocking",
        "lessons",
        "Sleeps beside the event loop: all others are served",
        ok(lessons.PauseLesson),
        {**OF_ALL, **problems(422)},
        (MILLISECONDS,),
    ),
    ("GET", "/cpu-bound"): Operation(
        "tryCpuBound",
        "lessons",
        "Counts primes in another process",
        ok(lessons.WorkLesson),
        {**OF_ALL, **problems(422, of_503="There is as much to do as it takes.")},
        (
            Parameter.query(
                "n",
                Annotated[
                    int,
                    Field(
                        ge=1,
                        le=lessons.PRIMES_BELOW_MOST,
                        json_schema_extra={"default": lessons.PRIMES_BELOW},
                    ),
                ],
                "Primes below it are counted.",
                1000,
                empty=False,
            ),
        ),
    ),
}


def passed_on(path: str, operation: Operation) -> Operation:
    """A worker's operation as the gateway has it."""
    answers = {
        status: _limited(replace(answer, headers=(*answer.headers, "X-Worker-Id")))
        for status, answer in operation.answers.items()
    }
    parameters = operation.parameters
    if PREFIX + path in caching.RULES:
        kept = ("ETag", "Age", "Cache-Control", "X-Cache")
        answers[200] = replace(
            answers[200], headers=tuple(dict.fromkeys((*answers[200].headers, *kept)))
        )
        answers[304] = Answer("It is the one that the client has.", headers=kept)
        parameters = (*parameters, UNCHANGED)
    said = {**OF_ALL, **OF_WORKERS, **operation.problems}
    return replace(operation, answers=answers, problems=said, parameters=parameters)


def _own(operation: Operation) -> Operation:
    if 429 not in operation.problems:
        return operation
    answers = {status: _limited(answer) for status, answer in operation.answers.items()}
    return replace(operation, answers=answers)


def _limited(answer: Answer) -> Answer:
    return replace(answer, headers=(*answer.headers, *LIMITS))


def who_may(method: str, path: str) -> Who | None:
    """Whom a path under `/api` is for."""
    if PREFIX + path == auth.SECURE:
        return Who.USERS  # whatever AUTH says
    if (method, path) in OWN:
        return auth.OWN.get(PREFIX + path, Who.USERS)
    return workers_who_may(method, path)


def gateway_document() -> dict[str, Any]:
    """The document of the gateway."""
    operations = {
        route: passed_on(route[1], operation)
        for route, operation in WORKER.items()
        if route not in OWN and not operation.internal
    } | {route: _own(operation) for route, operation in OWN.items()}
    return document(
        operations,
        title="Orderflow",
        description=DESCRIPTION,
        version=VERSION,
        tags={**TAGS, **OWN_TAGS},
        always={},
        server=PREFIX,
        who_may=who_may,
    )
