"""Links to what this API has, as the client sees it."""

import re
from urllib.parse import quote

from aiohttp import web

PREFIX_HEADER = "X-Forwarded-Prefix"
# No empty segment, so that the path can't be taken for another host.
PREFIX = re.compile(r"(/[A-Za-z0-9_.-]+){1,5}")


def link(request: web.BaseRequest, *segments: str) -> str:
    """The path of these segments, under the prefix by which the gateway has them."""
    given = request.headers.get(PREFIX_HEADER, "")
    prefix = given if PREFIX.fullmatch(given) else ""
    return prefix + "".join(f"/{quote(segment, safe='')}" for segment in segments)
