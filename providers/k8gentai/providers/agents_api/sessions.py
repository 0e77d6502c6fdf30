"""Sessions of the classic API, and the turns in them."""

import math
from typing import Any

from k8gentai.agents.contract.events import Event
from k8gentai.providers import host
from k8gentai.providers.agents_api.errors import not_found
from k8gentai.providers.agents_api.parts import ClassicPart, Part, as_time, turn_of
from k8gentai.providers.agents_api.render import render_part
from k8gentai.providers.agents_api.store import AgentStore, StoredSession
from k8gentai.providers.errors import ApiError
from k8gentai.providers.responses_api.service import ResponsesService
from k8gentai.providers.turns.reader import TurnReader
from k8gentai.workers.queue.record import TurnRecord
from k8gentai.workers.queue.turns import TurnNotFoundError, Turns


class Sessions:
    """Reads and keeps sessions, as the current caller.

    Turns that are not settled are read from Redis, the others from the store.

    Args:
        turns: turns in Redis.
        reader: reads them for the caller.
        store: the API's tables.
        responses: forgets turns.
        conversations: the host's Conversations API.
    """

    def __init__(
        self, turns: Turns, reader: TurnReader, store: AgentStore, responses: ResponsesService, conversations: Any
    ) -> None:
        self._turns = turns
        self._reader = reader
        self._store = store
        self._responses = responses
        self._conversations = conversations

    async def create(self, agent_id: str, name: str) -> str:
        """Begin a session. Returns its id, which is that of its conversation."""
        conversation = await self._conversations.create_conversation(host.CreateConversationRequest())
        session = StoredSession(
            id=conversation.id, agent_id=agent_id, name=name, created_at=conversation.created_at
        )
        await self._store.put_session(session)
        return session.id

    async def find(self, agent_id: str, session_id: str) -> StoredSession:
        """Return the session.

        Raises:
            ApiError: the agent has none of that id that the caller may see (404).
        """
        session = await self._store.session(session_id)
        if session is None or session.agent_id != agent_id:
            raise not_found("Session", session_id, f"GET /v1/agents/{agent_id}/sessions lists those there are.")
        return session

    async def of_agent(self, agent_id: str) -> list[dict[str, Any]]:
        """Return all sessions of an agent, oldest first, without their turns."""
        return [_shown(session, []) for session in await self._store.sessions(agent_id)]

    async def show(self, agent_id: str, session_id: str, turn_ids: set[str] | None) -> dict[str, Any]:
        """Return the session with its turns.

        Args:
            turn_ids: the turns to show; None for all.
        """
        session = await self.find(agent_id, session_id)
        turns = [
            turn_of(parts) for turn_id, parts in await self._by_turn(session_id) if _wanted(turn_id, turn_ids)
        ]
        return _shown(session, turns)

    async def parts(self, agent_id: str, session_id: str, turn_id: str) -> list[Part]:
        """Return all parts of a turn, in their order.

        Raises:
            ApiError: there is no such session or turn (404).
        """
        await self.find(agent_id, session_id)
        for found, parts in await self._by_turn(session_id):
            if found == turn_id:
                return parts
        raise not_found("Turn", turn_id, f"GET /v1/agents/{agent_id}/session/{session_id} lists those there are.")

    async def delete(self, agent_id: str, session_id: str) -> None:
        """Forget the session, its turns and its conversation; turns that have not ended are cancelled.

        Raises:
            ApiError: there is no such session (404).
        """
        await self.find(agent_id, session_id)
        for _, parts in await self._by_turn(session_id):
            for part in parts:
                await self._forget(part.id)
        await self._store.delete_session(session_id)
        try:
            request = host.DeleteConversationRequest(conversation_id=session_id)
            await self._conversations.openai_delete_conversation(request)
        except host.ConversationNotFoundError:
            pass

    async def settled(self, record: TurnRecord, events: list[Event]) -> None:
        """Keep a turn that has ended, where it came through this API; called as its owner."""
        if ClassicPart.of(record) and await self._store.session(record.turn.conversation or "") is not None:
            await self._store.put_part(render_part(record, events, record.ended_at))

    async def _forget(self, part_id: str) -> None:
        try:
            await self._responses.delete(part_id)
        except ApiError as error:
            # Its response may have been deleted before.
            if error.status_code != 404:
                raise
        await self._store.delete_part(part_id)

    async def _by_turn(self, session_id: str) -> list[tuple[str, list[Part]]]:
        """Return the session's turns, in the order they came, each with its parts."""
        # Turns under way first: one that is settled meanwhile shows in the store, and counts once.
        found = {part.id: part for part in await self._unsettled(session_id)}
        found |= {part.id: part for part in await self._store.parts(session_id)}
        turns: dict[str, list[Part]] = {}
        for part in sorted(found.values(), key=_ended):
            turns.setdefault(part.turn_id, []).append(part)
        return list(turns.items())

    async def _unsettled(self, session_id: str) -> list[Part]:
        found = []
        for turn_id in await self._turns.in_conversation(session_id):
            try:
                record, events = await self._reader.so_far(await self._reader.record(turn_id, "read"))
            except TurnNotFoundError:
                continue
            if ClassicPart.of(record):
                found.append(render_part(record, events, record.ended_at))
        return found


def _ended(part: Part) -> float:
    """Return when a part ended, by Redis' clock. One turn of a session runs at a time, so those that have not
    ended come last, and are sorted already.
    """
    return math.inf if part.ended_at is None else part.ended_at


def _wanted(turn_id: str, turn_ids: set[str] | None) -> bool:
    return turn_ids is None or turn_id in turn_ids


def _shown(session: StoredSession, turns: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "session_id": session.id,
        "session_name": session.name,
        "started_at": as_time(session.created_at),
        "turns": turns,
    }
