"""Agents, sessions and the parts of finished turns in the host's SQL store, each owned by who made it.

Every call acts as the current caller (:func:`k8gentai.providers.host.access.acting_as`).
"""

from dataclasses import dataclass
from typing import Any, Self

from k8gentai.providers import host
from k8gentai.providers.agents_api.parts import Part

_PAGE = 100


@dataclass(frozen=True)
class StoredAgent:
    """An agent that was created through the API."""

    id: str
    created_at: int
    """Unix time in seconds."""
    config: dict[str, Any]
    """The agent's config as its creator sent it."""


@dataclass(frozen=True)
class StoredSession:
    """A session. Its id is that of its conversation."""

    id: str
    agent_id: str
    name: str
    created_at: int
    """Unix time in seconds."""


class _Table:
    """A table whose rows sort by their ids in the order they were made, or in which order does not matter."""

    def __init__(self, name: str, sql: Any) -> None:
        self._name = name
        self._sql = sql

    @classmethod
    async def declare(cls, name: str, columns: dict[str, Any], backend: str, policy: list[Any]) -> Self:
        sql = await host.sql_store(backend, name, policy)
        key = host.ColumnDefinition(type=host.ColumnType.STRING, primary_key=True)
        await sql.create_table(name, {"id": key, **columns})
        return cls(name, sql)

    async def get(self, id_: str) -> dict[str, Any] | None:
        row: dict[str, Any] | None = await self._sql.fetch_one(self._name, where={"id": id_})
        return row

    async def put(self, row: dict[str, Any]) -> None:
        await self._sql.upsert(self._name, row, conflict_columns=["id"])

    async def delete(self, id_: str) -> bool:
        """Delete a row. Returns whether there was one that the caller may delete."""
        where = {"id": id_}
        if await self._sql.fetch_one(self._name, where=where, action=host.Action.DELETE) is None:
            return False
        await self._sql.delete(self._name, where=where)
        return True

    async def rows(self, where: dict[str, Any], limit: int | None = None) -> list[dict[str, Any]]:
        """Return the first ``limit`` rows that the caller may see, all where it is None."""
        found: list[dict[str, Any]] = []
        after: str | None = None
        while limit is None or len(found) < limit:
            asked = {**where, "id": {">": after}} if after else where
            page = await self._sql.fetch_all(
                self._name, where=asked or None, limit=_PAGE, order_by=[("id", "asc")]
            )
            # A custom policy may have hidden rows of the page, so it can be empty without being the last.
            found += page.data
            if not page.has_more or not page.data:
                break
            after = page.data[-1]["id"]
        return found[:limit]


class AgentStore:
    """The three tables.

    Args:
        agents: of agents that were created.
        sessions: of sessions.
        parts: of settled turns.
    """

    def __init__(self, agents: _Table, sessions: _Table, parts: _Table) -> None:
        self._agents = agents
        self._sessions = sessions
        self._parts = parts

    @classmethod
    async def declare(cls, backend: str, policy: list[Any]) -> Self:
        """Declare the tables. The host creates them on the first query of any.

        Args:
            backend: the name of a SQL backend in the host's ``storage.backends``.
            policy: the host's access rules.
        """
        kind = host.ColumnType
        agents = {"created_at": kind.INTEGER, "config": kind.JSON}
        sessions = {"agent_id": kind.STRING, "name": kind.STRING, "created_at": kind.INTEGER}
        parts = {"session_id": kind.STRING, "part": kind.JSON}
        return cls(
            await _Table.declare("amf_agents", agents, backend, policy),
            await _Table.declare("amf_sessions", sessions, backend, policy),
            await _Table.declare("amf_session_turns", parts, backend, policy),
        )

    async def put_agent(self, agent: StoredAgent) -> None:
        await self._agents.put({"id": agent.id, "created_at": agent.created_at, "config": agent.config})

    async def agent(self, agent_id: str) -> StoredAgent | None:
        row = await self._agents.get(agent_id)
        return None if row is None else _agent(row)

    async def agents(self, limit: int) -> list[StoredAgent]:
        """Return the first ``limit``, oldest first."""
        return [_agent(row) for row in await self._agents.rows({}, limit)]

    async def delete_agent(self, agent_id: str) -> bool:
        """Delete an agent. Returns whether there was one that the caller may delete."""
        return await self._agents.delete(agent_id)

    async def put_session(self, session: StoredSession) -> None:
        await self._sessions.put(vars(session))

    async def session(self, session_id: str) -> StoredSession | None:
        row = await self._sessions.get(session_id)
        return None if row is None else _session(row)

    async def sessions(self, agent_id: str) -> list[StoredSession]:
        """Return the agent's, oldest first."""
        found = [_session(row) for row in await self._sessions.rows({"agent_id": agent_id})]
        return sorted(found, key=lambda session: session.created_at)

    async def delete_session(self, session_id: str) -> bool:
        """Delete a session. Returns whether there was one that the caller may delete."""
        return await self._sessions.delete(session_id)

    async def put_part(self, part: Part) -> None:
        """Write a part, or write it again."""
        await self._parts.put({"id": part.id, "session_id": part.session_id, "part": part.model_dump(mode="json")})

    async def parts(self, session_id: str) -> list[Part]:
        """Return those of the session's turns that are settled, in their order."""
        return [Part.model_validate(row["part"]) for row in await self._parts.rows({"session_id": session_id})]

    async def delete_part(self, part_id: str) -> None:
        await self._parts.delete(part_id)


def _agent(row: dict[str, Any]) -> StoredAgent:
    return StoredAgent(id=row["id"], created_at=row["created_at"], config=row["config"])


def _session(row: dict[str, Any]) -> StoredSession:
    return StoredSession(id=row["id"], agent_id=row["agent_id"], name=row["name"], created_at=row["created_at"])
