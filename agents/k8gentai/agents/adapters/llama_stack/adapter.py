"""Agents of Llama Stack: its own Responses loop around a model, declared in a definition or implied by a
model's name. The loop runs in this process; what it needs of a stack's server is the model endpoint alone.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import httpx
from llama_stack_api import CreateResponseRequest
from pydantic import ValidationError

from k8gentai.agents.adapters.llama_stack.loop import run_loop
from k8gentai.agents.adapters.llama_stack.models import new_client
from k8gentai.agents.adapters.llama_stack.request import build_request, definition_parameters
from k8gentai.agents.adapters.llama_stack.searches import SEARCHES
from k8gentai.agents.contract.events import Event
from k8gentai.agents.contract.turn import Adapter, AgentLoadError, FoundTools, RequestPart, Turn, TurnContext
from k8gentai.agents.resources.agent import AgentDefinition

_CLOSING_SECONDS = 5
"""The seconds that a closed turn may take to say goodbye to its MCP servers; the model is hung up on at once."""


@dataclass(frozen=True)
class LlamaStackAgent:
    """A declarative agent, or a plain model."""

    definition: AgentDefinition


class LlamaStackAdapter(Adapter[LlamaStackAgent]):
    """Runs Llama Stack's Responses loop.

    Turns share one HTTP client and nothing else: each has its own loop,
    model calls and MCP sessions, so that one turn's key can never serve another's call.

    Args:
        client: the HTTP client for model calls; by default one is made with the first turn.
    """

    framework = "llama-stack"
    default_concurrency = 50

    def __init__(self, client: httpx.AsyncClient | None = None) -> None:
        self._client = client

    def load(self, definition: AgentDefinition) -> LlamaStackAgent:
        """Check a declarative agent.

        Raises:
            AgentLoadError: it has an entrypoint, names no model, or a parameter out of its range.
        """
        spec = definition.spec
        if spec.entrypoint:
            raise AgentLoadError("spec.entrypoint: an agent of llama-stack is declarative and has none")
        if not spec.model.name:
            raise AgentLoadError("spec.model.name: an agent of llama-stack names its model")
        try:
            CreateResponseRequest(model=spec.model.name, input="", **definition_parameters(definition))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            raise AgentLoadError(f"spec.model: {fault['loc'][0]}: {fault['msg']}") from error
        return LlamaStackAgent(definition)

    def tools(self, agent: LlamaStackAgent) -> FoundTools:
        """Return the loop's own searches. A request may bring servers with more tools."""
        return FoundTools(frozenset(SEARCHES))

    def refuses(self, agent: LlamaStackAgent) -> frozenset[RequestPart]:
        """Find what an agent takes of no request: it takes all."""
        return frozenset()

    async def run(self, agent: LlamaStackAgent, turn: Turn, context: TurnContext) -> AsyncGenerator[Event]:
        """Run one attempt at a turn. Closing the iterator hangs up on the model.

        Raises:
            RequestError: the turn asks for what the loop cannot do here.
            ModelCallError: the model could not be called, or failed in its answer.
            McpServerError: an MCP server did not list its tools.
            StepLimitReached: after ``context.max_steps`` model calls.
        """
        model = context.model.model or agent.definition.spec.model.name
        request = build_request(agent.definition, turn, model or turn.agent)
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        # A task of its own, so that a step is told of when it begins, not when its first output is there.
        task = asyncio.create_task(
            run_loop(turn.agent, request, context, self._shared_client(), events.put_nowait, events.join)
        )
        task.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
                # Asking for the next event says that this one was taken.
                events.task_done()
            task.result()
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=_CLOSING_SECONDS)
            if task.done() and not task.cancelled():
                task.exception()

    async def aclose(self) -> None:
        """Close the shared HTTP client."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _shared_client(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = new_client()
        return self._client
