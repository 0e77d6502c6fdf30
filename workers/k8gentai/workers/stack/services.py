"""Asks the stack over its HTTP API to act for a turn (``k8gentai.providers.worker_api.services`` answers)."""

import asyncio
import base64
from dataclasses import replace
from typing import Any

from k8gentai.agents.contract.stack_services import StackFile
from k8gentai.agents.contract.turn import ToolFailedError
from k8gentai.workers.isolation.agents_loop import in_loop
from k8gentai.workers.queue.grants import Parent
from k8gentai.workers.stack.client import StackClient
from k8gentai.workers.stack.credentials import Caller

SERVICES_PATH = "/v1/amf/services"
_SECONDS = 120.0
"""How long the stack may take, its restart included."""


class TurnServices:
    """The stack's services for one turn (:class:`k8gentai.agents.contract.stack_services.StackServices`).

    To be made in the worker's own loop, and used in any. What is asked changes nothing in the stack, so it is
    asked again where the connection broke.

    Args:
        stack: answers.
        caller: the attempt.
    """

    def __init__(self, stack: StackClient, caller: Caller) -> None:
        self._stack = stack
        self._home = asyncio.get_running_loop()
        # It leaves nothing to a turn that would be asked for in its name.
        grant = Parent(turn_id=caller.turn_id, depth=0, tokens=0, deadline=0)
        self._caller = replace(caller, grant=grant)

    async def search_vector_store(self, vector_store_id: str, search: dict[str, Any]) -> list[dict[str, Any]]:
        answer = await self._ask("file-search", {"vector_store_id": vector_store_id, "search": search})
        found: list[dict[str, Any]] = answer["data"]
        return found

    async def search_web(self, arguments: dict[str, Any]) -> str:
        return str((await self._ask("web-search", {"arguments": arguments}))["text"])

    async def violation(self, text: str, guardrail: str) -> str | None:
        answer = await self._ask("moderation", {"text": text, "guardrail": guardrail})
        violation: str | None = answer["violation"]
        return violation

    async def file(self, file_id: str) -> StackFile:
        answer = await self._ask("file", {"file_id": file_id})
        return StackFile(answer["filename"], base64.b64decode(answer["content"]))

    async def _ask(self, service: str, body: dict[str, Any]) -> dict[str, Any]:
        asked = self._stack.post(f"{SERVICES_PATH}/{service}", body, self._caller)
        try:
            async with asyncio.timeout(_SECONDS):
                return await in_loop(self._home, asked)
        except TimeoutError as error:
            raise ToolFailedError(f"the stack did not answer within {_SECONDS:g} s") from error
