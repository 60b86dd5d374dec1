"""Answers as JSON."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

CONTENT_TYPE = "application/json"


def encoded(value: Any) -> bytes:
    """`value` as JSON."""
    return orjson.dumps(value)


def json_response(
    value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An answer with `value` as its body; bytes are JSON already."""
    body = value if isinstance(value, bytes) else encoded(value)
    return web.Response(body=body, status=status, content_type=CONTENT_TYPE, headers=headers)
