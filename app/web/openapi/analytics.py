"""What the routes of the analytics take and answer."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.web.analytics import orders, parts, views
from app.web.analytics.asking import CELLS_DEFAULT, KEY_CHARACTERS
from app.web.analytics.queries import CELLS_MOST
from app.web.openapi.operation import Operation, Operations, Parameter, ok, problems
from app.web.openapi.shared import ALLOW, limit
from app.web.schemas import analytics as answers

FRESH = ("Cache-Control",)
INSTANT: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "date"},
        # Not a number, since none may be written as 1e-3.
        {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?$"},
    ],
}
EVENT: dict[str, Any] = {
    "type": "object",
    "description": "An event of the stream; `data` is JSON.",
    "required": ["data"],
    "properties": {
        "event": {"enum": ["summary", "unavailable"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "retry": {"type": "integer"},
    },
}
MISSING = "Partitions can't be read now; take what there is with `allow=partial`, or try again."
SIZE = Parameter.query("size", Literal[60, 3600, 86400], "Of a window, in seconds.", 3600)
TOP = (
    SIZE,
    Parameter.query(
        "at",
        INSTANT,
        "A time within the window, ISO 8601 or seconds since 1970; without it the newest window "
        "that has begun.",
        "2026-01-31T12:00:00Z",
    ),
    Parameter.query(
        "n",
        Annotated[int, Field(ge=1, le=views.TOP_MOST, json_schema_extra={"default": 10})],
        "How many at most.",
        empty=False,
    ),
    ALLOW,
)


def windows(by: Any, *, sizes: Parameter = SIZE, more: tuple[Parameter, ...] = ()) -> Any:
    """The parameters of windows that are kept by these dimensions."""
    return (
        sizes,
        *more,
        Parameter.query("from", INSTANT, "Those that start then or later; else the newest."),
        Parameter.query("to", INSTANT, "Those that start before then."),
        Parameter.query("by", by, "What they are split by."),
        limit(CELLS_DEFAULT, CELLS_MOST),
        Parameter.query(
            "fromKey",
            Annotated[str, Field(max_length=KEY_CHARACTERS)],
            "The `nextKey` of the page before, where it had one; `from` is its `next` then.",
        ),
        ALLOW,
    )


ANALYTICS: Operations = {
    ("GET", "/analytics"): Operation(
        "summarize",
        "analytics",
        "Everything that was counted, exactly",
        ok(answers.Summary, headers=FRESH),
        problems(422, of_503=MISSING),
        (ALLOW,),
    ),
    ("GET", "/analytics/windows"): Operation(
        "listOrderWindows",
        "analytics",
        "Orders by the time they were placed",
        ok(answers.OrderWindows, headers=FRESH),
        problems(422, of_503=MISSING),
        windows(
            Literal["none", "country", "product"],
            more=(
                Parameter.query(
                    "hop",
                    Literal[60],
                    "Hopping windows, one beginning each minute; `size` is a multiple of 60 up to "
                    "900 then, 300 by default, and `by` is `none`.",
                ),
            ),
            sizes=Parameter.query(
                "size",
                {
                    "anyOf": [
                        {"enum": [60, 3600, 86400]},
                        {"type": "integer", "multipleOf": 60, "minimum": 60, "maximum": 900},
                    ]
                },
                "Of a window, in seconds: one of 60, 3600, 86400; of hopping ones as said there.",
                3600,
            ),
        ),
        description="Windows are aligned to the epoch. Revenue counts confirmed orders.",
    ),
    ("GET", "/analytics/top"): Operation(
        "listTopProducts",
        "analytics",
        "The top products of a window",
        ok(answers.TopProducts, headers=FRESH),
        problems(422, of_503=MISSING),
        (Parameter.query("metric", orders.Metric, "What they are ranked by."), *TOP),
    ),
    ("GET", "/analytics/stream"): Operation(
        "followSummary",
        "analytics",
        "The live summary, every second",
        ok(
            EVENT,
            "Server-sent events: `summary` with what `/analytics` answers, or `unavailable`.",
            content_type="text/event-stream",
            headers=FRESH,
        ),
        problems(of_503="Too many follow the stream here."),
    ),
    ("GET", "/movies/top"): Operation(
        "listTopMovies",
        "movies",
        "The top movies of a window",
        ok(answers.TopMovies, headers=FRESH),
        problems(422, of_503=MISSING),
        TOP,
    ),
    ("GET", "/movies/windows"): Operation(
        "listViewWindows",
        "movies",
        "Views by the time they happened",
        ok(answers.ViewWindows, headers=FRESH),
        problems(422, of_503=MISSING),
        windows(Literal["none", "movie"]),
    ),
    ("GET", "/actions/top"): Operation(
        "listTopUsers",
        "movies",
        "The most active users of a window",
        ok(answers.TopUsers, headers=FRESH),
        problems(422, of_503=MISSING),
        TOP,
    ),
    ("GET", "/actions/windows"): Operation(
        "listActionWindows",
        "movies",
        "Actions by the time they happened",
        ok(answers.ActionWindows, headers=FRESH),
        problems(422, of_503=MISSING),
        windows(Literal["none", "user", "action"]),
    ),
    ("GET", parts.PATH + "/{table}"): Operation(
        "askParts",
        "cluster",
        "What this worker holds of a table, for other workers",
        ok({"type": "string", "format": "binary"}, content_type=parts.CONTENT_TYPE),
        problems(
            of_400="Not as workers ask.",
            of_401=f"`{parts.TOKEN_HEADER}` is missing.",
            of_403=f"`{parts.TOKEN_HEADER}` is not this cluster's.",
            of_404="It came through a gateway.",
            of_409="None of these partitions is held here.",
        ),
        (
            Parameter.path("table", Annotated[str, Field(min_length=1)], "The table."),
            Parameter.query(
                "partitions",
                Annotated[str, Field(pattern=r"^[0-9]{1,6}(,[0-9]{1,6}){0,20}$")],
                "Which partitions, by number.",
                "0,1",
                empty=False,
                required=True,
            ),
        ),
        internal=True,
    ),
}
