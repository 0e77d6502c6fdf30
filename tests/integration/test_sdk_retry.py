"""The SDKs send a request again when its answer is lost: that is the same turn, without any key."""

import asyncio

import openai
import pytest
from llama_stack_client import AsyncLlamaStackClient

from k8gentai.workers.queue import keys
from tests.integration.helpers import LANGGRAPH, check_sequence, collect, prompt, text_of
from tests.scripted import Answer
from tests.support.dropping import dropping


def turns_of(stack, key):
    """The turns whose input has that key."""
    with stack.redis() as redis:
        records = (redis.hget(name, "accepted") for name in redis.scan_iter(f"{keys.TURN}*", _type="hash"))
        return [record for record in records if record and f"[[{key}]]".encode() in record]


def sdk(name, url):
    if name == "openai":
        return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=2, timeout=120)
    return AsyncLlamaStackClient(base_url=url, max_retries=2, timeout=120)


@pytest.mark.parametrize("name", ["openai", "llama-stack-client"])
@pytest.mark.parametrize("drop", [1, 2])
async def test_a_lost_answer_is_given_again(stack, model, key, name, drop):
    model.script(key, Answer("Once."), Answer("Twice."), Answer("Thrice."))
    async with dropping(stack.server.port, drop) as proxy, sdk(name, proxy.url) as client:
        response = await client.responses.create(model=LANGGRAPH, input=prompt(key))
        assert proxy.dropped == drop
    assert response.output[0].content[0].text == "Once."
    assert len(turns_of(stack, key)) == 1
    assert len(model.requests(key)) == 1


async def test_a_lost_stream_is_streamed_again(stack, model, key):
    model.script(key, Answer("On", "ce."), Answer("Twice."))
    async with dropping(stack.server.port) as proxy, sdk("openai", proxy.url) as client:
        events = await collect(await client.responses.create(model=LANGGRAPH, input=prompt(key), stream=True))
        assert proxy.dropped == 1
    check_sequence(events)
    assert text_of(events) == "Once."
    assert len(turns_of(stack, key)) == 1
    assert len(model.requests(key)) == 1


@pytest.mark.parametrize("strategy", ["reject", "interrupt", "rollback"])
async def test_a_try_does_not_get_in_the_way_of_the_one_before(stack, client, model, key, strategy):
    """In a conversation the lost turn is under way when the request comes again."""
    model.script(key, Answer("Once."), Answer("Twice."))
    conversation = (await client.conversations.create()).id
    async with dropping(stack.server.port) as proxy, sdk("openai", proxy.url) as retrying:
        events = await collect(
            await retrying.responses.create(
                model=LANGGRAPH,
                input=prompt(key),
                conversation=conversation,
                stream=True,
                extra_body={"multitask_strategy": strategy},
            )
        )
    assert events[-1].response.status == "completed"
    assert len(turns_of(stack, key)) == 1


async def test_equal_requests_of_one_client_are_turns_of_their_own(stack, model, key):
    model.script(key, *(Answer("Each.") for _ in range(3)))
    async with sdk("openai", stack.server.url) as client:
        made = await asyncio.gather(
            *(client.responses.create(model=LANGGRAPH, input=prompt(key)) for _ in range(3))
        )
    assert len({response.id for response in made}) == 3
    assert len(model.requests(key)) == 3
