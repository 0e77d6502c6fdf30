"""An answer counts for what the person saw.

See k8gentai.workers.attempt.approvals and k8gentai.providers.turns.continuation.
"""

import asyncio
from typing import Any

import pytest

from k8gentai.agents.contract.events import (
    Event,
    Interrupt,
    ItemDropped,
    ToolCall,
    ToolResult,
    TurnAccepted,
    TurnStarted,
    TurnSuspended,
    request_item,
)
from k8gentai.agents.contract.turn import Decision, Turn
from k8gentai.providers.errors import ApiError
from k8gentai.providers.rendering.render import render
from k8gentai.providers.requests.request import read_request
from k8gentai.providers.turns.continuation import continued, questions
from k8gentai.providers.turns.going_on import check_same, with_credentials
from k8gentai.workers.attempt.approvals import Approvals
from k8gentai.workers.queue.record import Answer, TurnRecord, seen_digest

TURN = Turn(id="resp_0192f0c1a2b37c4d8e5f0123456789ab", agent="clerk", input=[])
ASKED = [
    Interrupt(call_id="c1", name="pay", arguments='{"amount": 5, "to": "Ada"}'),
    Interrupt(call_id="c2", name="pay", arguments='{"amount": 7, "to": "Bob"}'),
]
EVENTS: list[Event] = [
    TurnAccepted(),
    TurnStarted(attempt=1, worker="w"),
    *ASKED,
    TurnSuspended(expires_at=1e12),
]


NOW = 1.0
"""Redis' time."""


def record(**fields: Any) -> TurnRecord:
    return TurnRecord(turn=TURN, framework="langgraph", accepted_at=0, status="suspended", **fields)


def answers(*amounts: int) -> dict[str, Answer]:
    """The answers of a person who approves what has one of these amounts."""
    asked = questions(record(), EVENTS)
    items = [
        {"type": "mcp_approval_response", "approval_request_id": request_id, "approve": True}
        for request_id, question in asked.items()
        if any(str(amount) in question.arguments for amount in amounts)
    ]
    return continued(record(), EVENTS, items, NOW).answers


async def test_a_question_that_is_left_as_the_turn_is_suspended_stands() -> None:
    """It is suspended with something to answer."""
    asked: list[Event] = []
    approvals = Approvals({}, lambda _, event: asked.append(event), lambda: False)
    asking = asyncio.create_task(approvals.ask("c1", "pay", "{}"))
    await approvals.quiet()
    asking.cancel()
    await asyncio.wait({asking})
    assert approvals.over
    assert [type(event) for event in asked] == [Interrupt]


@pytest.mark.parametrize(
    ("name", "arguments", "counts"),
    [
        ("pay", '{"amount": 7, "to": "Bob"}', True),
        ("pay", '{"to":"Bob","amount":7}', True),
        ("pay", '{"amount": 700, "to": "Bob"}', False),
        ("pay_back", '{"amount": 7, "to": "Bob"}', False),
        ("pay", "no JSON", False),
    ],
)
async def test_an_answer_counts_for_the_name_and_the_arguments_that_were_seen(
    name: str, arguments: str, *, counts: bool
) -> None:
    asked: list[Any] = []
    approvals = Approvals(answers(7), lambda call_id, event: asked.append(event), lambda: False)
    asking = asyncio.create_task(approvals.ask("c2", name, arguments))
    quiet = asyncio.create_task(approvals.quiet())
    await asyncio.wait({asking, quiet}, return_when=asyncio.FIRST_COMPLETED)
    assert (asking.done(), len(asked)) == (counts, 0 if counts else 1)
    if counts:
        assert await asking == Decision(approve=True)
    else:
        assert (asked[0].name, asked[0].arguments) == (name, arguments)
    approvals.close()
    for task in (asking, quiet):
        task.cancel()
    await asyncio.gather(asking, quiet, return_exceptions=True)


async def test_what_was_not_answered_is_asked_again_and_not_denied() -> None:
    asked: list[Any] = []
    approvals = Approvals(answers(5), lambda call_id, event: asked.append(call_id), lambda: False)
    both = [asyncio.create_task(approvals.ask(question.call_id, "pay", question.arguments)) for question in ASKED]
    await approvals.quiet()
    assert [task.done() for task in both] == [True, False]
    assert asked == ["c2"]
    approvals.close()
    await asyncio.gather(*both, return_exceptions=True)


def test_an_answer_of_an_older_version_which_does_not_say_what_was_seen_counts_for_nothing() -> None:
    old = Answer.model_validate({"approve": True, "request_id": "r1"})
    assert not old.is_about("pay", "{}")


def test_an_answer_that_is_given_again_to_another_question_takes_the_place_of_the_first() -> None:
    before = {"c1": Answer(approve=False, request_id="r0", seen=seen_digest("pay", "{}"))}
    (request_id, _) = questions(record(), EVENTS)
    items = [{"type": "mcp_approval_response", "approval_request_id": request_id, "approve": True}]
    first = continued(record(), EVENTS, items, NOW)
    again = continued(record(replay=first.model_copy(update={"answers": before})), EVENTS, items, NOW)
    assert again.answers["c1"] == first.answers["c1"]


MCP = {"type": "mcp", "server_label": "pay", "server_url": "http://pay", "require_approval": "always"}


@pytest.mark.parametrize(
    ("tools", "refused"),
    [
        ([], None),
        ([{**MCP, "authorization": "old"}], None),
        ([{**MCP, "authorization": "new"}], None),
        # As a response shows it.
        ([MCP], None),
        ([{**MCP, "server_url": "http://other"}], "tools[0]"),
        ([{**MCP, "require_approval": "never"}], "tools[0]"),
        ([MCP, {"type": "web_search"}], "tools[1]"),
    ],
)
def test_a_turn_goes_on_with_its_tools_and_with_credentials_of_today(tools, refused) -> None:
    turn = Turn(id="resp_1", agent="a", input=[], tools=[{**MCP, "authorization": "old"}])
    request = read_request("resp_2", {"model": "a", "input": "hi", "tools": tools})
    brought = with_credentials(turn, request.tools)
    if refused:
        with pytest.raises(ApiError) as error:
            check_same(request, brought)
        assert error.value.param == refused
        return
    check_same(request, brought)
    expected = tools[0].get("authorization", "old") if tools else "old"
    assert [tool.get("authorization") for tool in brought.tools] == [expected]


async def test_a_question_that_the_agent_does_not_wait_for_is_withdrawn() -> None:
    published: list[Event] = []
    approvals = Approvals({}, lambda call_id, event: published.append(event), lambda: False)
    asking = [asyncio.create_task(approvals.ask("c1", "pay", "{}")) for _ in range(2)]
    quiet = asyncio.create_task(approvals.quiet())
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.wait({asking[0]})
    assert [event.type for event in published] == ["interrupt"], "the other one waits"
    asking[1].cancel()
    await asyncio.wait({asking[1]})
    assert published[-1] == ItemDropped(item_id=request_item("c1"))
    # The turn is not suspended, as nobody could answer it.
    done, _ = await asyncio.wait({quiet}, timeout=0.5)
    assert not done
    later = asyncio.create_task(approvals.ask("c2", "pay", "{}"))
    await asyncio.wait_for(quiet, 10)
    approvals.close()
    await asyncio.wait({later})
    assert [event.type for event in published] == ["interrupt", "item.dropped", "interrupt"]


def test_a_request_that_was_withdrawn_is_none_of_the_response() -> None:
    dropped = ItemDropped(item_id=request_item("c1"))
    events = [*EVENTS[:-1], dropped, EVENTS[-1]]
    assert [question.call_id for question in questions(record(), events).values()] == ["c2"]
    _, response = render(record(), events)
    assert [item["arguments"] for item in response["output"]] == [ASKED[1].arguments]
    again = [*EVENTS[:-1], dropped, EVENTS[2], EVENTS[-1]]
    assert [question.call_id for question in questions(record(), again).values()] == ["c2", "c1"]


def test_a_call_that_goes_on_without_a_decision_is_shown_with_its_result() -> None:
    outer = ToolCall(call_id="outer", name="outer", arguments="{}")
    asked = Interrupt(call_id="c1", name="pay", arguments="{}", waiting=["outer"])
    done = ToolResult(call_id="outer", output="done")
    events = [*EVENTS[:2], outer, asked, ItemDropped(item_id=request_item("c1")), done, EVENTS[2], EVENTS[-1]]
    _, response = render(record(), events)
    assert [(item["type"], item.get("output")) for item in response["output"]] == [
        ("mcp_call", "done"),
        ("mcp_approval_request", None),
    ]
