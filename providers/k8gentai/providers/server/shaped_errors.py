"""Errors of the host's own routes, in the shape of the OpenAI API.

The hosts leave out what is null, and know neither the field at fault nor a code. Where no route is, Starlette
answers, in a shape of its own.
"""

import ast
import json
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from k8gentai.agents.text.json_text import json_text
from k8gentai.providers import host
from k8gentai.providers.errors import ApiError

_ERROR = 400
_FIELDS = frozenset({"message", "type", "param", "code"})
_CODES = {404: "not_found", 405: "method_not_allowed"}
_PARTS = frozenset({"body", "query", "path", "header"})
"""Where FastAPI finds fields."""
_BARE = "Not Found", "Method Not Allowed"
"""What Starlette says where no route is."""


class ShapedErrors:
    """ASGI middleware that completes errors, and leaves those that are whole, or of another API's shape.

    Args:
        app: the host's application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def sending(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_error(message):
                start = message
                return
            if start is None:
                await send(message)
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                whole = shaped(start["status"], body, f"{scope['method']} {scope['path']}")
                MutableHeaders(raw=start["headers"])["content-length"] = str(len(whole))
                await send(start)
                await send({"type": "http.response.body", "body": whole})

        await self._app(scope, receive, sending)


def shaped(status: int, body: bytes, asked: str) -> bytes:
    """Return the body of an error in the API's shape, or as it is where it is no error of the host's.

    Args:
        status: the HTTP status.
        body: JSON, as it would be sent.
        asked: the request's method and path.
    """
    try:
        sent = json.loads(body)
    except ValueError:
        return body
    match sent:
        case {"error": dict(error)} if len(sent) == 1 and "message" in error and error.keys() < _FIELDS:
            told = _told(status, error["message"], error)
        case {"detail": detail} if len(sent) == 1:
            told = _told(status, f"{asked}: {detail}" if detail in _BARE else detail, {})
        case _:
            return body
    return json.dumps(told).encode()


def _is_error(start: Message) -> bool:
    is_json = Headers(raw=start["headers"]).get("content-type", "").startswith("application/json")
    return bool(start["status"] >= _ERROR and is_json)


def _told(status: int, said: Any, known: dict[str, Any]) -> dict[str, Any]:
    words = said if isinstance(said, str) else json_text(said)
    param: str | None = None
    if fault := _fault(words):
        param = ".".join(map(str, fault["loc"])) or None
        words = f"'{param}': {fault['msg']}." if param else f"{fault['msg']}."
    else:
        param = host.parameter_at_fault(words)
    code = "invalid_value" if param else _CODES.get(status)
    error = ApiError(status, words, code=code, param=param).body()["error"]
    return {"error": {**error, **{name: value for name, value in known.items() if value and name != "message"}}}


def _fault(words: str) -> dict[str, Any] | None:
    """Return the first fault, with its place among the fields, where an error tells of some as the hosts do: they
    write what pydantic found as Python does.
    """
    try:
        match ast.literal_eval(words):
            case {"errors": [{"loc": ["body", int()], "msg": "JSON decode error"}, *_]}:
                # The place is one in the text.
                return {"loc": [], "msg": "The body is not valid JSON"}
            case {"errors": [{"loc": [first, *rest], "msg": str(said)}, *_]}:
                return {"loc": rest if first in _PARTS else [first, *rest], "msg": said.rstrip(".")}
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    return None
