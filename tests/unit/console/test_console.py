"""The console's files: whole, from here alone, and named so that a client need not ask twice."""

import gzip
import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from app.console import FILES, FOLDERS, INDEX, PAGE, POLICY, TYPES, Console

ROOT = Path(__file__).parents[3]
STATIC, VENDOR = FOLDERS
IMPORT = re.compile(r"""(?:from|import)\s+["']\./([\w.-]+)["']""")
LINK = re.compile(r"""(?:src|href)="console/([\w.-]+)\"""")
ELSEWHERE = re.compile(r"""(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z0-9-]+\.[a-z]""")
# Above all of it together it would no longer be small; compressed, as browsers take it.
ALL_MOST_BYTES = 80_000
Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    console = Console("/api")
    app = web.Application()
    app.router.add_get(PAGE, console.page)
    app.router.add_get(FILES, console.file)
    session = {"auto_decompress": False}
    async with TestClient(TestServer(app), **session) as client:
        yield client


def test_the_page_and_its_modules_name_only_files_that_are_there() -> None:
    files = Console().files
    named = set(LINK.findall((STATIC / INDEX).read_text()))
    for path in STATIC.glob("*.js"):
        named |= set(IMPORT.findall(path.read_text()))

    assert named <= set(files)
    assert {path.name for path in STATIC.glob("*.js")} <= named, "a module that nobody loads"


def test_nothing_comes_from_another_host() -> None:
    for path in [*STATIC.iterdir(), *VENDOR.glob("*.css")]:
        assert not ELSEWHERE.search(path.read_text()), path


def test_no_module_makes_markup_of_data() -> None:
    for path in STATIC.glob("*.js"):
        text = path.read_text()
        for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert sink not in text, path


def test_the_chart_library_is_shipped_with_its_licence_and_version() -> None:
    licence = (VENDOR / "uPlot.LICENSE.txt").read_text()
    note = (VENDOR / "README.md").read_text()
    script = (VENDOR / "uPlot.iife.min.js").read_text()

    assert "MIT" in licence
    version = re.search(r"uPlot (\d+\.\d+\.\d+)", note)
    assert version is not None
    assert f"(v{version[1]})" in script[:300]


def test_the_files_are_part_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    data = project["tool"]["setuptools"]["package-data"]["app.console"]

    shipped = {path for pattern in data for path in (ROOT / "app/console").glob(pattern)}
    assert {path for folder in FOLDERS for path in folder.iterdir()} <= shipped


def test_all_of_it_is_small() -> None:
    assert sum(len(file.packed) for file in Console().files.values()) < ALL_MOST_BYTES


async def test_the_page_may_use_what_is_its_own_and_nothing_else(client: Client) -> None:
    answer = await client.get("/")

    assert (200, "text/html") == (answer.status, answer.content_type)
    assert POLICY == answer.headers["Content-Security-Policy"]
    assert POLICY.startswith("default-src 'self'; ")
    assert "unsafe" not in POLICY
    assert "nosniff" == answer.headers["X-Content-Type-Options"]
    text = gzip.decompress(await answer.read()).decode()
    assert 'data-api="/api"' in text
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|style=", text), "something is inline"


async def test_a_file_is_sent_once_and_then_only_named(client: Client) -> None:
    for name in ("main.js", "console.css", "icon.svg"):
        first = await client.get(f"/console/{name}")
        tag = first.headers["ETag"]
        again = await client.get(f"/console/{name}", headers={"If-None-Match": tag})

        assert (200, TYPES[Path(name).suffix]) == (first.status, first.content_type)
        assert (304, b"", tag) == (again.status, await again.read(), again.headers["ETag"])
        assert "no-cache" == again.headers["Cache-Control"]


async def test_who_takes_no_gzip_gets_the_same_as_it_is(client: Client) -> None:
    packed = await client.get("/console/main.js", headers={"Accept-Encoding": "gzip"})
    plain = await client.get("/console/main.js", headers={"Accept-Encoding": "identity"})

    assert "gzip" == packed.headers["Content-Encoding"]
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(await packed.read()) == await plain.read()
    assert packed.headers["ETag"] != plain.headers["ETag"]


@pytest.mark.parametrize(
    "name", ["nothing.js", "README.md", "__init__.py", "%2e%2e", "..%2f__init__.py"]
)
async def test_what_is_no_file_of_the_console_is_not_found(client: Client, name: str) -> None:
    url = URL(f"{client.make_url('/console/')}{name}", encoded=True)
    async with ClientSession() as session, session.get(url) as answer:
        assert 404 == answer.status
