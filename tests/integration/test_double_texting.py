"""A second turn of a conversation while one is under way: it waits, is refused, interrupts, or rolls back."""

import asyncio

import openai
import pytest

from k8gentai.workers.queue import keys
from tests.integration.helpers import LANGGRAPH, LLAMA_STACK, collect, ended, eventually, heard, prompt
from tests.integration.test_history import items_of
from tests.scripted import FOREVER, Answer


class Talk:
    """One conversation; each thing said has a script of its own, ``{key}{number}``."""

    def __init__(self, client, model, key, conversation):
        self.client = client
        self.model = model
        self.key = key
        self.conversation = conversation

    def named(self, number):
        return f"{self.key}n{number}"

    def said(self, number):
        return prompt(self.named(number), f"Thing {number}.")

    async def say(self, number, *parts, agent=LANGGRAPH, stream=False, **body):
        """Send a thing to be answered by these parts, to be awaited elsewhere."""
        self.model.script(self.named(number), Answer(*parts))
        return await self.client.responses.create(
            model=agent,
            input=self.said(number),
            conversation=self.conversation,
            background=True,
            stream=stream,
            extra_body=body,
        )

    async def asked(self, number):
        """The model call for a thing said, once it came."""
        return await self.model.request(self.named(number))

    def never_asked(self, number):
        return self.model.requests(self.named(number)) == []


@pytest.fixture
async def talk(client, model, key):
    return Talk(client, model, key, (await client.conversations.create()).id)


async def leases(stack):
    with stack.redis() as redis:
        return {entry.decode() for agent in ("langgraph", "llama-stack") for entry in held(redis, agent)}


def held(redis, framework):
    return redis.zrange(keys.LEASES + framework, 0, -1)


async def check_not_running(stack, *turn_ids):
    """No worker holds any of these turns, and none waits in a queue."""
    for entry in await leases(stack):
        assert not entry.startswith(turn_ids)
    with stack.redis() as redis:
        for framework in ("langgraph", "llama-stack"):
            queued = {entry.decode() for entry in redis.lrange(keys.RQ_QUEUE + framework, 0, -1)}
            assert queued.isdisjoint(turn_ids)


async def interrupted_by(talk, stack, agent, strategy):
    """One turn runs, one waits, a third comes. Returns who reads the first, the turns, and the first's call."""
    reading = await talk.say(1, "Half ", FOREVER, agent=agent, stream=True)
    first = (await anext(aiter(reading))).response
    call = await talk.asked(1)
    await until_streamed(talk, first.id)
    second = await talk.say(2, "Never.", agent=agent)
    third = await talk.say(3, "Now.", agent=agent, multitask_strategy=strategy)
    return reading, (first, second, third), call


async def until_streamed(talk, turn_id):
    """Wait until some of the answer can be read."""
    reading = await talk.client.responses.retrieve(turn_id, stream=True)
    async for event in reading:
        if event.type == "response.output_text.delta":
            break
    await reading.close()


@pytest.mark.parametrize("agent", [LANGGRAPH, LLAMA_STACK])
async def test_interrupt_ends_what_runs_and_waits_and_the_new_turn_sees_it(stack, talk, agent):
    reading, (first, second, third), call = await interrupted_by(talk, stack, agent, "interrupt")
    await call.wait_closed()
    last = (await collect(reading))[-1]
    assert last.type == "response.incomplete"
    assert (last.response.status, last.response.incomplete_details.reason) == ("incomplete", "interrupted")
    assert (await ended(talk.client, third.id)).output_text == "Now."
    waited = await talk.client.responses.retrieve(second.id)
    assert (waited.status, waited.incomplete_details.reason, waited.output) == ("incomplete", "interrupted", [])
    assert talk.never_asked(2)
    asked, answered, *rest = heard(await talk.asked(3))
    assert asked == ("user", talk.said(1))
    assert answered == ("assistant", last.response.output_text)
    assert answered[1].startswith("Half ")
    assert rest == [("user", talk.said(2)), ("user", talk.said(3))]
    await check_not_running(stack, first.id, second.id)


@pytest.mark.parametrize("agent", [LANGGRAPH, LLAMA_STACK])
async def test_rollback_forgets_what_runs_and_waits(stack, http, talk, agent):
    reading, (first, second, third), call = await interrupted_by(talk, stack, agent, "rollback")
    await call.wait_closed()
    # Who reads a stream is told that it is over; who comes later finds nothing.
    assert (await collect(reading))[-1].response.status == "cancelled"
    for gone in (first, second):
        with pytest.raises(openai.NotFoundError):
            await talk.client.responses.retrieve(gone.id)
    assert (await ended(talk.client, third.id)).output_text == "Now."
    assert talk.never_asked(2)
    assert heard(await talk.asked(3)) == [("user", talk.said(3))]
    items = await items_of(talk.client, talk.conversation, 2)
    assert len(items) == 2
    page = (await http.get("/v1/responses", params={"limit": 100})).json()
    listed = {response["id"] for response in page["data"]}
    assert third.id in listed
    assert listed.isdisjoint({first.id, second.id})
    await check_not_running(stack, first.id, second.id)

    async def kept():
        with stack.redis() as redis:
            return [key for gone in (first, second) for key in redis.scan_iter(f"{keys.TURN}{gone.id}*")]

    assert await eventually(kept, lambda names: not names) == []


async def test_reject_refuses_and_writes_nothing(stack, talk):
    first = await talk.say(1, "On and ", FOREVER)
    await talk.asked(1)
    with stack.redis() as redis:
        before = set(redis.scan_iter("*"))
        with pytest.raises(openai.ConflictError) as refused:
            await talk.say(2, "Never.", multitask_strategy="reject")
        # Other turns of this stack may be forgotten meanwhile.
        assert set(redis.scan_iter("*")) <= before
    assert refused.value.code == "conversation_busy"
    assert first.id in refused.value.message
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert (await talk.client.responses.retrieve(first.id)).status == "in_progress"
    await talk.client.responses.cancel(first.id)
    third = await talk.say(3, "Now.", multitask_strategy="reject")
    assert (await ended(talk.client, third.id)).output_text == "Now."
    assert talk.never_asked(2)


async def test_enqueue_waits_whatever_the_agent_would_do(talk):
    """The definition of ``patient`` says interrupt; the request's word goes before it."""
    first = await talk.say(1, "On and ", FOREVER, agent="patient")
    call = await talk.asked(1)
    second = await talk.say(2, "Second.", agent="patient", multitask_strategy="enqueue")
    statuses = [(await talk.client.responses.retrieve(turn.id)).status for turn in (first, second)]
    assert statuses == ["in_progress", "queued"]
    third = await talk.say(3, "Third.", agent="patient")
    await call.wait_closed()
    for turn in (first, second):
        assert (await ended(talk.client, turn.id)).incomplete_details.reason == "interrupted"
    assert (await ended(talk.client, third.id)).output_text == "Third."


async def test_without_a_conversation_nobody_is_in_the_way(client, model, key):
    model.script(key, Answer("On and ", FOREVER))
    first = await client.responses.create(model=LANGGRAPH, input=prompt(key), background=True)
    await model.request(key)
    for strategy in ("reject", "interrupt", "rollback"):
        model.script(key + strategy, Answer("Now."))
        turn = await client.responses.create(
            model=LANGGRAPH, input=prompt(key + strategy), extra_body={"multitask_strategy": strategy}
        )
        assert turn.output_text == "Now."
    assert (await client.responses.cancel(first.id)).status == "cancelled"


async def test_an_unknown_strategy_is_refused_with_the_field(client, key):
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(
            model=LANGGRAPH, input=prompt(key), extra_body={"multitask_strategy": "merge"}
        )
    assert refused.value.param == "multitask_strategy"


async def test_several_at_once_leave_one(stack, talk):
    """Ten that all interrupt: one answers, and the others end, whichever came when."""
    sent = [talk.say(number, "On and ", FOREVER, multitask_strategy="interrupt") for number in range(10)]
    turns = await asyncio.gather(*sent)
    last = await talk.say(10, "Now.", multitask_strategy="interrupt")
    assert (await ended(talk.client, last.id)).output_text == "Now."
    for turn in turns:
        assert (await ended(talk.client, turn.id)).status == "incomplete"
    await check_not_running(stack, *(turn.id for turn in turns))
