"""`python -m gateway`: serves until SIGTERM or SIGINT, and on until nobody sends it anything."""

import asyncio
import signal
import sys

import structlog
import uvloop
from aiohttp import web

from app.identity.configured import openness
from app.settings import MISCONFIGURED, Settings, settings
from app.telemetry.setup import configure_gateway
from gateway.app import make_app
from gateway.server import GatewayRunner

# Connections the kernel holds while the loop is busy: a burst of clients is not refused.
BACKLOG = 1024

# By its name: this module's own is `__main__`, whose lines are not shown.
logger = structlog.get_logger("gateway")


async def serve(app: web.Application, chosen: Settings) -> int:
    """Serve until told to stop; the exit status."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = GatewayRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, chosen.gateway_bind, chosen.gateway_port, backlog=BACKLOG)
        try:
            await site.start()
        except OSError as error:
            logger.error("can't listen", address=site.name, error=str(error))
            return 1
        warning = openness(chosen, chosen.gateway_bind)
        if warning is not None:
            logger.warning("open", detail=warning)
        logger.info("listening", address=site.name, workers=chosen.gateway_workers)
        await stop.wait()
        logger.info("stopping", connections=runner.open_connections)
        await runner.leave(site, chosen.shutdown_delay_seconds)
    finally:
        await runner.cleanup()
    return 0


def main() -> int:
    """Run the gateway; the exit status."""
    chosen = settings()
    configure_gateway(chosen)
    try:
        app = make_app(chosen)
    except ValueError as error:
        logger.error("misconfigured", error=str(error))
        return MISCONFIGURED
    return uvloop.run(serve(app, chosen))


if __name__ == "__main__":
    sys.exit(main())
