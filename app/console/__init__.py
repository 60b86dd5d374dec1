"""The console: a page for operators, at `/` of every worker and gateway.

Plain ES modules, one style sheet and a chart library, all shipped with the code and served from
memory; there is no build step, and nothing comes from another host.

| folder  | holds |
| static/ | the page, its modules and its style |
| vendor/ | uPlot as it is published, with its licence |

The page asks the API of the process that serves it: at `/` on a worker, under `/api` on a gateway.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

from aiohttp import hdrs, web

HERE = Path(__file__).parent
FOLDERS = (HERE / "static", HERE / "vendor")
INDEX = "index.html"
# The page, and the template of its files: what policies and routers call them.
PAGE = "/"
FILES = "/console/{file}"
# In the page: under what the API is.
API_MARK = b"@API@"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
# Scripts, styles, pictures and requests of this origin alone; nothing inline, in nobody's frame.
POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    # A client may keep it, and asks whether it is still the same.
    hdrs.CACHE_CONTROL: "no-cache",
    hdrs.VARY: hdrs.ACCEPT_ENCODING,
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
GZIP = "gzip"
# Of a SHA-256 in hexadecimal digits: two files that differ have one tag by a chance of 2^-128.
TAG_DIGITS = 32


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is sent, plain and compressed."""

    body: bytes
    packed: bytes
    tag: str
    content_type: str

    @classmethod
    def of(cls, body: bytes, suffix: str) -> "File":
        """The file of this content."""
        # Without the time of day, so that every instance sends the same bytes.
        packed = gzip.compress(body, mtime=0)
        return cls(body, packed, sha256(body).hexdigest()[:TAG_DIGITS], TYPES[suffix])

    def answer(self, request: web.BaseRequest) -> web.Response:
        """The file; 304 to a client that has it."""
        zipped = GZIP in request.headers.get(hdrs.ACCEPT_ENCODING, "")
        # A tag names one sequence of bytes (RFC 9110, 8.8.3).
        tag = f"{self.tag}-{GZIP}" if zipped else self.tag
        headers = {hdrs.ETAG: f'"{tag}"', **HEADERS}
        if any(each.value in (tag, "*") for each in request.if_none_match or ()):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        if zipped:
            headers[hdrs.CONTENT_ENCODING] = GZIP
        return web.Response(
            body=self.packed if zipped else self.body,
            content_type=self.content_type,
            charset="utf-8",
            headers=headers,
        )


class Console:
    """The views of the console.

    Args:
        api: what the API's paths are under: nothing on a worker, `/api` on a gateway.
    """

    def __init__(self, api: str = "") -> None:
        self._api = api

    @cached_property
    def files(self) -> Mapping[str, File]:
        """All files by name, read when the first is asked for."""
        return {
            path.name: File.of(
                path.read_bytes().replace(API_MARK, self._api.encode())
                if path.name == INDEX
                else path.read_bytes(),
                path.suffix,
            )
            for folder in FOLDERS
            for path in sorted(folder.iterdir())
            if path.suffix in TYPES
        }

    async def page(self, request: web.Request) -> web.Response:
        """`GET /`."""
        return self.files[INDEX].answer(request)

    async def file(self, request: web.Request) -> web.Response:
        """`GET /console/{file}`; 404 for what is not a file of the console."""
        found = self.files.get(request.match_info["file"])
        if found is None:
            raise web.HTTPNotFound
        return found.answer(request)
