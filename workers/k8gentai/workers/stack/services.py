"""Asks the stack over its HTTP API to act for a turn (``k8gentai.providers.worker_api.services`` answers)."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from k8gentai.agents.contract.stack_services import StackFile
from k8gentai.agents.contract.turn import ToolFailedError
from k8gentai.workers.attempt.journal import EffectRefusedError, Journal
from k8gentai.workers.isolation.agents_loop import in_loop
from k8gentai.workers.queue.attempts import FencedError
from k8gentai.workers.queue.grants import Parent
from k8gentai.workers.stack.client import StackClient, StackRefusedError
from k8gentai.workers.stack.credentials import Caller
from k8gentai.workers.stack.service_api import (
    FILE,
    FILE_SEARCH,
    MODERATION,
    SERVICES_PATH,
    WEB_SEARCH,
    File,
    FileSearch,
    Moderation,
    Service,
    WebSearch,
)

_SECONDS = 120.0
"""The seconds that the stack may take, its restart included."""


class TurnServices:
    """The stack's services for one attempt (:class:`k8gentai.agents.contract.stack_services.StackServices`).

    To be made in the worker's own loop, and used in any. What an earlier attempt was answered or refused is not
    asked again. What is asked changes nothing in the stack, so it is asked again where the connection broke.

    Args:
        stack: answers.
        caller: the attempt.
        journal: the turn's.
        around: returns the tool call that the code at hand works for; empty where it works for none.
    """

    def __init__(self, stack: StackClient, caller: Caller, journal: Journal, around: Callable[[], str]) -> None:
        self._stack = stack
        self._home = asyncio.get_running_loop()
        self._journal = journal
        self._around = around
        # It leaves nothing to a turn that would be asked for in its name.
        grant = Parent(turn_id=caller.turn_id, depth=0, tokens=0, deadline=0)
        self._caller = replace(caller, grant=grant)

    async def search_vector_store(self, vector_store_id: str, search: dict[str, Any]) -> list[dict[str, Any]]:
        asked = FileSearch(vector_store_id=vector_store_id, search=search)
        return (await self._ask(FILE_SEARCH, asked)).data

    async def search_web(self, arguments: dict[str, Any]) -> str:
        return (await self._ask(WEB_SEARCH, WebSearch(arguments=arguments))).text

    async def violation(self, text: str, guardrail: str) -> str | None:
        return (await self._ask(MODERATION, Moderation(text=text, guardrail=guardrail))).violation

    async def file(self, file_id: str) -> StackFile:
        # It never changes: a large one is rather read again than kept in Redis.
        file = await self._ask(FILE, File(file_id=file_id), bytes_of=lambda answer: len(answer["content"]))
        return StackFile(file.filename, file.decoded())

    async def _ask[Asked: BaseModel, Answer: BaseModel](
        self,
        service: Service[Asked, Answer],
        asked: Asked,
        *,
        bytes_of: Callable[[dict[str, Any]], int] | None = None,
    ) -> Answer:
        """Return the answer to a request, be it one that an earlier attempt was given.

        Args:
            service: the service that is asked.
            asked: the request.
            bytes_of: see :meth:`k8gentai.workers.attempt.journal.Journal.once`.

        Raises:
            ToolFailedError: the stack refused it, or did not answer in time.
            asyncio.CancelledError: the turn is another worker's.
        """
        # A field that a later version adds leaves the keys of what this one asks as they are.
        key = json.dumps(asked.model_dump(exclude_defaults=True), sort_keys=True)

        async def answered() -> dict[str, Any]:
            return await self._answered(service, asked)

        if (around := self._around()) and bytes_of is None:
            # What comes of it outside is the tool call's result, which is recorded itself.
            bytes_of = _size
        once = self._journal.once(service.name, key, answered, around=around, bytes_of=bytes_of)
        try:
            return service.answer.model_validate(await in_loop(self._home, once))
        except FencedError as error:
            raise asyncio.CancelledError from error

    async def _answered(self, service: Service[Any, Any], asked: BaseModel) -> dict[str, Any]:
        """Return the stack's answer.

        Raises:
            EffectRefusedError: the stack refuses, and would again.
            ToolFailedError: it refuses for now, or did not answer in time.
        """
        path = f"{SERVICES_PATH}/{service.name}"
        try:
            answer = await self._stack.post(path, asked.model_dump(), self._caller, seconds=_SECONDS)
        except StackRefusedError as error:
            if error.is_passing:
                raise
            raise EffectRefusedError(str(error), error.code, error.status) from error
        # As read: what is no answer is not recorded.
        try:
            read: dict[str, Any] = service.answer.model_validate(answer).model_dump()
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, fault["loc"]))
            raise ToolFailedError(f"what answered {path} is not the stack: {place}: {fault['msg']}") from error
        return read


def _size(answer: dict[str, Any]) -> int:
    """Return how large an answer is as the journal keeps it."""
    return len(json.dumps(answer))
