"""Keeps connections of clients whose requests ended in an error that was answered."""

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

_SERVER_ERROR = 500


class AnsweredErrors:
    """ASGI middleware that raises no error which its application has answered.

    Starlette raises each error again that a handler of ``Exception`` has answered, as the hosts have one, for the
    server to log. uvicorn then closes the connection without having said so, and the client's next request on it
    fails.

    Args:
        app: the whole application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0
        is_whole = False

        async def sending(message: Message) -> None:
            nonlocal status, is_whole
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                is_whole = not message.get("more_body", False)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            if not is_whole:
                raise
            if status >= _SERVER_ERROR:
                log.error("request_failed", path=scope["path"], status=status, exc_info=error)
