"""Other agents as an agent's tools: a call is a turn of the other one, whatever its framework.

The turn is one of its own, in its own pool, with its own journal. It is asked for by the call's idempotency key,
so an agent that is run again finds the turn that it had asked for. One that waits for a person is in its parent's
journal, too: it may have to be found long after its key is gone. It ends with its parent (``lua/prelude.lua``).
"""

import asyncio
from typing import Any

from k8gentai.agents.contract.events import Usage
from k8gentai.agents.contract.turn import DeclaredTool, ToolFailedError
from k8gentai.workers.attempt.journal_entries import AskedAgent
from k8gentai.workers.queue.attempts import Started
from k8gentai.workers.queue.grants import Parent, bounded
from k8gentai.workers.stack.client import StackClient, StackRefusedError
from k8gentai.workers.stack.credentials import Caller
from k8gentai.workers.tools.agent_cache import LoadedAgents, ReadyAgent
from k8gentai.workers.tools.concurrency import Slot
from k8gentai.workers.tools.running_call import RunningCall, running_call

_PARAMETERS = {
    "type": "object",
    "properties": {
        "input": {
            "type": "string",
            "description": "What to ask or to have done, with everything that has to be known for it: the agent "
            "sees nothing of this conversation.",
        }
    },
    "required": ["input"],
    "additionalProperties": False,
}


_LONGEST_KEY = 255
"""Characters of an idempotency key that the stack takes."""

_ANSWERED = "approval_answered"
"""The code by which the stack refuses an answer to a turn that waits no longer."""


class AgentTools:
    """Makes tools of the agents that definitions name.

    Args:
        agents: what is known of agents.
        stack: answers for them.
    """

    def __init__(self, agents: LoadedAgents, stack: StackClient) -> None:
        self._agents = agents
        self._stack = stack

    def of(self, ready: ReadyAgent, started: Started, slot: Slot) -> list[DeclaredTool]:
        """Return the agents among the tools of a definition, for one attempt.

        Args:
            ready: whose definition.
            started: the attempt.
            slot: lent to others while the attempt waits.
        """
        spec = ready.agent.definition.spec
        depth = bounded(spec.limits, started.accepted.parent, started.clock.now()).depth
        return [
            DeclaredTool(
                name=entry.name,
                description=entry.description or self._agents.description(entry.agent) or entry.agent,
                parameters=_PARAMETERS,
                call=_Question(self._stack, entry.agent, started, depth, slot).ask,
                policy=entry,
            )
            for entry in spec.tools
            if entry.agent
        ]


class _Question:
    """What an attempt asks of one other agent.

    Args:
        stack: has the turns made.
        agent: the other one.
        started: the attempt.
        depth: how many agents deep it may go from here.
        slot: the attempt's.
    """

    def __init__(self, stack: StackClient, agent: str, started: Started, depth: int, slot: Slot) -> None:
        self._stack = stack
        self._agent = agent
        self._started = started
        self._depth = depth
        self._slot = slot

    async def ask(self, arguments: dict[str, Any]) -> str:
        """Return the other agent's answer.

        Raises:
            ToolFailedError: it cannot be asked, or came to no answer.
        """
        question = arguments.get("input")
        if not isinstance(question, str):
            raise ToolFailedError("input: is missing; it is what the agent is asked, as text")
        if self._depth < 1:
            raise ToolFailedError(
                f"agent {self._agent!r} is not asked: agents have asked agents as deep as limits.depth allows"
            )
        async with self._slot.lent():
            return await self._converse(question)

    async def _converse(self, question: str) -> str:
        """Ask, and pass on what the other agent asks of people, until it has come to an end."""
        call = running_call()
        while True:
            asked = call.asked_agent
            key, body = self._question(call, question) if asked is None else await self._answer(call, asked)
            try:
                response = await self._stack.respond(body, key, self._caller(call))
            except StackRefusedError as error:
                self._begin_anew(call, error)
                continue
            call.usage.append(_usage(self._agent, response))
            # What was said before a person was asked is not said again after it.
            said = _said(response) or (asked.said if asked else "")
            requests = [item for item in response["output"] if item["type"] == "mcp_approval_request"]
            if response["status"] != "completed" or not requests:
                self._check(response)
                return said
            call.asked_agent = AskedAgent(response_id=response["id"], key=key, requests=requests, said=said)

    def _begin_anew(self, call: RunningCall, error: StackRefusedError) -> None:
        """Have the agent asked anew where the turn that waited was answered under a turn that failed, and ended
        with that.

        Raises:
            ToolFailedError: it is not so.
        """
        asked = call.asked_agent
        if asked is None:
            raise error
        if error.code != _ANSWERED or not self._is_of_failed(call, asked):
            raise ToolFailedError(f"agent {self._agent!r} did not answer (response {asked.response_id}): {error}")
        call.asked_agent = None
        call.usage.clear()

    def _question(self, call: RunningCall, question: str) -> tuple[str, dict[str, Any]]:
        """Return the request that asks, behind its idempotency key."""
        return self._known_by(call), {**self._body(call), "input": question}

    async def _answer(self, call: RunningCall, asked: AskedAgent) -> tuple[str, dict[str, Any]]:
        """Have a person answer what the other agent asks, and return the request that hands that on, behind its
        idempotency key."""
        decisions = await asyncio.gather(*(_decided(call, request) for request in asked.requests))
        known_by = self._known_by(call)
        key = f"{known_by if self._is_of_failed(call, asked) else asked.key}:{asked.response_id}"
        if len(key) > _LONGEST_KEY:
            key = f"{known_by}:{asked.response_id}"
        return key, {**self._body(call), "input": list(decisions), "previous_response_id": asked.response_id}

    def _known_by(self, call: RunningCall) -> str:
        return f"{_root(self._started)}:{call.call_id}"

    def _is_of_failed(self, call: RunningCall, asked: AskedAgent) -> bool:
        """Return whether a turn was asked for by one that failed and that is tried again."""
        return not asked.key.startswith(self._known_by(call))

    def _body(self, call: RunningCall) -> dict[str, Any]:
        return {
            "model": self._agent,
            "store": self._started.accepted.store,
            "metadata": {"parent_response_id": _root(self._started), "parent_call_id": call.call_id},
        }

    def _caller(self, call: RunningCall) -> Caller:
        lease = self._started.lease
        grant = Parent(
            turn_id=lease.turn_id,
            depth=self._depth - 1,
            tokens=call.tools.tokens_left(),
            deadline=call.deadline(),
        )
        return Caller(lease.turn_id, lease.attempt, self._started.accepted.trace, grant)

    def _check(self, response: dict[str, Any]) -> None:
        """See that the other agent came to an answer.

        Raises:
            ToolFailedError: it did not come to its end.
        """
        if response["status"] != "completed":
            error, details = response.get("error"), response.get("incomplete_details")
            why = error["message"] if error else details["reason"] if details else "it was stopped"
            raise ToolFailedError(
                f"agent {self._agent!r} did not answer ({response['status']}, response {response['id']}): {why}"
            )


def _said(response: dict[str, Any]) -> str:
    """Return the last thing an agent said."""
    messages = [item for item in response["output"] if item["type"] == "message"]
    return "".join(part.get("text", "") for part in messages[-1]["content"]) if messages else ""


def _root(started: Started) -> str:
    """Return the turn by which calls are known: a turn that continues another one finds what that one asked for,
    and one that tries a failed one again asks anew, but for what waits for a person.
    """
    turn_id, replay = started.accepted.turn.id, started.accepted.replay
    if replay is None or replay.retry:
        return turn_id
    return replay.tried_by or replay.turn.id


async def _decided(call: RunningCall, request: dict[str, Any]) -> dict[str, Any]:
    """Have a person decide what the other agent asks, in the place where they talk to this one."""
    question = f"{call.call_id}/{request['id']}"
    decision = await call.tools.ask(question, request["name"], request["arguments"])
    return {
        "type": "mcp_approval_response",
        "approval_request_id": request["id"],
        "approve": decision.approve,
        "reason": decision.reason,
    }


def _usage(agent: str, response: dict[str, Any]) -> Usage:
    usage = response.get("usage") or {}
    return Usage(
        model=agent,
        input_tokens=usage.get("input_tokens", 0),
        output_tokens=usage.get("output_tokens", 0),
        cached_tokens=(usage.get("input_tokens_details") or {}).get("cached_tokens", 0),
        reasoning_tokens=(usage.get("output_tokens_details") or {}).get("reasoning_tokens", 0),
    )
