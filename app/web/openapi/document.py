"""The OpenAPI 3.1 document that tables of operations make."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from app.identity.passing import CLUSTER_TOKEN
from app.identity.policy import Who
from app.schemas import Schemas
from app.web.openapi.operation import JSON, Answer, Operation, Operations, Parameter
from app.web.openapi.shared import ALWAYS, HEADERS, PROBLEM_HEADERS, PROBLEMS
from app.web.schemas.health import Problem

OPENAPI = "3.1.0"
REF = "#/components/schemas/{model}"
PROBLEM_JSON = "application/problem+json"
BEARER, CLUSTER = "bearer", "clusterToken"
KEYS_AWAY = "What tokens are verified by can't be had now; try again."
OWNER_ONLY = "Whoever asks may not; a customer acts only for itself."
IN_PATH = re.compile(r"\{(\w+)\}")


def document(
    operations: Operations,
    *,
    title: str,
    description: str,
    version: str,
    tags: Mapping[str, str],
    always: Mapping[int, str],
    server: str,
    who_may: Callable[[str, str], Who | None],
) -> dict[str, Any]:
    """The document.

    Args:
        always: problems that any operation may have.
        server: the path that all others are under.
        who_may: whom a method of a path is for.
    """
    models: set[type[BaseModel]] = {Problem, *_models(operations.values())}
    _, defined = models_json_schema(
        [(model, "validation") for model in sorted(models, key=lambda each: each.__name__)],
        by_alias=True,
        ref_template=REF,
        schema_generator=Schemas,
    )
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in operations.items():
        assert set(IN_PATH.findall(path)) == {
            each.name for each in operation.parameters if each.location == "path"
        }, path
        who = who_may(method, path)
        assert who is not None, path
        paths.setdefault(path, {})[method.lower()] = _operation(operation, who, always)
    used = {operation.tag for operation in operations.values()}
    headers = _names(paths)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": title,
            "version": version,
            "description": description,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": server}],
        "tags": [{"name": tag, "description": text} for tag, text in tags.items() if tag in used],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(defined["$defs"].items())),
            "headers": {name: dict(HEADERS[name]) for name in HEADERS if name in headers},
            "securitySchemes": {
                BEARER: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Of a user with the role that is named; `admin` includes "
                    "`operator`, and that `customer`. With `AUTH=off` none is asked for.",
                },
                CLUSTER: {
                    "type": "apiKey",
                    "in": "header",
                    "name": CLUSTER_TOKEN,
                    "description": "What the processes of one system know, where it is set.",
                },
            },
        },
    }


def _models(operations: Iterable[Operation]) -> Iterable[type[BaseModel]]:
    for operation in operations:
        if operation.body is not None:
            yield operation.body
        for answer in operation.answers.values():
            if isinstance(answer.content, type):
                yield answer.content


def _operation(operation: Operation, who: Who, always: Mapping[int, str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
    }
    if operation.description:
        made["description"] = operation.description
    if operation.internal:
        made["x-internal"] = True
    if operation.parameters:
        made["parameters"] = [_parameter(each) for each in operation.parameters]
    if operation.body is not None:
        content: dict[str, Any] = {"schema": _ref(operation.body)}
        if operation.example is not None:
            content["examples"] = {"example": {"value": dict(operation.example)}}
        made["requestBody"] = {"required": True, "content": {JSON: content}}
    answers = {status: _answer(answer) for status, answer in operation.answers.items()}
    told = {**always, **_refused(who), **operation.problems}
    answers |= {
        status: _problem(status, text) for status, text in told.items() if status not in answers
    }
    made["responses"] = {str(status): answers[status] for status in sorted(answers)}
    made["security"] = _security(who)
    return made


def _security(who: Who) -> list[dict[str, list[str]]]:
    if who is Who.ANYONE:
        return []
    if who is Who.WORKERS:
        return [{CLUSTER: []}]
    assert who.role is not None
    return [{BEARER: [who.role.label]}]


def _refused(who: Who) -> Mapping[int, str]:
    """The problems of who may not."""
    if who is Who.ANYONE:
        return {}
    if who is Who.WORKERS:
        return {401: "", 403: ""}
    return {401: "", 403: OWNER_ONLY if who is Who.OWNER else "", 503: KEYS_AWAY}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    given = parameter.type
    schema = given if isinstance(given, dict) else _schema(given)
    made: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.location,
        "description": parameter.description,
        "required": parameter.required,
        "schema": schema,
    }
    if parameter.empty:
        made["allowEmptyValue"] = True
    if parameter.example is not None:
        made["example"] = parameter.example
    return made


def _schema(given: Any) -> dict[str, Any]:
    schema = TypeAdapter[Any](given).json_schema(schema_generator=Schemas)
    # Enumerations are short: they are said where they are used.
    return {name: value for name, value in schema.items() if name not in ("title", "description")}


def _answer(answer: Answer) -> dict[str, Any]:
    made: dict[str, Any] = {
        "description": answer.description,
        "headers": _headers((*ALWAYS, *answer.headers)),
    }
    if answer.content is not None:
        schema = _ref(answer.content) if isinstance(answer.content, type) else dict(answer.content)
        made["content"] = {answer.content_type: {"schema": schema}}
    return made


def _problem(status: int, text: str) -> dict[str, Any]:
    return {
        "description": text or PROBLEMS[status],
        "headers": _headers((*ALWAYS, *PROBLEM_HEADERS.get(status, ()))),
        "content": {PROBLEM_JSON: {"schema": _ref(Problem)}},
    }


def _names(paths: Mapping[str, Any]) -> set[str]:
    """The headers that some answer has."""
    return {
        name
        for methods in paths.values()
        for operation in methods.values()
        for answer in operation["responses"].values()
        for name in answer["headers"]
    }


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REF.format(model=model.__name__)}
