"""What the application holds that more than one module needs."""

import asyncio

from aiohttp import web

from app.identity import Principal
from app.logs import Allowance
from gateway.metrics import Metrics
from gateway.shared import Shared
from gateway.spans import CallSpans, RequestSpans
from gateway.workers import Workers

METRICS = web.AppKey("METRICS", Metrics)
NAME = web.AppKey("NAME", str)
WORKERS = web.AppKey("WORKERS", Workers)
# The Redis of all gateways.
SHARED = web.AppKey("SHARED", Shared)
# Where it is set, the answer must come whole from the handler and not be streamed to the client:
# somebody else may get it.
WHOLE = web.RequestKey("WHOLE", bool)
# Whose token was verified; not there where there was none.
PRINCIPAL = web.RequestKey("PRINCIPAL", Principal)
# Set once this process was told to stop.
STOPPING = web.AppKey("STOPPING", asyncio.Event)
# Of the lines that tell which requests were served.
TRACE_LINES = web.AppKey("TRACE_LINES", Allowance)
# Where traces are kept; not there where they are not.
REQUEST_SPANS = web.AppKey("REQUEST_SPANS", RequestSpans)
CALL_SPANS = web.AppKey("CALL_SPANS", CallSpans)
