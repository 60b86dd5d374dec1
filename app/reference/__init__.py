"""Handing out the reference: documents that were made beforehand, and a page to read them by.

Workers and gateways ship the files that `python -m infra.reference` writes, so neither needs the
models that they are made from, and all instances answer the same bytes.
"""

import json
from functools import cached_property
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

from aiohttp import hdrs, web

from app.reference.page import POLICY, page

HERE = Path(__file__).parent
WORKER, GATEWAY, EVENTS = (
    HERE / f"{name}.json" for name in ("openapi-worker", "openapi-gateway", "asyncapi")
)
# A client may keep it, and asks whether it is still the same.
CACHE_CONTROL = "no-cache"
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Shipped:
    """A document that is shipped with the code, and its page; read when first asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _document(self) -> tuple[bytes, str]:
        return _tagged(self._path.read_bytes())

    @cached_property
    def _page(self) -> tuple[bytes, str]:
        document, _ = self._document
        return _tagged(page(json.loads(document), json_url="openapi.json").encode())

    async def json(self, request: web.Request) -> web.Response:
        """The document."""
        return _answer(request, *self._document, "application/json")

    async def html(self, request: web.Request) -> web.Response:
        """The page of an OpenAPI document, beside which it is at `openapi.json`."""
        return _answer(request, *self._page, "text/html", PAGE_HEADERS)


def _tagged(body: bytes) -> tuple[bytes, str]:
    return body, sha256(body).hexdigest()[:32]


def _answer(
    request: web.Request,
    body: bytes,
    tag: str,
    content_type: str,
    headers: dict[str, str] | None = None,
) -> web.Response:
    known = request.if_none_match or ()
    told: dict[str, str] = {hdrs.ETAG: f'"{tag}"', hdrs.CACHE_CONTROL: CACHE_CONTROL}
    if any(each.value in (tag, "*") for each in known):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=told)
    charset = "utf-8" if content_type.startswith("text/") else None
    return web.Response(
        body=body,
        content_type=content_type,
        charset=charset,
        headers={**told, **(headers or {})},
    )
