"""Tells whether the agent waits for the answer to a call that came to the gateway."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import structlog
from starlette.requests import Request

from k8gentai.workers.attempt.given_up import GivenUp
from k8gentai.workers.gateway.model_calls import ModelCalls, cancel_once
from k8gentai.workers.queue.attempts import FencedError

_SILENCE = {"index": 0, "delta": {"content": ""}, "finish_reason": None}
"""A choice of a chunk that says nothing."""
_LONGER = 1.2
_WAKING_SECONDS = 1.0

log = structlog.get_logger(__name__)


def is_ending(chunk: dict[str, Any]) -> bool:
    """Return whether a chunk of an answer ends it, or one of its choices."""
    return any(choice.get("finish_reason") for choice in chunk.get("choices") or ())


class Patience:
    """An agent that waits for the answer to a call, or does not.

    Args:
        calls: the attempt whose call it is.
        key: the call, as the journal has it.
        model: the model that is asked.
        around: the tool call inside which it is made, empty where it is inside none.
    """

    def __init__(self, calls: ModelCalls, key: str, model: str, around: str = "") -> None:
        self._around = around
        self._calls = calls
        self._key = calls.journal.patience_key(key)
        self._model = model
        self._began = time.monotonic()
        self.before = calls.journal.given_up(self._key)
        """The earlier attempt's giving up of the call; None where it did not."""
        self.is_asked = False
        """Whether the model itself is asked."""
        self.is_over = False
        """Whether the agent was shown the answer's end, or waits for it no more."""
        self._shown: list[dict[str, Any]] = []

    async def hold(self) -> None:
        """Hold the call, where the agent gave it up in an earlier attempt, for longer than the agent waited then.
        The agent cancels this as it gives the call up again.

        Raises:
            FencedError: the attempt is over.
        """
        if self.before is not None:
            await self._calls.journal.hold(self._key, self.before)

    async def wake(self) -> AsyncGenerator[dict[str, Any]]:
        """Hold the call of an agent that had left an answer in its middle, and yield chunks that say nothing once
        it has waited for longer than then: code that looks at its clock, or at whether it is wanted any more, does
        so between chunks. To a client's time-out of silence, which it comes after, they are no answer.

        Raises:
            FencedError: the attempt is over.
        """
        assert self.before is not None  # noqa: S101 - it is asked before
        silent = {**self.before.chunks[-1], "choices": [_SILENCE]}
        holding = asyncio.create_task(self.hold())
        try:
            await asyncio.wait({holding}, timeout=self.before.seconds * _LONGER + _WAKING_SECONDS)
            while not holding.done():
                yield silent
                await asyncio.wait({holding}, timeout=_WAKING_SECONDS)
            await holding
        finally:
            cancel_once(holding)

    def show(self, chunk: dict[str, Any]) -> None:
        """Note a chunk of the answer that the agent is about to be shown; it waits for no more after the last."""
        self._shown.append(chunk)
        self.is_over |= is_ending(chunk)

    def watch(self, request: Request, asking: asyncio.Task[Any]) -> None:
        """Watch whether the agent's client leaves before it has the answer. The call is cancelled then, and it is
        kept that the agent has none.

        Args:
            request: the client's, whose body was read.
            asking: the call.
        """
        self._calls.watch(asyncio.create_task(self._watch(request, asking)))

    async def _watch(self, request: Request, asking: asyncio.Task[Any]) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        if self.is_over:
            return
        self.is_over = True
        cancel_once(asking)
        if self._calls.is_ending:
            return
        self._calls.left = self._model
        if not self.is_asked:
            return
        given_up = GivenUp(seconds=time.monotonic() - self._began, chunks=self._shown)
        log.info("model_call_given_up", turn=self._calls.turn_id, model=self._model, seconds=given_up.seconds)
        try:
            await self._calls.journal.record_given_up(self._key, given_up, self._around)
        except FencedError:
            log.info("turn_ended_elsewhere", turn=self._calls.turn_id)
