"""A full queue refuses before anything is written, and says whose queue it is."""

import pytest

from tests.integration.helpers import LANGGRAPH, ON_ONE_HOST, ended, eventually, prompt
from tests.scripted import Answer, Gate
from tests.support.waiting import check_waiting, counted

pytestmark = ON_ONE_HOST


@pytest.fixture
async def http(own_stack):
    async with own_stack.add_server(AMF_QUEUE_LIMIT="3").http() as made:
        yield made


async def ask(http, agent, key):
    return await http.post("/v1/responses", json={"model": agent, "input": prompt(key), "background": True})


async def check_refused(stack, http, agent, key, whose):
    with stack.redis() as redis:
        before = sorted(redis.scan_iter("*"))
        answer = await ask(http, agent, key)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        error = answer.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "queue_full")
        assert whose in error["message"]
        assert sorted(redis.scan_iter("*")) == before
        check_waiting(redis)


async def test_each_agents_limit_and_that_of_all(own_stack, http, model, key):
    """``patient`` lets two of its turns wait, the server three of all."""
    model.script(key, *(Answer("Yes.") for _ in range(4)))
    accepted = [await ask(http, "patient", key) for _ in range(2)]
    await check_refused(own_stack, http, "patient", key, "agent 'patient'")
    accepted.append(await ask(http, LANGGRAPH, key))
    await check_refused(own_stack, http, LANGGRAPH, key, "all agents")
    with own_stack.redis() as redis:
        assert counted(redis) == {"patient": 2, LANGGRAPH: 1, "*": 3}
    own_stack.add_worker("langgraph")
    async with own_stack.server.openai() as client:
        for answer in accepted:
            assert (await ended(client, answer.json()["id"])).output_text == "Yes."
        assert (await client.responses.create(model="patient", input=prompt(key))).output_text == "Yes."
    with own_stack.redis() as redis:
        assert counted(redis) == {}


async def test_the_count_survives_the_end_of_any_process(own_stack, model, key):
    """Seven turns, two of which run when their worker dies; then Redis dies too."""
    server = own_stack.add_server()
    gate = Gate()
    model.script(key, *(Answer(gate, "Yes.") for _ in range(20)))
    async with server.openai() as client:
        conversation = (await client.conversations.create()).id
        worker = own_stack.add_worker("langgraph", "--concurrency", "2")
        turns = [
            await client.responses.create(
                model=agent, input=prompt(key), background=True, conversation=conversation if lane else None
            )
            for agent, lane in [(LANGGRAPH, False)] * 3 + [("calculator", True)] * 4
        ]
        for number in range(2):
            await model.request(key, number)
        worker.kill()
        check_count(own_stack, {LANGGRAPH: 1, "calculator": 4, "*": 5})
        own_stack.add_worker("langgraph", "--concurrency", "1")
        await model.request(key, 2)

        async def count():
            with own_stack.redis() as redis:
                return counted(redis)

        await eventually(count, lambda found: found.get("*") == 6)
        own_stack.valkey.kill()
        own_stack.valkey.start()
        assert (await count())["*"] == 6
        with own_stack.redis() as redis:
            check_waiting(redis)
        gate.open()
        for turn in turns:
            assert (await ended(client, turn.id)).output_text == "Yes."
        check_count(own_stack, {})


def check_count(stack, expected):
    with stack.redis() as redis:
        assert counted(redis) == expected
        check_waiting(redis)
