"""`/users`: a simple directory."""

from dataclasses import dataclass
from http import HTTPStatus
from uuid import uuid4

from aiohttp import web
from pydantic import TypeAdapter

from app.resources import Clock
from app.stores.users import User, UserStore
from app.web import cursors
from app.web.access import caller_of
from app.web.answers import json_response
from app.web.links import link
from app.web.parameters import valid_or_none, whole_number
from app.web.problems import ProblemError
from app.web.rendering import user_document
from app.web.requests import NewUser, UserId, milliseconds, parse, read_json_body

LISTED = "users"
PAGE_DEFAULT = 50
PAGE_MOST = 200
USER_ID = TypeAdapter[str](UserId)


@dataclass(frozen=True, slots=True)
class UserViews:
    """The views of users."""

    users: UserStore
    clock: Clock

    async def list(self, request: web.Request) -> web.Response:
        """`GET /users`: by id."""
        limit = whole_number(request.query, "limit", default=PAGE_DEFAULT, most=PAGE_MOST)
        position = cursors.cursor_of(request.query, LISTED, 1)
        page = await self.users.page(after=position[0] if position else None, limit=limit + 1)
        shown = page[:limit]
        more = len(page) > limit
        return json_response(
            {
                "users": [user_document(user) for user in shown],
                "nextCursor": cursors.encode(LISTED, shown[-1].user_id) if more else None,
            }
        )

    async def post(self, request: web.Request) -> web.Response:
        """`POST /users`."""
        asked = parse(NewUser, await read_json_body(request))
        user = User(
            asked.user_id or str(uuid4()), asked.name, asked.email, milliseconds(self.clock())
        )
        if not await self.users.add(user):
            raise ProblemError(
                HTTPStatus.CONFLICT,
                f"There is a user {user.user_id} already.",
                kind="user-exists",
                title="User exists",
            )
        return json_response(
            user_document(user),
            status=HTTPStatus.CREATED,
            headers={"Location": link(request, "users", user.user_id)},
        )

    async def get(self, request: web.Request) -> web.Response:
        """`GET /users/{userId}`."""
        user_id = valid_or_none(USER_ID, request.match_info["userId"])
        seen = user_id is not None and caller_of(request).sees(user_id)
        user = await self.users.get(user_id) if user_id is not None and seen else None
        if user is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "There is no such user.")
        return json_response(user_document(user))
