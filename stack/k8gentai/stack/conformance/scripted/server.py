"""Runs the scripted model on a thread of the test process."""

import asyncio
import time

from k8gentai.stack.conformance.loopback import LoopbackServer
from k8gentai.stack.conformance.scripted.app import ScriptedApp
from k8gentai.stack.conformance.scripted.steps import Received, Step


class ScriptedModel(LoopbackServer):
    """The scripted model on a free loopback port, in a thread of its own with its own event loop."""

    def __init__(self) -> None:
        self._app = ScriptedApp()
        super().__init__(self._app, lifespan="off")

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    def script(self, key: str, *steps: Step) -> None:
        """Give the answers, in order, to the requests whose last key in a user message is ``[[key]]``."""
        self._app.script(key, *steps)

    def requests(self, key: str | None = None) -> list[Received]:
        """Return the requests received, of one key or all, in the order they came."""
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
