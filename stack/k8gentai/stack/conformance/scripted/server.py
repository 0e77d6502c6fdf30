"""Runs the scripted model on a thread of the test process."""

import asyncio
import socket
import threading
import time

import uvicorn

from k8gentai.stack.conformance.scripted.app import ScriptedApp
from k8gentai.stack.conformance.scripted.steps import Received, Step


class ScriptedModel:
    """The scripted model on a free loopback port, in a thread of its own with its own event loop."""

    def __init__(self) -> None:
        self._app = ScriptedApp()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        config = uvicorn.Config(self._app, log_config=None, lifespan="off", timeout_graceful_shutdown=0)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="scripted-model")

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def start(self) -> None:
        # The socket listens already, so a request that comes before the loop runs waits and is answered.
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def script(self, key: str, *steps: Step) -> None:
        """Give the answers, in order, to the requests whose last key in a user message is ``[[key]]``."""
        self._app.script(key, *steps)

    def requests(self, key: str | None = None) -> list[Received]:
        """The requests received, of one key or all, in the order they came."""
        with self._app.arrived:
            return [request for request in self._app.received if key is None or request.key == key]

    async def request(self, key: str, number: int = 0, timeout: float = 120) -> Received:  # noqa: ASYNC109
        """Wait for the ``number``th request (from 0) of a key.

        Raises:
            AssertionError: after ``timeout`` seconds.
        """
        return await asyncio.to_thread(self._wait, key, number, timeout)

    def _wait(self, key: str, number: int, timeout: float) -> Received:
        until = time.monotonic() + timeout
        with self._app.arrived:
            while True:
                for request in self._app.received:
                    if request.key == key and request.number == number:
                        return request
                if not self._app.arrived.wait(until - time.monotonic()):
                    raise AssertionError(f"no model call {number} of {key!r} within {timeout} s")
