"""The classic Agents API over turns. Every method acts as the current caller.

A turn goes through the same accept as a response does: what it asks for is written as a request of the Responses
API in the session's conversation.
"""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from k8gentai.agents.contract.turn import Item
from k8gentai.providers.agents_api.config import request_fields
from k8gentai.providers.agents_api.content import input_items, tool_outputs
from k8gentai.providers.agents_api.directory import Directory
from k8gentai.providers.agents_api.errors import not_found, not_supported, read, turn_error
from k8gentai.providers.agents_api.parts import ClassicPart, Part, turn_of
from k8gentai.providers.agents_api.render import Chunk, PartRendering
from k8gentai.providers.agents_api.sessions import Sessions
from k8gentai.providers.agents_api.shapes import (
    AgentConfig,
    CreateAgent,
    CreateSession,
    CreateTurn,
    ResumeTurn,
    ToolConfig,
    ToolResponse,
)
from k8gentai.providers.agents_api.store import AgentStore, StoredAgent
from k8gentai.providers.agents_api.toolgroups import Toolgroups
from k8gentai.providers.errors import ApiError, invalid
from k8gentai.providers.ids import new_turn_id
from k8gentai.providers.requests.targets import Resolver
from k8gentai.providers.turns.acceptor import Acceptor
from k8gentai.providers.turns.reader import TurnReader
from k8gentai.workers.queue.admission import IdempotencyConflictError
from k8gentai.workers.queue.record import TurnRecord

_CONFIGURED = "agent_config.toolgroups"


@dataclass(frozen=True)
class Sent:
    """The names of a request, by which :meth:`Acceptor.accept` knows one that is sent again."""

    idempotency_key: str | None = None
    sdk_try: int | None = None


@dataclass(frozen=True)
class Accepted:
    """A turn, or the next part of one, that was accepted."""

    part: TurnRecord
    """The part as it was accepted."""
    before: list[Part]
    stream: bool


class AgentsService:
    """Agents, sessions, turns and steps.

    Args:
        acceptor: accepts turns.
        reader: reads them.
        resolver: finds what an agent's ``model`` names.
        directory: the agents.
        sessions: the sessions.
        toolgroups: the tool groups.
        store: the agents that were created.
    """

    def __init__(
        self,
        acceptor: Acceptor,
        reader: TurnReader,
        resolver: Resolver,
        directory: Directory,
        sessions: Sessions,
        toolgroups: Toolgroups,
        store: AgentStore,
    ) -> None:
        self._acceptor = acceptor
        self._reader = reader
        self._resolver = resolver
        self.directory = directory
        self.sessions = sessions
        self.toolgroups = toolgroups
        self._store = store

    async def create_agent(self, body: Any) -> str:
        """Keep an agent. Returns its id.

        Raises:
            ApiError: the configuration is wrong (400) or asks for what there is not (501).
        """
        config = read(CreateAgent, body).agent_config
        model, registered = self.directory.named(config)
        tools = await self.toolgroups.tools(config.toolgroups, _CONFIGURED)
        request_fields(config, tools, registered=registered, tool_config=None)
        try:
            await self._resolver.resolve(model)
        except ApiError as error:
            if error.status_code != 404:
                raise
            raise invalid(error.message, "agent_config.model", "model_not_found") from None
        agent_id = f"agent_{new_turn_id().removeprefix('resp_')}"
        await self._store.put_agent(StoredAgent(agent_id, int(time.time()), body["agent_config"]))
        return agent_id

    async def delete_agent(self, agent_id: str) -> None:
        """Forget a created agent and its sessions.

        Raises:
            ApiError: there is none (404), or it is registered (400).
        """
        await self.directory.config(agent_id)
        if self.directory.registered(agent_id) is not None:
            raise invalid(
                f"Agent '{agent_id}' is registered: take its definition away and update the registry.",
                "agent_id",
                "agent_registered",
            )
        for session in await self._store.sessions(agent_id):
            await self.sessions.delete(agent_id, session.id)
        await self._store.delete_agent(agent_id)

    async def create_session(self, agent_id: str, body: Any) -> str:
        """Begin a session. Returns its id."""
        name = read(CreateSession, body).session_name
        await self.directory.config(agent_id)
        return await self.sessions.create(agent_id, name)

    async def create_turn(self, agent_id: str, session_id: str, body: Any, sent: Sent) -> Accepted:
        """Accept a turn.

        Raises:
            ApiError: the request is wrong, or agent or session are not there; nothing was accepted. And what
                :meth:`Acceptor.accept` raises.
        """
        request = read(CreateTurn, body)
        config = await self._in_session(agent_id, session_id)
        tools = await self.toolgroups.tools(request.toolgroups, "toolgroups")
        items = input_items(request.messages, request.documents or [])
        messages = [message.model_dump(mode="json", exclude_none=True) for message in request.messages]
        part, _ = await self._acceptor.accept(
            await self._request(config, session_id, items, tools, request.tool_config),
            sent.idempotency_key,
            sent.sdk_try,
            lambda turn_id: ClassicPart(agent_id=agent_id, turn_id=turn_id, input_messages=messages).origin(),
            checks_outputs=False,
        )
        return Accepted(part, [], request.stream)

    async def resume_turn(self, agent_id: str, session_id: str, turn_id: str, body: Any) -> Accepted:
        """Accept the next part of a turn that waits for its client's tools. The same answer sent twice is one.

        Raises:
            ApiError: the turn waits for nothing, or for something else; and as :meth:`create_turn`.
        """
        request = read(ResumeTurn, body)
        config = await self._in_session(agent_id, session_id)
        parts = await self.sessions.parts(agent_id, session_id, turn_id)
        asking = _asking(parts, request.tool_responses)
        before = parts[: parts.index(asking) + 1]
        next_part = ClassicPart(
            agent_id=agent_id,
            turn_id=turn_id,
            input_messages=parts[0].input_messages,
            tool_calls=asking.message["tool_calls"],
            tool_responses=[response.model_dump(mode="json") for response in request.tool_responses],
            asked_at=asking.ended_at,
        )
        try:
            part, _ = await self._acceptor.accept(
                await self._request(config, session_id, tool_outputs(request.tool_responses), []),
                f"resume:{asking.id}",
                None,
                lambda _: next_part.origin(),
                checks_outputs=False,
            )
        except IdempotencyConflictError:
            raise invalid(f"Turn '{turn_id}' was resumed with other responses.", "tool_responses") from None
        return Accepted(part, before, request.stream)

    async def stream(self, accepted: Accepted) -> AsyncIterator[Chunk]:
        """Return the turn's chunks, those to come included."""
        record, rendering = await self._rendering(accepted)
        return self._reader.stream(rendering, accepted.part.turn.id, created=record)

    async def wait(self, accepted: Accepted) -> dict[str, Any]:
        """Return the turn when it has ended or waits for input.

        Raises:
            ApiError: it failed, or the server stops before that.
        """
        record, rendering = await self._rendering(accepted)
        await self._reader.wait(rendering, accepted.part.turn.id, created=record)
        turn = rendering.turn()
        if rendering.error:
            raise turn_error(turn["turn_id"], rendering.error)
        return turn

    async def turn(self, agent_id: str, session_id: str, turn_id: str) -> dict[str, Any]:
        """Return the turn as it stands."""
        return turn_of(await self.sessions.parts(agent_id, session_id, turn_id))

    async def step(self, agent_id: str, session_id: str, turn_id: str, step_id: str) -> dict[str, Any]:
        """Return the step as it stands.

        Raises:
            ApiError: there is no such session, turn or step (404).
        """
        turn = await self.turn(agent_id, session_id, turn_id)
        for step in turn["steps"]:
            if step["step_id"] == step_id:
                return dict(step)
        raise not_found("Step", step_id, "The turn lists its steps.")

    async def _in_session(self, agent_id: str, session_id: str) -> AgentConfig:
        config = await self.directory.config(agent_id)
        await self.sessions.find(agent_id, session_id)
        return config

    async def _request(
        self,
        config: AgentConfig,
        session_id: str,
        items: list[Item],
        tools: list[dict[str, Any]],
        tool_config: ToolConfig | None = None,
    ) -> dict[str, Any]:
        """Return what ``POST /v1/responses`` would be sent."""
        model, registered = self.directory.named(config)
        tools = [*await self.toolgroups.tools(config.toolgroups, _CONFIGURED), *tools]
        fields = request_fields(config, tools, registered=registered, tool_config=tool_config)
        return {**fields, "model": model, "input": items, "conversation": session_id}

    async def _rendering(self, accepted: Accepted) -> tuple[TurnRecord, PartRendering]:
        record = await self._reader.created(accepted.part)
        return record, PartRendering(record, accepted.before)


def _asking(parts: list[Part], responses: list[ToolResponse]) -> Part:
    """Return the part that asked for these responses.

    Raises:
        ApiError: none did.
    """
    last = parts[-1]
    if last.status == "suspended":
        raise not_supported(
            "tool_responses",
            f"the turn waits for a person's approval: 'k8gentai turns approve {last.id}', or an "
            "'mcp_approval_response' with POST /v1/responses in the conversation that the session is.",
        )
    answered = {response.call_id for response in responses}
    for part in reversed(parts):
        asked = {call["call_id"] for call in part.message["tool_calls"]}
        if part.status == "awaiting_input" and answered == asked:
            _check_names(part, responses)
            return part
    if last.status != "awaiting_input":
        raise invalid(f"Turn '{last.turn_id}' does not wait for tool responses.", "tool_responses")
    asked = {call["call_id"] for call in last.message["tool_calls"]}
    for index, response in enumerate(responses):
        if response.call_id not in asked:
            place = f"tool_responses[{index}].call_id"
            raise invalid(f"'{place}': the turn did not ask for '{response.call_id}'.", place)
    missing = ", ".join(sorted(asked - answered))
    raise invalid(f"'tool_responses': no response to {missing}.", "tool_responses")


def _check_names(part: Part, responses: list[ToolResponse]) -> None:
    """See that each response names the tool of the call that it answers.

    Raises:
        ApiError: one names another.
    """
    names = {call["call_id"]: call["tool_name"] for call in part.message["tool_calls"]}
    for index, response in enumerate(responses):
        if response.tool_name != names[response.call_id]:
            place, name = f"tool_responses[{index}].tool_name", names[response.call_id]
            raise invalid(f"'{place}': '{response.call_id}' is a call of '{name}'.", place)
