"""``GET /v1/models/{id}`` with the id of an agent as all else knows it: the host lists it with a prefix."""

from collections.abc import Callable
from urllib.parse import quote

from starlette.types import ASGIApp, Receive, Scope, Send

_PREFIX = "/v1/models/"


class ModelIds:
    """ASGI middleware that asks the host for agents by the ids it lists them by.

    Args:
        app: the host's application.
        listed: gives the id by which the host lists what a name means.
    """

    def __init__(self, app: ASGIApp, listed: Callable[[str], str]) -> None:
        self._app = app
        self._listed = listed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(_PREFIX):
            path = _PREFIX + self._listed(scope["path"].removeprefix(_PREFIX))
            scope = {**scope, "path": path, "raw_path": quote(path).encode()}
        await self._app(scope, receive, send)
