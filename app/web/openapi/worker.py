"""What each route of a worker takes and answers; the routes themselves are beside their views."""

from typing import Annotated, Any

from pydantic import Field

from app.domain.order import OrderStatus
from app.identity.policy import who_may
from app.saga import SagaState
from app.web import orders, participants, requests, sagas, users
from app.web.openapi import analytics
from app.web.openapi.document import document
from app.web.openapi.health import HEALTH
from app.web.openapi.operating import OPERATING
from app.web.openapi.operation import Answer, Operation, Operations, Parameter, ok, problems
from app.web.openapi.shared import IDEMPOTENCY_KEY, OF_A_BODY, PREFER, cursor, limit
from app.web.schemas import directory
from app.web.schemas import orders as answers

UUID_TEXT = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
ORDER_ID = Parameter.path(
    "orderId",
    UUID_TEXT,
    "The order.",
    "0b0d6c1e-5d2c-4f0e-9a50-7a1f5a3e9f10",
)
PRODUCT_ID = Parameter.path("productId", requests.ProductId, "The product.", "85123A")
USER_ID = Parameter.path("userId", requests.UserId, "The user.", "alice")
MOVIE_ID = Parameter.path("movieId", requests.MovieId, "The movie.", "the-general")
ACCEPTED = ("Location", "Idempotency-Replayed", "Preference-Applied")
ORDERS: Operations = {
    ("POST", "/orders"): Operation(
        "placeOrder",
        "orders",
        "Place an order",
        {
            202: Answer(
                "The order is in the log, and on its way.", answers.AcceptedOrder, headers=ACCEPTED
            ),
            200: Answer(
                "`Prefer: wait`: the order has ended in time.", answers.Order, headers=ACCEPTED
            ),
        },
        problems(
            *OF_A_BODY,
            503,
            of_409="A post with this `Idempotency-Key` is under way.",
            of_422="A field is not valid (`errors` names each), `total` is not the sum of the "
            "items, or the `Idempotency-Key` was used with another body.",
        ),
        (IDEMPOTENCY_KEY, PREFER),
        body=requests.PlaceOrder,
        example={
            "userId": "alice",
            "items": [{"productId": "85123A", "quantity": 6, "price": 2.55}],
        },
        description="Items that name a product twice add up. An order has 2000 items at most, "
        "unless the worker is set up otherwise.",
    ),
    ("GET", "/orders"): Operation(
        "listOrders",
        "orders",
        "Orders, newest first",
        ok(answers.OrderPage),
        problems(503, of_400="The cursor is not one that this list gave.", of_422=""),
        (
            Parameter.query("userId", requests.UserId, "Only those of this user.", "alice"),
            Parameter.query("status", OrderStatus, "Only those that stand so."),
            limit(orders.PAGE_DEFAULT, orders.PAGE_MOST),
            cursor(),
        ),
    ),
    ("GET", "/orders/{orderId}"): Operation(
        "getOrder",
        "orders",
        "An order, and what came of it",
        ok(answers.Order, headers=("Preference-Applied",)),
        problems(503, of_404="There is no such order."),
        (ORDER_ID, PREFER),
    ),
    ("POST", "/orders/{orderId}/cancel"): Operation(
        "cancelOrder",
        "orders",
        "Ask for an order to be cancelled",
        {
            202: Answer(
                "It is asked for. Where all its steps are done first, the order is confirmed.",
                answers.CancellingOrder,
                headers=("Location", "Preference-Applied"),
            ),
            200: Answer(
                "`Prefer: wait`: it was cancelled in time.",
                answers.Order,
                headers=("Location", "Preference-Applied"),
            ),
        },
        problems(503, of_404="There is no such order.", of_409="The order has ended."),
        (ORDER_ID, PREFER),
    ),
    ("GET", "/payments/{orderId}"): Operation(
        "getPayment",
        "orders",
        "What was charged for an order, or refused",
        ok(answers.Payment),
        problems(503, of_404="Nothing was charged or refused for such an order."),
        (ORDER_ID,),
    ),
    ("GET", "/sagas"): Operation(
        "listSagas",
        "sagas",
        "Sagas, newest first",
        ok(answers.SagaPage),
        problems(503, of_400="The cursor is not one that this list gave.", of_422=""),
        (
            Parameter.query("state", SagaState, "Only those that stand so."),
            Parameter.query(
                "olderThan",
                # Not a number, since none may be written as 1e-3.
                Annotated[str, Field(pattern=r"^[0-9]{1,8}(\.[0-9]{1,9})?$")],
                "Only those that began so many seconds ago or earlier.",
                "60",
            ),
            limit(sagas.PAGE_DEFAULT, sagas.PAGE_MOST),
            cursor(),
        ),
    ),
    ("GET", "/sagas/flow"): Operation(
        "getSagaFlow",
        "sagas",
        "How many orders wait at each step now",
        ok(answers.SagaFlow, headers=("Cache-Control",)),
        problems(503),
        description="Up to a second old.",
    ),
    ("GET", "/sagas/{orderId}"): Operation(
        "getSaga",
        "sagas",
        "The course of an order's saga",
        ok(answers.SagaCourse),
        problems(503, of_404="There is no such order."),
        (ORDER_ID,),
    ),
}
STOCK: Operations = {
    ("GET", "/inventory"): Operation(
        "listStock",
        "inventory",
        "Stock of all products, by id",
        ok(answers.StockPage),
        problems(422, 503),
        (
            Parameter.query("after", Annotated[str, Field()], "The `next` of the page before."),
            limit(participants.PAGE_DEFAULT, participants.PAGE_MOST),
        ),
    ),
    ("GET", "/inventory/{productId}"): Operation(
        "getStock",
        "inventory",
        "A product's stock",
        ok(answers.Stock),
        problems(404, 503),
        (PRODUCT_ID,),
    ),
    ("PUT", "/inventory/{productId}"): Operation(
        "setStock",
        "inventory",
        "Set what is available of a product",
        {
            200: Answer("It is set.", answers.Stock),
            201: Answer("That made the product.", answers.Stock, headers=("Location",)),
        },
        problems(*OF_A_BODY, 503),
        (PRODUCT_ID,),
        body=requests.StockLevel,
        example={"available": 100},
        description="Under the product's lock, as all that changes its stock.",
    ),
    ("GET", "/inventory/{productId}/history"): Operation(
        "listStockChanges",
        "inventory",
        "What was set of a product by hand, newest first",
        ok(answers.StockHistory),
        problems(404, 422, 503),
        (PRODUCT_ID, limit(participants.HISTORY_DEFAULT, participants.PAGE_MOST)),
    ),
}
DIRECTORY: Operations = {
    ("GET", "/users"): Operation(
        "listUsers",
        "users",
        "Users, by id",
        ok(directory.UserPage),
        problems(503, of_400="The cursor is not one that this list gave.", of_422=""),
        (limit(users.PAGE_DEFAULT, users.PAGE_MOST), cursor()),
    ),
    ("POST", "/users"): Operation(
        "addUser",
        "users",
        "Add a user",
        {201: Answer("The user is added.", directory.User, headers=("Location",))},
        problems(*OF_A_BODY, 503, of_409="There is a user of this id already."),
        body=requests.NewUser,
        example={"userId": "alice", "name": "Alice", "email": "alice@example.com"},
        description="Without an id, one is made up.",
    ),
    ("GET", "/users/{userId}"): Operation(
        "getUser",
        "users",
        "A user",
        ok(directory.User),
        problems(404, 503),
        (USER_ID,),
    ),
    ("GET", "/movies"): Operation(
        "listMovies",
        "movies",
        "Movies, by id",
        ok(directory.MoviePage),
        problems(503, of_400="The cursor is not one that this list gave.", of_422=""),
        (limit(users.PAGE_DEFAULT, users.PAGE_MOST), cursor()),
    ),
    ("GET", "/movies/{movieId}"): Operation(
        "getMovie",
        "movies",
        "A movie, as far as its views are counted",
        ok(directory.Movie),
        problems(503, of_404="No view of such a movie was counted."),
        (MOVIE_ID,),
    ),
    ("POST", "/movies/{movieId}/views"): Operation(
        "viewMovie",
        "movies",
        "Say that a user viewed a movie",
        {
            202: Answer(
                "The view is in the log.",
                directory.AcceptedView,
                headers=("Location", "Idempotency-Replayed"),
            )
        },
        problems(*OF_A_BODY, 503, of_409="A post with this `Idempotency-Key` is under way."),
        (MOVIE_ID, IDEMPOTENCY_KEY),
        body=requests.ViewMovie,
        example={"userId": "alice"},
    ),
}
WORKER: Operations = {
    **ORDERS,
    **STOCK,
    **DIRECTORY,
    **analytics.ANALYTICS,
    **OPERATING,
    **HEALTH,
}
TAGS = {
    "orders": "Placing orders, and what comes of them.",
    "sagas": "How far each order's saga has come, for those who look after the system.",
    "inventory": "What is on the shelf.",
    "users": "A simple directory.",
    "movies": "Views of movies, and what users do.",
    "analytics": "Counts over all orders, exact.",
    "kafka": "Topics, consumer groups and dead letters, for those who look after the system.",
    "health": "For supervisors, balancers and Prometheus.",
    "reference": "What this API and its events are.",
    "cluster": "Between workers.",
}
VERSION = "1.0.0"
DESCRIPTION = (
    "Amounts are numbers with two decimals, times are ISO 8601 in UTC. Errors are problem details "
    "(RFC 9457). A request's `X-Trace-Id` or `traceparent` names it in every log; each answer says "
    "in `X-Trace-Id` which it was, and in `X-Instance-Id` which process has answered. Every GET "
    "answers HEAD too."
)


def worker_document() -> dict[str, Any]:
    """The document of a worker."""
    return document(
        WORKER,
        title="Orderflow worker",
        description=DESCRIPTION,
        version=VERSION,
        tags=TAGS,
        always={504: "The time that the request set (`X-Request-Timeout`) was up."},
        server="/",
        who_may=who_may,
    )
