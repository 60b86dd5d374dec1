"""What the application holds that more than one module needs."""

import asyncio

from aiohttp import web

from gateway.metrics import Metrics
from gateway.workers import Workers

METRICS = web.AppKey("METRICS", Metrics)
NAME = web.AppKey("NAME", str)
WORKERS = web.AppKey("WORKERS", Workers)
# Set once this process was told to stop.
STOPPING = web.AppKey("STOPPING", asyncio.Event)
