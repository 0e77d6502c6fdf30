"""An agent as a tool: however often a person is asked on its behalf, it is one conversation with one answer."""

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from k8gentai.agents.contract.turn import Decision
from k8gentai.workers.tools import agents as agent_tools
from k8gentai.workers.tools.agents import _Question

REQUEST = {"type": "mcp_approval_request", "name": "pay", "arguments": "{}"}


def said(text: str) -> dict[str, Any]:
    """A message of the other agent."""
    return {"type": "message", "content": [{"type": "output_text", "text": text}]}


class Other:
    """The stack, by which the other agent answers with outputs given beforehand."""

    def __init__(self, *outputs: list[dict[str, Any]]) -> None:
        self.outputs = list(outputs)
        self.keys: list[str] = []
        self.answered: list[str | None] = []

    async def respond(self, body: dict[str, Any], key: str, *_: Any) -> dict[str, Any]:
        """Answer a turn."""
        self.keys.append(key)
        self.answered.append(body.get("previous_response_id"))
        output = [{**item, "id": f"mcpr_{len(self.keys)}"} for item in self.outputs.pop(0)]
        return {"id": f"resp_{len(self.keys):032}", "status": "completed", "output": output}


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has the agent asked, with a person who approves of all. Returns its answer."""

    async def approve(*_: Any) -> Decision:
        return Decision(approve=True, reason=None)

    tools = SimpleNamespace(ask=approve, tokens_left=lambda: None)
    call = SimpleNamespace(call_id=f"call_{'c' * 24}", usage=[], tools=tools, deadline=lambda: 0.0)
    monkeypatch.setattr(agent_tools, "running_call", lambda: call)
    turn = SimpleNamespace(id=f"resp_{'0' * 32}")
    accepted = SimpleNamespace(turn=turn, replay=None, store=True, trace=None)
    started: Any = SimpleNamespace(accepted=accepted, lease=SimpleNamespace(turn_id=turn.id))

    @asynccontextmanager
    async def lent() -> Any:
        yield

    async def asked(other: Any) -> str:
        return await _Question(other, "clerk", started, 3, SimpleNamespace(lent=lent)).ask({"input": "Go."})  # type: ignore[arg-type]

    return asked


async def test_a_person_may_be_asked_any_number_of_times(ask: Any) -> None:
    other = Other(*([REQUEST] for _ in range(20)), [said("Paid.")])
    assert await ask(other) == "Paid."
    assert len({*other.keys}) == 21
    # As long as the stack takes them: https://docs.stripe.com/api/idempotent_requests has the same limit.
    assert max(map(len, other.keys)) <= 255
    assert other.answered == [None, *(f"resp_{number:032}" for number in range(1, 21))]


async def test_what_was_said_before_a_person_approved_is_the_answer_where_nothing_follows(ask: Any) -> None:
    assert await ask(Other([said("Notes."), said("A draft."), REQUEST], [])) == "A draft."
    assert await ask(Other([said("A draft."), REQUEST], [said("Better.")])) == "Better."
