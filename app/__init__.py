"""Orderflow: a distributed e-commerce order system as a Faust stream-processing application.

`faust -A app worker` finds `app` here. It is made when first asked for, so that the pure parts can
be imported without a worker's settings.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import faust

    app: faust.App


def __getattr__(name: str) -> "faust.App":
    if name == "app":
        from app.services import main_app  # noqa: PLC0415 (see above)

        return main_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
