"""Agents' code that would end, hang or mislead its worker: its turn tells the cause, and a neighbour completes."""

import re

import pytest

from tests.conformance.helpers import ended, items_of, prompt
from tests.conformance.poison import LIMIT_SECONDS
from tests.scripted import Answer, Call, Gate


@pytest.fixture
async def neighbour(client, model, key):
    """A turn that is in the middle of its answer; it is to complete."""
    own, gate = f"{key}-neighbour", Gate()
    # As often as its worker may be lost.
    model.script(own, Answer("Half ", gate), *(Answer("Whole.") for _ in range(5)))
    turn = await client.responses.create(model="plain", input=prompt(own), background=True)
    await model.request(own)
    yield turn
    gate.open()
    assert (await ended(client, turn.id)).status == "completed"


async def begin(client, model, key, call):
    model.script(key, *(Answer(call) for _ in range(3)))
    return await client.responses.create(model="poison", input=prompt(key), background=True)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("leave", "8"),
        ("leave_later", "9"),
        ("interrupt", "KeyboardInterrupt"),
        ("cancel", "CancelledError"),
        ("close", "GeneratorExit"),
        ("outgrow", "MemoryError"),
        ("mumble", ""),
        ("halve", "half \ufffd"),
        ("halve_and_fail", "half \ufffd"),
    ],
)
async def test_a_tools_misdeed_is_shown_to_the_model(client, model, key, neighbour, name, words):
    model.script(key, Answer(Call(name, {})), Answer("I see."))
    response = await client.responses.create(model="poison", input=prompt(key))
    assert response.output_text == "I see.", response.error
    (call,) = items_of(response, "mcp_call")
    (shown,) = model.requests(key)[1].texts("tool")
    assert words in shown
    assert words in (call.error or call.output)
    assert (call.error is None) == (name == "halve")


async def test_an_exit_of_the_agents_own_code_fails_its_turn(framework, client, key, neighbour):
    if framework == "llama-stack":
        pytest.skip("an agent of Llama Stack has no code of its own")
    response = await client.responses.create(model="leaving", input=prompt(key), background=True)
    response = await ended(client, response.id)
    assert response.status == "failed"
    # CrewAI's flows wrap it.
    assert re.search(r"the agent raised (.*SystemExit\(6\)|SystemExit: 6)$", response.error.message)


async def test_a_tool_that_lets_nothing_else_run_ends_with_its_turns_time(client, model, key, page, neighbour):
    turn = await begin(client, model, key, Call("hold", {"path": str(page)}))
    try:
        response = await ended(client, turn.id)
    finally:
        page.touch()
    assert (response.status, response.error.reason) == ("failed", "time_limit")
    assert f"its limit of {LIMIT_SECONDS} s" in response.error.message
