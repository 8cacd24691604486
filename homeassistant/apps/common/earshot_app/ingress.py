"""The page behind "Open web UI": Home Assistant logs people in, so only its own address may connect."""

import html
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence

from aiohttp import web

PORT = 8099
GATEWAY = "172.30.32.2"
STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
code, pre { background: #8882; padding: .1rem .3rem; border-radius: .3rem; }
code, pre { overflow-wrap: anywhere; white-space: pre-wrap; }
.bad { color: #c62828; } button, input { font: inherit; padding: .3rem .8rem; }
"""

Page = Callable[[web.Request], Awaitable[str]]


@web.middleware
async def only_home_assistant(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse whoever is not Home Assistant's gateway."""
    if request.remote != os.environ.get("EARSHOT_APP_GATEWAY", GATEWAY):
        raise web.HTTPForbidden(text="open this page from Home Assistant\n")
    return await handler(request)


async def serve_pages(pages: Iterable[web.RouteDef]) -> web.AppRunner:
    """Answer on the ingress port until the returned runner is cleaned up."""
    app = web.Application(middlewares=[only_home_assistant])
    app.router.add_routes(pages)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host = os.environ.get("EARSHOT_APP_HOST", "0.0.0.0")  # noqa: S104 - inside the container; the gateway alone may enter
    await web.TCPSite(runner, host, int(os.environ.get("EARSHOT_APP_PORT", str(PORT)))).start()
    return runner


def page(title: str, *parts: str) -> web.Response:
    """Return a page made of HTML parts."""
    text = (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{STYLE}</style><body><h1>{html.escape(title)}</h1>{''.join(parts)}"
    )
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": POLICY})


POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table of plain texts."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line(header, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"
