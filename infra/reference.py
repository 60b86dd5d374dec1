"""Writes the API's reference from the code: `python -m infra.reference`.

To read and to compare under `docs/api/`; and, in one line each, in `app/reference/`, out of which
workers and gateways hand them out.
The tests fail where a file is not what this would write.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.agents.registry import build_service
from app.asyncapi.document import asyncapi
from app.asyncapi.page import events_page
from app.parts import SERVICE_NAMES, saga_order_of
from app.resources import Resources
from app.settings import Settings
from app.web.openapi.worker import VERSION, worker_document
from gateway.openapi import gateway_document

ROOT = Path(__file__).parents[1]
DOCS, SHIPPED = Path("docs/api"), Path("app/reference")


def files() -> Mapping[Path, str]:
    """What the files hold, by their path in the repository."""
    worker, gateway, events = worker_document(), gateway_document(), _events()
    return {
        DOCS / "openapi-worker.json": _to_read(worker),
        DOCS / "openapi-gateway.json": _to_read(gateway),
        DOCS / "asyncapi.json": _to_read(events),
        DOCS / "events.md": events_page(events),
        SHIPPED / "openapi-worker.json": _to_serve(worker),
        SHIPPED / "openapi-gateway.json": _to_serve(gateway),
        SHIPPED / "asyncapi.json": _to_serve(events),
    }


def _events() -> Mapping[str, Any]:
    """What a system says and hears that is set up by the defaults; and a step that is not in the
    default saga, in the first that it is in."""
    defaults = Settings.model_construct()
    receives = {}
    for name in SERVICE_NAMES:
        conf = defaults.model_copy(update={"saga_order": saga_order_of(name)})
        # Nothing is connected before it is used.
        receives[name] = build_service(name, Resources.connect(conf)).topics
    return asyncapi(
        receives,
        version=VERSION,
        partitions=defaults.topic_partitions,
        retention_hours=defaults.topic_retention_hours,
        dead_hours=defaults.dead_letter_retention_hours,
    )


def _to_read(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _to_serve(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n"


def main() -> None:
    """Write them."""
    for path, text in files().items():
        (ROOT / path).write_text(text)
        print(path)


if __name__ == "__main__":
    main()
