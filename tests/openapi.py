"""Holds answers against the OpenAPI document: every one that the tests see."""

import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import web
from jsonschema import Draft202012Validator

from app.web.openapi.shared import ALWAYS
from app.web.openapi.worker import worker_document

JSON = ("application/json", "application/problem+json")
PROBLEM = "application/problem+json"
# What no operation declares, and any request may meet: paths and methods that there are none of
# (for which AUTH=on wants a token too), a fault of ours, a client that has left.
ANYWHERE = (401, 403, 404, 405, 500, 499)
GATEWAY = Path(__file__).parents[1] / "docs" / "api" / "openapi-gateway.json"


Note = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


@dataclass
class Reference:
    """A document, and what was seen that it does not say.

    Attributes:
        prefix: what the document's paths are under.
    """

    document: Mapping[str, Any]
    prefix: str = ""
    faults: list[str] = field(default_factory=list)

    def hold(
        self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> None:
        """Note where the answer of an operation, or of a path, is not as declared."""
        self.faults += [
            f"{method} {path}: {fault}"
            for fault in self._faults(method.lower(), path, status, headers, body)
        ]

    async def note(self, request: web.Request, response: web.StreamResponse) -> None:
        """`hold`, as a hook of a server (`on_response_prepare`)."""
        resource = request.match_info.route.resource
        path = resource.canonical if resource is not None else request.path
        path = path.removeprefix(self.prefix)
        body = response.body if isinstance(response, web.Response) else None
        self.hold(
            request.method,
            path,
            response.status,
            # Which trace and which process is said by another hook.
            {**dict.fromkeys(ALWAYS, ""), **response.headers},
            body if isinstance(body, bytes) else b"",
        )

    def noted_of(self, operations: Collection[tuple[str, str]]) -> Note:
        """The hook, for these methods of paths alone."""

        async def note(request: web.Request, response: web.StreamResponse) -> None:
            resource = request.match_info.route.resource
            path = resource.canonical.removeprefix(self.prefix) if resource is not None else ""
            if (request.method, path) in operations:
                await self.note(request, response)

        return note

    def _faults(
        self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> list[str]:
        operation = self._operation("get" if method == "head" else method, path)
        declared = operation["responses"].get(str(status)) if operation else None
        kind = headers.get("Content-Type", "").partition(";")[0]
        if declared is None:
            if status not in ANYWHERE:
                return [f"{status} is not declared"]
            return [] if status == 499 else self._wrong("Problem", kind, body, method)
        found = [
            f"{status} without {name}"
            for name in declared["headers"]
            if self._header(name).get("required") and name not in headers
        ]
        content = declared.get("content", {})
        if status == HTTPStatus.NOT_MODIFIED:
            return found
        if kind not in content:
            return [*found, f"{status} is {kind!r}, not {', '.join(content)}"]
        if kind in JSON and method != "head":
            found += self._invalid(content[kind]["schema"], body)
        return found

    def _operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        paths = self.document["paths"]
        # What has no variable part is meant first.
        for template in sorted(paths, key=lambda each: each.count("{")):
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
            if template == path or re.fullmatch(pattern, path):
                found: Mapping[str, Any] | None = paths[template].get(method)
                return found
        return None

    def _wrong(self, model: str, kind: str, body: bytes, method: str) -> list[str]:
        if kind != PROBLEM:
            return [f"an error is {kind!r}"]
        if method == "head":
            return []
        return self._invalid({"$ref": f"#/components/schemas/{model}"}, body)

    def _invalid(self, schema: Mapping[str, Any], body: bytes) -> list[str]:
        validator = Draft202012Validator(
            {**schema, "components": {"schemas": self._closed}},
            format_checker=Draft202012Validator.FORMAT_CHECKER,
        )
        return [
            f"{error.json_path}: {error.message}"
            for error in validator.iter_errors(json.loads(body))
        ]

    def _header(self, name: str) -> Mapping[str, Any]:
        header: Mapping[str, Any] = self.document["components"]["headers"][name]
        return header

    @property
    def _closed(self) -> Mapping[str, Any]:
        """The schemas, without room for members that none of them names."""
        return {
            name: {"additionalProperties": False, **schema} if "properties" in schema else schema
            for name, schema in self.document["components"]["schemas"].items()
        }


@cache
def of_worker() -> Mapping[str, Any]:
    """The worker's document, as the code makes it."""
    return worker_document()


def of_gateway() -> Mapping[str, Any]:
    """The gateway's document; its paths are under `/api`."""
    document: Mapping[str, Any] = json.loads(GATEWAY.read_text())
    return document
