"""A client that sends one turn and reads its stream to the end, over as many connections as it takes."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx

from k8gentai.stack.drill.check import STREAM_ENDS, StreamEvent
from k8gentai.stack.terminal import sse

_PAUSE_SECONDS = 0.25
"""Between a connection that broke and the next."""
_WAITED_OUT = frozenset({429, 500, 502, 503, 504})
"""Statuses of a stack that is busy, or on its way down or up."""

TIMEOUT = httpx.Timeout(60, connect=5)


class RefusedError(Exception):
    """The stack does not take the turn; the message is its own."""


class GoneError(Exception):
    """The stack does not know a turn that it accepted."""


class Client:
    """One turn.

    Args:
        http: connections to the stack.
        agent: the agent's id.
        message: the input.
        on_accepted: told the turn's id as soon as it is known.
    """

    def __init__(
        self, http: httpx.AsyncClient, agent: str, message: str, on_accepted: Callable[[str], None]
    ) -> None:
        self._http = http
        self._body = {"model": agent, "input": message, "stream": True}
        self._on_accepted = on_accepted
        # The answer to a request that was accepted may be lost; sent again it must be the same turn.
        self._headers = {"Idempotency-Key": f"drill-{uuid.uuid4().hex}"}
        self.turn_id: str | None = None
        self.events: list[StreamEvent] = []
        """The stream as it was read."""

    async def run(self) -> None:
        """Send the turn and read it to its end.

        Raises:
            RefusedError: it was not accepted, and would not be later.
            GoneError
        """
        while not _ended(self.events):
            if self.turn_id is None:
                await self._read(self._take, "POST", "", json=self._body, headers=self._headers)
            else:
                params = {"stream": True, "starting_after": self.events[-1]["sequence_number"]}
                await self._read(self._take, "GET", f"/{self.turn_id}", params=params)

    async def again(self) -> list[StreamEvent]:
        """Return the stream once more, from its start.

        Raises:
            GoneError
        """
        while True:
            events: list[StreamEvent] = []
            await self._read(events.append, "GET", f"/{self.turn_id}", params={"stream": True})
            if _ended(events):
                return events

    async def kept(self) -> dict[str, Any] | None:
        """Return the response as the stack keeps it; None where it does not know it."""
        while True:
            with suppress(httpx.TransportError):
                answer = await self._http.get(f"/v1/responses/{self.turn_id}")
                if answer.is_success:
                    response: dict[str, Any] = answer.json()
                    return response
                if answer.status_code not in _WAITED_OUT:
                    return None
            await asyncio.sleep(_PAUSE_SECONDS)

    async def delete(self) -> None:
        """Have the stack forget the turn."""
        await self._http.delete(f"/v1/responses/{self.turn_id}")

    def _take(self, event: StreamEvent) -> None:
        if self.turn_id is None:
            self.turn_id = event["response"]["id"]
            self._on_accepted(self.turn_id)
        self.events.append(event)

    async def _read(self, take: Callable[[StreamEvent], None], method: str, path: str, **request: Any) -> None:
        """Hand on the events of one answer, up to its end or that of the connection."""
        pause = _PAUSE_SECONDS
        try:
            async with self._http.stream(method, f"/v1/responses{path}", **request) as answer:
                if answer.is_success:
                    async for event in sse.events(answer):
                        if event["type"] == "error":
                            break
                        take(event)
                        if event["type"] in STREAM_ENDS:
                            pause = 0
                else:
                    await answer.aread()
                    self._check(answer)
                    pause = float(answer.headers.get("retry-after", _PAUSE_SECONDS))
        except httpx.TransportError:
            pass
        await asyncio.sleep(pause)

    def _check(self, answer: httpx.Response) -> None:
        """Check whether the stack's answer in place of a stream may be another one later."""
        if answer.status_code == httpx.codes.NOT_FOUND and self.turn_id is not None:
            raise GoneError(self.turn_id)
        if answer.status_code not in _WAITED_OUT:
            raise RefusedError(f"the stack answered {answer.status_code}: {_message(answer)}")


def _ended(events: list[StreamEvent]) -> bool:
    return bool(events) and events[-1]["type"] in STREAM_ENDS


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]
