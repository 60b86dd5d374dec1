"""The reference is handed out, describes each route, and is read without anything else."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

from app.reference import WORKER as SHIPPED
from app.web.openapi.worker import WORKER
from tests.openapi import Reference, of_worker
from tests.unit.web.conftest import World

# Faust's own views, and the console, which are no part of the API.
APART = re.compile(r"/|/console/\{file\}|/(router|table|graph|production_index)(/.*)?")
TRACED = {"X-Trace-Id": "t", "X-Instance-Id": "w", "Content-Type": "application/json"}


async def test_every_route_is_described_and_nothing_else(world: World) -> None:
    app = world.client.app
    assert app is not None
    found = {
        (method, resource.canonical)
        for resource in app.router.resources()
        if not APART.fullmatch(resource.canonical)
        for method in await allowed(world, resource.canonical)
    }
    assert set(WORKER) == found


async def allowed(world: World, path: str) -> set[str]:
    """The methods that the path takes, as a client is told."""
    answer = await world.client.request("DELETE", re.sub(r"\{\w+\}", "x", path))
    assert 405 == answer.status
    return set(answer.headers["Allow"].split(",")) - {"HEAD"}


async def test_the_document_is_handed_out_once_and_then_only_named(world: World) -> None:
    answer = await world.get("/openapi.json")
    assert SHIPPED.read_bytes() == await answer.read()
    assert "application/json" == answer.content_type

    again = await world.get("/openapi.json", **{"If-None-Match": answer.headers["ETag"]})

    assert (304, b"") == (again.status, await again.read())


async def test_the_events_are_handed_out(world: World) -> None:
    document = await (await world.get("/asyncapi.json")).json()
    assert "3.0.0" == document["asyncapi"]


class Page(HTMLParser):
    """What a page is made of: its elements, anchors, links and attributes that could run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.anchors: list[str] = []
        self.links: set[str] = set()
        self.suspicious: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        for name, value in attrs:
            if name == "id":
                self.anchors.append(value or "")
            elif name == "href":
                self.links.add(value or "")
            elif name.startswith("on") or name in ("src", "style"):
                self.suspicious.append((tag, name))


async def test_the_page_shows_every_operation_without_a_script(world: World) -> None:
    answer = await world.get("/docs")
    text = await answer.text()
    page = Page(text)

    assert set() == page.elements & {"script", "iframe", "img", "link", "object"}
    assert [] == page.suspicious
    assert len(page.anchors) == len(set(page.anchors))
    assert {operation.name for operation in WORKER.values()} <= set(page.anchors)
    assert {"openapi.json", *(f"#{anchor}" for anchor in page.anchors)} >= page.links
    for _, path in WORKER:
        assert path in text


async def test_the_page_may_use_its_own_style_and_nothing_else(world: World) -> None:
    answer = await world.get("/docs")
    (style,) = re.findall("<style>(.*?)</style>", await answer.text(), re.DOTALL)
    policy = answer.headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; ")
    assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert "unsafe" not in policy
    assert "nosniff" == answer.headers["X-Content-Type-Options"]


def faults(status: int, body: object, method: str = "GET", path: str = "/users/alice") -> int:
    seen = Reference(of_worker())
    seen.hold(method, path, status, TRACED, json.dumps(body).encode())
    return len(seen.faults)


USER = {"userId": "a", "name": "A", "email": "a@b.example", "createdAt": "2026-01-31T12:00:00Z"}


def test_an_answer_that_is_not_as_declared_is_found_out() -> None:
    assert 0 == faults(200, USER)
    assert 1 == faults(200, {**USER, "password": "x"})
    assert 1 == faults(200, {**USER, "name": None})
    assert 1 == faults(200, {name: value for name, value in USER.items() if name != "email"})
    assert 1 == faults(202, USER)
    assert 1 == faults(404, USER)
    assert 1 == faults(201, USER, "POST", "/users"), "it has no Location"
