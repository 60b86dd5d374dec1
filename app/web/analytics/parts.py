"""`GET /analytics/parts/{table}`: what this worker answers from the partitions that it holds.

For workers only. It never asks anybody else, so a query takes one hop at most. The body is
binary: the cells go on as they are stored, and are decoded once, by the worker that was asked.
"""

import asyncio
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Protocol

import orjson
from aiohttp import hdrs, web

from app.identity.passing import CLUSTER_TOKEN, is_ours
from app.streaming.table import NotHeldError
from app.tables.keys import By
from app.tables.ledger import Progress
from app.tables.reading import Part, Question, Range, Source, answer
from app.web import problems
from app.web.problems import ProblemError

PATH = "/analytics/parts"
TOKEN_HEADER = CLUSTER_TOKEN
# What every request has that came through a gateway or nginx.
FORWARDED = ("Via", "X-Forwarded-For", "X-Forwarded-Prefix", "Forwarded")
# RFC 9110 wants a scheme to be named with every 401; this one is our own.
CHALLENGE = 'ClusterToken realm="orderflow"'
CONTENT_TYPE = "application/octet-stream"
NOT_HELD = "partitions-not-held"

_HEAD = struct.Struct(">I")
_CELL = struct.Struct(">HI")


class HeldTable(Source, Protocol):
    """A table some of whose partitions are here."""

    def held(self) -> frozenset[int]:
        """Those that it can answer for."""
        ...

    def behind(self, partition: int) -> bool:
        """Whether one's source holds more than is counted, or nobody can tell."""
        ...


async def held_parts(
    table: HeldTable | None, question: Question, partitions: Sequence[int]
) -> list[Part]:
    """The answers of those partitions that are held here; between two, others get a turn."""
    parts: list[Part] = []
    if table is None:
        return parts
    for partition in partitions:
        if partition in table.held():
            try:
                part = answer(table, partition, question)
                # In one go with its progress: nothing is counted in between.
                parts.append(replace(part, behind=table.behind(partition)))
            except NotHeldError:
                continue
            await asyncio.sleep(0)
    return parts


@dataclass(frozen=True, slots=True)
class PartViews:
    """The view of the parts.

    Attributes:
        tables: of this process, by name.
        token: what is asked for in `X-Cluster-Token`; nothing where it is empty.
    """

    tables: Mapping[str, HeldTable]
    token: str

    async def get(self, request: web.Request) -> web.Response:
        """The parts of the partitions asked for that are held here; 409 if none is."""
        if any(name in request.headers for name in FORWARDED):
            raise problems.of_status(HTTPStatus.NOT_FOUND, {})
        self._authorize(request)
        partitions, question = asked(request.query)
        table = self.tables.get(request.match_info["table"])
        parts = await held_parts(table, question, partitions)
        if not parts:
            raise ProblemError(
                HTTPStatus.CONFLICT, "None of these partitions is held here.", kind=NOT_HELD
            )
        return web.Response(body=encode(parts), content_type=CONTENT_TYPE)

    def _authorize(self, request: web.Request) -> None:
        if not self.token:
            return
        given = request.headers.get(TOKEN_HEADER)
        if given is None:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                f"{TOKEN_HEADER} is missing.",
                headers={hdrs.WWW_AUTHENTICATE: CHALLENGE},
            )
        if not is_ours(request.headers, self.token):
            raise ProblemError(HTTPStatus.FORBIDDEN, f"{TOKEN_HEADER} is not this cluster's.")


def query(question: Question, partitions: Sequence[int]) -> dict[str, str]:
    """The query string's parameters."""
    found = {"partitions": ",".join(map(str, partitions))}
    if question is None:
        return found
    return found | {
        "size": str(question.size),
        "by": question.by.name,
        "first": str(question.first),
        "last": str(question.last),
        "limit": str(question.limit),
        "fromKey": question.from_key,
        "newest": str(int(question.newest)),
    }


def asked(given: Mapping[str, str]) -> tuple[list[int], Question]:
    """What `query` says.

    Raises:
        ProblemError: 400, it is not so.
    """
    try:
        partitions = [int(each) for each in given["partitions"].split(",")]
        if "size" not in given:
            return partitions, None
        return partitions, Range(
            size=int(given["size"]),
            by=By[given["by"]],
            first=int(given["first"]),
            last=int(given["last"]),
            limit=int(given["limit"]),
            from_key=given["fromKey"],
            newest=given["newest"] == "1",
        )
    except (KeyError, ValueError) as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"Not as workers ask: {error!r}.") from None


def encode(parts: Sequence[Part]) -> bytes:
    """Parts as they travel: a head in JSON, then the cells of all parts in order."""
    head = orjson.dumps(
        [
            {
                "partition": part.partition,
                "progress": part.progress.encode().hex(),
                "cells": len(part.cells),
                "cut": part.cut,
                "behind": part.behind,
            }
            for part in parts
        ]
    )
    chunks = [_HEAD.pack(len(head)), head]
    for part in parts:
        for key, value in part.cells:
            chunks += (_CELL.pack(len(key), len(value)), key, value)
    return b"".join(chunks)


def decode(body: bytes) -> list[Part]:
    """The parts that `encode` made bytes of.

    Raises:
        ValueError: it is none of its.
    """
    try:
        (length,) = _HEAD.unpack_from(body)
        at = _HEAD.size + length
        head: list[dict[str, Any]] = orjson.loads(body[_HEAD.size : at])
        parts = []
        for each in head:
            cells = []
            for _ in range(each["cells"]):
                key_length, value_length = _CELL.unpack_from(body, at)
                value_at = at + _CELL.size + key_length
                key = body[at + _CELL.size : value_at]
                at = value_at + value_length
                if at > len(body):
                    raise ValueError("it breaks off")
                cells.append((key, body[value_at:at]))
            progress = Progress.decode(bytes.fromhex(each["progress"]))
            # A worker of before this does not say, as happens while workers are replaced.
            behind = each.get("behind", True)
            parts.append(Part(each["partition"], progress, cells, each["cut"], behind))
    except (struct.error, KeyError, TypeError) as error:
        raise ValueError(f"not an answer of a worker: {error!r}") from error
    return parts
