"""A page to read an OpenAPI document by: plain HTML, with no script and nothing from elsewhere."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; --line: #d8dde3; --soft: #f4f6f8; --dim: #5b6672;
  --accent: #0b5cad; --get: #0b6b3a; --post: #0b5cad; --put: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --line: #39424d; --soft: #1d2329; --dim: #9aa7b4;
  --accent: #7cb8ff; --get: #6fd39b; --post: #7cb8ff; --put: #e5b65c; } }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; display: grid;
  grid-template-columns: minmax(14rem, 20rem) minmax(0, 1fr); }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1rem;
  border-right: 1px solid var(--line); font-size: .875rem; }
nav ul { list-style: none; margin: 0 0 1rem; padding: 0; }
nav li { padding: .125rem 0; overflow-wrap: anywhere; }
main { padding: 1rem 2rem 4rem; max-width: 64rem; }
a { color: var(--accent); }
h1 { line-height: 1.2; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
h3 { margin: 2.5rem 0 .25rem; font-size: 1.05rem; overflow-wrap: anywhere; }
h4 { margin: 1rem 0 .25rem; font-size: .875rem; color: var(--dim); }
code, pre { font: .875em/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .75rem; overflow: auto; border-radius: 4px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th, td { text-align: left; vertical-align: top; padding: .375rem .75rem .375rem 0;
  border-bottom: 1px solid var(--line); }
.get { color: var(--get); } .post { color: var(--post); } .put, .delete { color: var(--put); }
.dim { color: var(--dim); }
@media (max-width: 50rem) { body { display: block; } main { padding: 1rem; }
  nav { position: static; height: auto; border: 0; border-bottom: 1px solid var(--line); } }
"""
_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
# The page's own style and links are all that it may use.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
CODE = re.compile(r"`([^`]+)`")
# What every answer has; the description says so.
ALWAYS = ("X-Trace-Id", "X-Instance-Id")
REF = "#/components/schemas/"
# What of a schema is said beside its type.
BOUNDS = ("minimum", "maximum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "default")


def page(document: Mapping[str, Any], *, json_url: str) -> str:
    """The page of a document.

    Args:
        json_url: where the document itself is, relative to the page.
    """
    info = document["info"]
    tags: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {
        tag["name"]: [] for tag in document["tags"]
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tags[operation["tags"][0]].append((method, path, operation))
    schemas = document["components"]["schemas"]
    title = escape(info["title"])
    return "".join(
        (
            "<!doctype html><html lang=en><meta charset=utf-8>",
            '<meta name=viewport content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{STYLE}</style>",
            "<nav>",
            *_contents(tags, schemas),
            "</nav><main>",
            f"<h1>{title}</h1><p>{_text(info['description'])}</p>",
            f"<p class=dim>Version {escape(info['version'])}",
            f" · under <code>{escape(document['servers'][0]['url'])}</code>",
            f' · <a href="{escape(json_url)}">OpenAPI {escape(document["openapi"])}</a></p>',
            *_sections(document, tags),
            "<h2 id=schemas>Schemas</h2>",
            *(part for name, schema in schemas.items() for part in _model(name, schema)),
            "</main></html>",
        )
    )


def _contents(tags: Mapping[str, Any], schemas: Iterable[str]) -> Iterator[str]:
    for tag, operations in tags.items():
        yield f'<strong><a href="#{tag}">{escape(tag)}</a></strong><ul>'
        for method, path, operation in operations:
            yield (
                f'<li><a href="#{operation["operationId"]}"><span class={method}>'
                f"{method.upper()}</span> {escape(path)}</a>"
            )
        yield "</ul>"
    yield '<strong><a href="#schemas">Schemas</a></strong><ul>'
    for name in schemas:
        yield f'<li><a href="#{name}">{escape(name)}</a>'
    yield "</ul>"


def _sections(document: Mapping[str, Any], tags: Mapping[str, Any]) -> Iterator[str]:
    described = {tag["name"]: tag["description"] for tag in document["tags"]}
    for tag, operations in tags.items():
        yield f"<h2 id={tag}>{escape(tag)}</h2><p>{_text(described[tag])}</p>"
        for method, path, operation in operations:
            yield from _operation(method, path, operation)


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"<section id={operation['operationId']}><h3><code><span class={method}>{method.upper()}"
        f"</span> {escape(path)}</code></h3><p>{_text(operation['summary'])}. "
        f"{_text(operation.get('description', ''))}</p>"
    )
    roles = [role for each in operation.get("security", ()) for role in each.get("bearer", ())]
    if roles:
        yield f"<p class=dim>With a token: role <code>{escape(roles[0])}</code>.</p>"
    elif operation.get("x-internal"):
        yield "<p class=dim>For the system's own processes.</p>"
    if operation.get("parameters"):
        yield "<h4>Parameters</h4>"
        yield from _table(
            ("name", "in", "type", ""),
            (
                (
                    f"<code>{escape(each['name'])}</code>",
                    each["in"],
                    _type(each["schema"]),
                    _text(each.get("description", "")),
                )
                for each in operation["parameters"]
            ),
        )
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<h4>Body</h4><p>{escape(kind)}: {_type(content['schema'])}</p>"
        for example in content.get("examples", {}).values():
            yield f"<pre>{escape(json.dumps(example['value'], indent=2))}</pre>"
    yield "<h4>Answers</h4>"
    yield from _table(
        ("status", "", "content", "headers"),
        (
            (
                f"<code>{status}</code>",
                _text(answer["description"]),
                "<br>".join(
                    f"{escape(kind)}: {_type(content['schema'])}"
                    for kind, content in answer.get("content", {}).items()
                ),
                ", ".join(escape(name) for name in answer["headers"] if name not in ALWAYS),
            )
            for status, answer in operation["responses"].items()
        ),
    )
    yield "</section>"


def _model(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"<section id={name}><h3>{escape(name)}</h3><p>{_text(schema.get('description', ''))}</p>"
    if "properties" in schema:
        required = schema.get("required", ())
        yield from _table(
            ("member", "type", ""),
            (
                (
                    f"<code>{escape(member)}</code>{'' if member in required else ' (optional)'}",
                    _type(each),
                    _text(each.get("description", "")),
                )
                for member, each in schema["properties"].items()
            ),
        )
    else:
        yield f"<p>{_type(schema)}</p>"
    yield "</section>"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "<div class=wide><table><tr>" + "".join(f"<th>{each}" for each in head)
    for row in rows:
        yield "<tr>" + "".join(f"<td>{each}" for each in row)
    yield "</table></div>"


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in a line."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REF)
        return f'<a href="#{escape(name)}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " · ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const']))}</code>"
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"array of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    said = [str(schema["format"])] if "format" in schema else []
    said += [f"{name} {schema[name]}" for name in BOUNDS if name in schema]
    return escape(kind + (f" ({', '.join(said)})" if said else ""))


def _text(text: str) -> str:
    """A description: what is between backticks is code."""
    return CODE.sub(r"<code>\1</code>", escape(text, quote=False))
