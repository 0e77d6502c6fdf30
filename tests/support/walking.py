"""``python -m tests.support.walking``: send what a web page could to every route of a server.

The run YAML is named as the host wants it (``LLAMA_STACK_CONFIG``, ``OGX_CONFIG``); the environment is a server's.
Prints JSON: the routes walked, and what a route did that it must not.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any

import httpx
from fastapi.routing import iter_route_contexts

from k8gentai.providers import host

OWN = "127.0.0.1:8321"
ELSEWHERE = {"origin": "https://elsewhere.example"}


@dataclass
class Walk:
    """What was found."""

    routes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)


def routes_of(app: Any) -> Iterator[tuple[str, str]]:
    """Each route's method, or ``WEBSOCKET``, and a path of it."""
    for context in iter_route_contexts(app.routes):
        if context.path is None:
            continue
        path = re.sub(r"\{[^}]*\}", "x", context.path)
        for method in sorted(getattr(context.original_route, "methods", None) or {"WEBSOCKET"}):
            yield method, path


async def walk(app: Any) -> Walk:
    """Try every route in turn."""
    found = Walk()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url=f"http://{OWN}"
    ) as client:
        for method, path in routes_of(app):
            name = f"{method} {path}"
            found.routes.append(name)
            if method == "WEBSOCKET":
                for headers in ({"host": OWN, **ELSEWHERE}, {"host": "elsewhere.example"}):
                    if (sent := await connect(app, path, headers)) != "websocket.close":
                        found.faults.append(f"{name} with {headers}: {sent}")
                continue
            expected: list[tuple[int, dict[str, str], bytes | None]] = [
                (421, {"host": "elsewhere.example"}, None),
                (403, ELSEWHERE, None),
                (403, {"sec-fetch-site": "cross-site"}, None),
                (403, {"sec-fetch-site": "same-site"}, None),
            ]
            if method not in ("GET", "HEAD"):
                plain = {"content-type": "text/plain"}
                expected += [(415, plain, b"{}"), (415, {}, b"{}")]
            for status, headers, body in expected:
                answer = await client.request(method, path, headers=headers, content=body)
                if answer.status_code != status:
                    found.faults.append(f"{name} with {headers}: {answer.status_code}, not {status}")
            if method not in ("GET", "HEAD"):
                form = {"content-type": "multipart/form-data; boundary=x"}
                if (await client.request(method, path, headers=form, content=b"--x--")).status_code != 415:
                    found.forms.append(name)
    return found


async def connect(app: Any, path: str, headers: dict[str, str]) -> str:
    """Open a WebSocket; returns the type of what comes first."""
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"} if not sent else {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": raw}
    await app({**scope, "server": ("127.0.0.1", 8321), "subprotocols": []}, receive, send)
    return sent[0]


async def main() -> None:
    app = import_module(f"{host.NAME}.core.server.server").create_app()
    async with app.router.lifespan_context(app):
        found = await walk(app)
    sys.stdout.write(json.dumps(asdict(found)))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
