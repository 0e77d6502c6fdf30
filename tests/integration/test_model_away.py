"""The model endpoint away, refusing, failing, or hanging up."""

import pytest

from k8gentai.stack.local.services import free_port
from tests.integration.helpers import LANGGRAPH, LLAMA_STACK, check_sequence, collect, prompt
from tests.scripted import HANG_UP, Answer, Call, Refuse


def check_model_failed(response, *words):
    """The turn failed, and the message names the model and the cause."""
    assert response.status == "failed"
    for word in ("scripted-model", *words):
        assert word in response.error.message, response.error.message
    assert "Traceback" not in response.error.message


@pytest.mark.parametrize("agent", [LANGGRAPH, LLAMA_STACK])
@pytest.mark.parametrize("status", [429, 500])
async def test_a_model_that_fails_once_is_asked_again(client, model, key, agent, status):
    model.script(key, Refuse(status, retry_after=0), Answer("After all."))
    response = await client.responses.create(model=agent, input=prompt(key))
    assert response.output_text == "After all."


@pytest.mark.parametrize("agent", [LANGGRAPH, LLAMA_STACK])
@pytest.mark.parametrize(("status", "words"), [(429, "429"), (500, "500")])
async def test_a_model_that_keeps_failing_fails_the_turn(client, model, key, agent, status, words):
    model.script(key, *(Refuse(status, "no capacity today", retry_after=0) for _ in range(20)))
    response = await client.responses.create(model=agent, input=prompt(key))
    check_model_failed(response, words, "no capacity today")
    # Either the stack's own client or the gateway tries again: not both, nor the agent's SDK on top.
    assert len(model.requests(key)) == 3


@pytest.mark.parametrize("agent", [LANGGRAPH, LLAMA_STACK])
async def test_a_refusal_that_no_retry_mends_is_not_retried(client, model, key, agent):
    model.script(key, *(Refuse(400, "context too long") for _ in range(5)))
    response = await client.responses.create(model=agent, input=prompt(key))
    check_model_failed(response, "context too long")
    assert len(model.requests(key)) == 1


@pytest.mark.parametrize("agent", [LANGGRAPH, LLAMA_STACK])
async def test_a_model_that_hangs_up_in_mid_stream_fails_the_turn(client, model, key, agent):
    """What was streamed stays streamed, so the call is not made again."""
    model.script(key, Answer("Half of ", "an ans", HANG_UP), Answer("Not asked for."))
    events = await collect(await client.responses.create(model=agent, input=prompt(key), stream=True))
    check_sequence(events)
    assert events[-1].type == "response.failed"
    response = events[-1].response
    check_model_failed(response)
    assert response.output[0].status == "incomplete"
    assert response.output[0].content[0].text == "Half of an ans"
    assert len(model.requests(key)) == 1


async def test_one_that_hangs_up_between_tool_calls_fails_the_turn(client, model, key):
    model.script(key, Answer(Call("add", {"a": 1, "b": 2})), Answer("The ", HANG_UP))
    response = await client.responses.create(model="calculator", input=prompt(key))
    check_model_failed(response)
    assert [item.type for item in response.output] == ["mcp_call", "message"]
    assert response.output[0].status == "completed"


async def test_a_model_endpoint_that_is_away(own_stack, model, key):
    """Nothing listens there: the turn fails with a message, and the stack goes on.

    Its log must not show local variables; printing those took the server's event loop seconds, too.
    """
    own_stack.environment["OPENAI_BASE_URL"] = f"http://127.0.0.1:{free_port()}/v1"
    server = own_stack.add_server()
    own_stack.add_worker("langgraph")
    async with server.openai() as client:
        response = await client.responses.create(model=LANGGRAPH, input=prompt(key))
        check_model_failed(response, "the model's endpoint cannot be reached")
        assert (await client.responses.create(model="raising", input="Go.")).status == "failed"
    assert "Connection error" in server.process.output()
    assert "locals" not in server.process.output()
