"""A server in a thread of its own, on a free loopback port: what stands at the network's edge of a test."""

import socket
import threading
from typing import Any

import uvicorn

_STOP_SECONDS = 10


class LoopbackServer:
    """Serves an ASGI application between :meth:`start` and :meth:`stop`.

    Args:
        app: the application.
        lifespan: whether it wants to hear of its start and end: uvicorn's ``auto``, ``on`` or ``off``.
    """

    def __init__(self, app: Any, lifespan: Any = "auto") -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        config = uvicorn.Config(app, log_config=None, lifespan=lifespan, timeout_graceful_shutdown=0)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    @property
    def origin(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def start(self) -> None:
        # The socket listens already, so a request that comes before the server runs waits and is answered.
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)
        self._socket.close()
