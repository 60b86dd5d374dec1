"""What MkDocs does at each build of the site, besides its own work (see `mkdocs.yml`).

* Links that leave `docs/` lead to pages of the site; see `infra.docs.links`.
* Each file and folder that they name gets its page, under `source/`.
* The reference of the API is there to read, as gateway and worker serve it at `/docs`.
"""

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from app.reference.page import page as reference_page
from infra.docs import links
from infra.docs.links import AT_ROOT, DOCS, ROOT, SOURCE

LANGUAGES = {".py": "python", ".yml": "yaml", ".yaml": "yaml", ".toml": "toml", ".json": "json"}
# Nobody looks for code with the site's search, and it would make its index three times as large.
UNSEARCHED = "---\nsearch:\n  exclude: true\n---\n"
REFERENCES = ("gateway", "worker")
# Kept on each generated file, so that its links are known to start elsewhere than where it is.
ORIGINS: dict[str, str] = {}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of other files."""
    ORIGINS.clear()
    for name, place in AT_ROOT.items():
        if name != "README.md":
            files.append(File.generated(config, place, content=(ROOT / name).read_text()))
            ORIGINS[place] = name
    for path in sorted(_linked(files)):
        _add(files, config, f"{SOURCE}/{path}.md", _source(ROOT / path, path))
    for name in REFERENCES:
        document = json.loads((ROOT / DOCS / "api" / f"openapi-{name}.json").read_text())
        html = reference_page(document, json_url=f"openapi-{name}.json")
        _add(files, config, f"api/{name}.html", html)
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Let the page's links lead where the site has what they mean."""
    place = page.file.src_uri
    if place.startswith(f"{SOURCE}/"):
        return markdown
    return links.rewritten(markdown, ORIGINS.get(place, f"{DOCS}/{place}"))


def _add(files: Files, config: MkDocsConfig, place: str, content: str) -> None:
    made = File.generated(config, place, content=content, inclusion=InclusionLevel.NOT_IN_NAV)
    files.append(made)


def _linked(files: Files) -> set[str]:
    """Files and folders outside of `docs/` that the pages link to."""
    found = set()
    for file in files.documentation_pages():
        page = ORIGINS.get(file.src_uri, f"{DOCS}/{file.src_uri}")
        found |= {
            links.in_repository(page, target) for target in links.targets(file.content_string)
        }
    outside = (path for path in found if links.on_site(path).startswith(f"{SOURCE}/"))
    # Of what is not there no page is made, so that MkDocs warns of the link.
    return {path for path in outside if (ROOT / path).exists()}


def _source(path: Path, name: str) -> str:
    """A file with its lines, or a folder with its names."""
    title = f"{UNSEARCHED}# {name}\n\n"
    if path.is_dir():
        names = sorted(f"{p.name}/" if p.is_dir() else p.name for p in path.iterdir())
        shown = [entry for entry in names if not entry.startswith(("__pycache__", "."))]
        return title + "".join(f"* `{posixpath.join(name, entry)}`\n" for entry in shown)
    text = path.read_text()
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{title}{fence} {{ .{LANGUAGES.get(path.suffix, 'text')} }}\n{text}\n{fence}\n"
