"""A tiny worker in a process of its own: prints its port, holds `/slow` until `/release`."""

import asyncio

from aiohttp import web


async def main() -> None:
    began, release = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        began.set()
        await release.wait()
        return web.Response(text="done")

    async def wait_begun(_request: web.Request) -> web.Response:
        await began.wait()
        return web.Response()

    async def let_go(_request: web.Request) -> web.Response:
        release.set()
        return web.Response()

    async def quick(_request: web.Request) -> web.Response:
        return web.Response(text="quick")

    app = web.Application()
    app.router.add_get("/slow", slow)
    app.router.add_get("/begun", wait_begun)
    app.router.add_get("/release", let_go)
    app.router.add_route("*", "/{rest:.*}", quick)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
