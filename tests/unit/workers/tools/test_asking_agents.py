"""An agent as a tool: however often a person is asked on its behalf, it is one conversation with one answer."""

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from k8gentai.agents.contract.turn import Decision, ToolFailedError, Turn
from k8gentai.workers.attempt.journal_entries import AskedAgent
from k8gentai.workers.queue.attempts import Lease
from k8gentai.workers.queue.record import Replay
from k8gentai.workers.stack.client import StackRefusedError
from k8gentai.workers.tools import agents as agent_tools
from k8gentai.workers.tools.agents import _Question

REQUEST = {"type": "mcp_approval_request", "name": "pay", "arguments": "{}"}
TURN = f"resp_{'0' * 32}"
CALL = f"call_{'c' * 24}"
ASKED = AskedAgent(
    response_id="resp_a", key=f"{TURN}:{CALL}", requests=[{**REQUEST, "id": "mcpr_a"}], said="A draft."
)
"""A turn of the other agent that waits for a person since an earlier attempt."""
WAITS_NO_LONGER = StackRefusedError("This response is not waiting for an answer.", "approval_answered")


def said(text: str) -> dict[str, Any]:
    """A message of the other agent."""
    return {"type": "message", "content": [{"type": "output_text", "text": text}]}


class Other:
    """The stack, by which the other agent answers with outputs given beforehand, or which refuses."""

    def __init__(self, *outputs: list[dict[str, Any]] | StackRefusedError) -> None:
        self.outputs = list(outputs)
        self.keys: list[str] = []
        self.answered: list[str | None] = []

    async def respond(self, body: dict[str, Any], key: str, *_: Any) -> dict[str, Any]:
        """Answer a turn."""
        self.keys.append(key)
        self.answered.append(body.get("previous_response_id"))
        given = self.outputs.pop(0)
        if isinstance(given, StackRefusedError):
            raise given
        output = [{**item, "id": f"mcpr_{len(self.keys)}"} for item in given]
        return {"id": f"resp_{len(self.keys):032}", "status": "completed", "output": output}


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has the agent asked, with a person who approves of all. Returns its answer."""

    async def approve(*_: Any) -> Decision:
        return Decision(approve=True, reason=None)

    @asynccontextmanager
    async def lent() -> Any:
        yield

    async def asked(
        other: Any, asked_agent: AskedAgent | None = None, turn_id: str = TURN, replay: Replay | None = None
    ) -> str:
        tools = SimpleNamespace(ask=approve, tokens_left=lambda: None)
        call = SimpleNamespace(call_id=CALL, usage=[], tools=tools, deadline=lambda: 0.0, asked_agent=asked_agent)
        monkeypatch.setattr(agent_tools, "running_call", lambda: call)
        accepted = SimpleNamespace(turn=SimpleNamespace(id=turn_id), replay=replay, store=True, trace=None)
        started: Any = SimpleNamespace(accepted=accepted, lease=Lease(turn_id, 1))
        return await _Question(other, "clerk", started, 3, SimpleNamespace(lent=lent)).ask({"input": "Go."})

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


def replay(of: str, **fields: Any) -> Replay:
    """What a turn goes on with."""
    return Replay(of=of, turn=Turn(id=TURN, agent="boss", input=[]), **fields)


async def test_what_waits_for_a_person_is_found_by_the_journal(ask: Any) -> None:
    """The idempotency key by which it was asked for may be gone, and so may the turns that it goes on with."""
    other = Other([])
    assert await ask(other, ASKED, "resp_2", replay(TURN)) == "A draft."
    assert other.answered == ["resp_a"]
    # As a worker of an older version, which does not read it there, would have asked.
    assert other.keys == [f"{TURN}:{CALL}:resp_a"]


async def test_a_turn_that_is_tried_again_finds_what_waits(ask: Any) -> None:
    other = Other([REQUEST], [said("Paid.")])
    assert await ask(other, ASKED, "resp_2", replay(TURN, retry=True)) == "Paid."
    assert other.answered == ["resp_a", f"resp_{1:032}"]
    # By keys of its own: what answered it under the turn that failed ended with that.
    assert other.keys[0] == f"resp_2:{CALL}:resp_a"
    assert other.keys[1].startswith(f"resp_2:{CALL}:")


async def test_it_asks_anew_where_that_waits_no_longer(ask: Any) -> None:
    other = Other(WAITS_NO_LONGER, [said("Mended.")])
    assert await ask(other, ASKED, "resp_2", replay(TURN, retry=True)) == "Mended."
    assert (other.answered, other.keys[1]) == (["resp_a", None], f"resp_2:{CALL}")


@pytest.mark.parametrize("tried_by", [None, "resp_2"])
async def test_a_turn_that_goes_on_asks_by_the_keys_of_the_last_try(ask: Any, tried_by: str | None) -> None:
    """What the turn that failed had asked for under its own keys has ended with it."""
    other = Other([said("Paid.")])
    await ask(other, None, "resp_3", replay("resp_2", tried_by=tried_by))
    assert other.keys == [f"{tried_by or TURN}:{CALL}"]


@pytest.mark.parametrize(
    ("refusal", "retry"),
    [(WAITS_NO_LONGER, False), (StackRefusedError("No such.", "approval_request_not_found"), True)],
)
async def test_what_is_refused_otherwise_is_not_asked_anew(
    ask: Any, refusal: StackRefusedError, retry: bool
) -> None:
    other = Other(refusal)
    with pytest.raises(ToolFailedError, match=rf"'clerk' did not answer \(response resp_a\): {refusal}"):
        await ask(other, ASKED, "resp_2", replay(TURN, retry=retry))
    assert len(other.keys) == 1


async def test_nothing_is_asked_anew_once_it_went_on(ask: Any) -> None:
    other = Other([REQUEST], WAITS_NO_LONGER)
    with pytest.raises(ToolFailedError, match="is not waiting"):
        await ask(other, ASKED, "resp_2", replay(TURN, retry=True))
    assert len(other.keys) == 2
