"""Agents that ask agents: one turn each, tied together through cancel, budget, depth, approval and crashes."""

import asyncio
import json

import openai
import pytest

from k8gentai.workers.queue import keys
from tests.integration.helpers import ON_ONE_HOST, ended, eventually, prompt
from tests.integration.test_turns_command import turns
from tests.scripted import FOREVER, Answer, Call, Gate

PARENT = "equipped-langgraph"


def ask(key, tool="ask", **fields):
    return Call(tool, {"input": prompt(key, "A question.")}, id="c1", **fields)


async def children(client, parent_id):
    """The responses that a turn asked for."""
    page = await client.responses._client.get("/responses", cast_to=object, options={"params": {"limit": 100}})
    return [each for each in page["data"] if (each.get("metadata") or {}).get("parent_response_id") == parent_id]


@pytest.fixture
def other(key):
    """A key for what the other agent answers."""
    return f"{key}-other"


async def test_a_cancelled_turn_takes_the_one_it_asked_for_with_it(client, model, key, other):
    model.script(key, Answer(ask(other)))
    model.script(other, Answer("Never ", FOREVER))
    response = await client.responses.create(model=PARENT, input=prompt(key), background=True)
    request = await model.request(other)
    await client.responses.cancel(response.id)
    await request.wait_closed()
    (child,) = await children(client, response.id)
    assert (child["status"], child["model"]) == ("cancelled", "assistant")


async def test_what_the_other_agent_came_to_is_told_to_the_model(client, model, key, other):
    model.script(key, Answer(ask(other)))
    model.script(other, *[Answer(Call("multiply", {"a": 1, "b": 1}, id=f"m{number}")) for number in range(9)])
    response = await client.responses.create(model="shallow", input=prompt(key))
    (child,) = await children(client, response.id)
    assert response.output[0].error.startswith(
        f"agent 'equipped-llama-stack' did not answer (failed, response {child['id']}): "
    )
    # It had what was left of its parent's budget, and what it used is counted to its parent.
    assert "its limit is 82" in response.output[0].error
    assert "the turn has used 108 tokens; its limit is 100" in response.error.message


async def test_agents_ask_agents_no_deeper_than_the_first_allows(client, model, key, other):
    model.script(key, Answer(ask(other)), Answer("So it is."))
    model.script(other, Answer(ask("nobody")), Answer("I may not ask."))
    response = await client.responses.create(model="shallow", input=prompt(key))
    assert response.output[0].output == "I may not ask."
    assert model.requests(other)[1].texts("tool") == [
        "agent 'plain' is not asked: agents have asked agents as deep as limits.depth allows"
    ]
    assert model.requests("nobody") == []


async def test_a_person_approves_in_the_place_where_they_talk_to_the_first(
    client, stack, model, key, other, tmp_path
):
    page = tmp_path / "page.txt"
    model.script(key, Answer(ask(other, "ask_guarded")), Answer("It was written."))
    model.script(other, Answer(Call("write", {"path": str(page), "line": "one"})), Answer("I wrote it."))
    first = await client.responses.create(model=PARENT, input=prompt(key))
    assert [item.type for item in first.output] == ["mcp_approval_request"]
    assert first.output[0].name == "write"
    # The other's turn asks the same: what is decided there, this one would not hear of.
    (child,) = await children(client, first.id)
    (inner,) = (item for item in child["output"] if item["type"] == "mcp_approval_request")
    answer = {"type": "mcp_approval_response", "approval_request_id": inner["id"], "approve": True}
    with pytest.raises(openai.BadRequestError, match=f"was asked for by response '{first.id}'"):
        await client.responses.create(model=child["model"], previous_response_id=child["id"], input=[answer])
    refused = await turns(stack, "approve", child["id"])
    assert (refused.returncode, first.id in refused.stderr) == (1, True)
    shown = (await turns(stack, "show", child["id"])).stdout
    assert (f"k8gentai turns approve {first.id} " in shown, child["id"] in shown.split("answer with")[1]) == (
        True,
        False,
    )
    assert not page.exists()
    answer = {"type": "mcp_approval_response", "approval_request_id": first.output[0].id, "approve": True}
    second = await client.responses.create(model=PARENT, previous_response_id=first.id, input=[answer])
    assert [item.type for item in second.output] == ["mcp_call", "message"]
    assert second.output[0].output == "I wrote it."
    assert second.output_text == "It was written."
    assert len(page.read_text().splitlines()) == 1
    # Nothing was asked twice of either model.
    assert (len(model.requests(key)), len(model.requests(other))) == (2, 2)


def forget(stack, *turn_ids):
    """Have Redis forget turns and all idempotency keys, as it does some time after they are of no use."""
    with stack.redis() as redis:
        named = [key for turn_id in turn_ids for key in redis.keys(f"{keys.TURN}{turn_id}*")]
        if names := [*redis.keys(f"{keys.IDEMPOTENCY}*"), *named]:
            redis.delete(*names)


async def settled(stack, *turn_ids):
    """Wait until turns are settled."""

    async def count():
        with stack.redis() as redis:
            return [redis.hexists(keys.TURN + turn_id, "settled") for turn_id in turn_ids]

    await eventually(count, all)


def asked_for(stack, turn_id):
    """The turns that a turn's tool calls asked for, as Redis knows them."""
    with stack.redis() as redis:
        return sorted(child.decode() for child in redis.smembers(keys.TURN + turn_id + keys.CHILDREN))


def approval(response):
    """What goes on with a response that asks one thing."""
    (item,) = (item for item in response.output if item.type == "mcp_approval_request")
    answer = {"type": "mcp_approval_response", "approval_request_id": item.id, "approve": True}
    return {"model": PARENT, "previous_response_id": response.id, "input": [answer]}


@pytest.mark.parametrize("store", [True, False])
async def test_a_person_may_answer_long_after_the_other_was_asked(own_stack, model, key, other, tmp_path, store):
    """What Redis keeps of ended turns, and of the keys they were asked for by, is gone by then."""
    server = own_stack.add_server()
    own_stack.add_worker("langgraph", "--concurrency", "4")
    page = tmp_path / "page.txt"
    lines = [Call("write", {"path": str(page), "line": line}, id=f"w{line}") for line in ("one", "two")]
    model.script(key, Answer(ask(other, "ask_guarded")), Answer("It was written."))
    model.script(other, *map(Answer, lines), Answer("I wrote both."))
    async with server.openai() as client:
        first = await client.responses.create(model=PARENT, input=prompt(key), store=store)
        (asking,) = asked_for(own_stack, first.id)
        await settled(own_stack, first.id, asking)
        forget(own_stack)
        second = await client.responses.create(**approval(first), store=store)
        # It has what waited for its first answer, and what waits for the second.
        _, waiting = asked_for(own_stack, second.id)
        await settled(own_stack, second.id, waiting)
        forget(own_stack, first.id, asking)
        third = await client.responses.create(**approval(second), store=store)
        assert third.output_text == "It was written."
        assert third.output[0].output == "I wrote both."
        assert third.output[0].error is None
    assert [line.split()[0] for line in page.read_text().splitlines()] == ["one", "two"]
    assert (len(model.requests(key)), len(model.requests(other))) == (2, 3)


@ON_ONE_HOST
async def test_a_turn_that_is_tried_again_asks_what_the_other_still_asks(own_stack, model, key, other, tmp_path):
    """The first loses its worker, beside another agent that it asked and that still runs."""
    server = own_stack.add_server()
    own_stack.add_worker("llama-stack")
    worker = own_stack.add_worker("langgraph", "--attempts", "1")
    page = tmp_path / "page.txt"
    third = f"{key}-third"
    both = ask(other, "ask_guarded"), Call("ask", {"input": prompt(third)}, id="c2")
    model.script(key, Answer(*both), Answer("It was written."))
    one, two = (Call("write", {"path": str(page), "line": line}, id=line) for line in ("one", "two"))
    model.script(other, Answer(one), Answer(two), Answer("I wrote both."))
    model.script(third, Answer("Never ", FOREVER), Answer("Here."))
    async with server.openai() as client:
        first = await client.responses.create(model=PARENT, input=prompt(key), background=True)

        async def waiting():
            with own_stack.redis() as redis:
                entries = redis.hvals(keys.TURN + first.id + keys.JOURNAL)
            asked = [json.loads(entry).get("asked_agent") for entry in entries if entry.startswith(b"{")]
            return [each["response_id"] for each in asked if each]

        (child,) = await eventually(waiting, bool)
        await model.request(third)
        shown = await turns(own_stack, "show", child)
        assert f"{first.id}, which is running" in shown.stdout
        worker.kill()
        own_stack.add_worker("langgraph", "--attempts", "1")
        assert (await ended(client, first.id)).status == "failed"
        shown = await turns(own_stack, "show", child)
        assert f"k8gentai turns retry {first.id}" in shown.stdout
        forget(own_stack)
        again = (await turns(own_stack, "retry", first.id)).stdout.split()[0]
        assert (await ended(client, again)).status == "completed"
        for _ in ("one", "two"):
            shown = await turns(own_stack, "show", child)
            assert f"k8gentai turns approve {again} " in shown.stdout
            approved = await turns(own_stack, "approve", again)
            again = approved.stdout.split("\n")[1].split()[0]
            finished = await ended(client, again)
            child = asked_for(own_stack, again)[-1]
        assert finished.output_text == "It was written."
    assert [line.split()[0] for line in page.read_text().splitlines()] == ["one", "two"]
    assert (len(model.requests(key)), len(model.requests(other)), len(model.requests(third))) == (2, 3, 2)


async def test_what_is_not_to_be_kept_of_the_first_is_not_kept_of_the_other(client, model, key, other):
    model.script(key, Answer(ask(other)), Answer("Done."))
    model.script(other, Answer("An answer."))
    response = await client.responses.create(model=PARENT, input=prompt(key), store=False)
    assert response.output[0].output == "An answer."
    assert await eventually(lambda: children(client, response.id), lambda found: not found) == []


async def test_nobody_but_a_worker_asks_on_behalf_of_a_turn(http, key):
    body = {"model": "plain", "input": prompt(key)}
    refused = await http.post("/v1/responses", json=body, headers={"x-amf-parent": "e30=.00"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "parent_forged")


@ON_ONE_HOST
async def test_a_killed_worker_leaves_one_turn_of_the_other_agent(own_stack, model, key, other):
    server = own_stack.add_server()
    own_stack.add_worker("llama-stack")
    worker = own_stack.add_worker("langgraph", "--lease-seconds", "2")
    gate = Gate()
    model.script(key, Answer(ask(other)), Answer("Done."))
    model.script(other, Answer("The one ", gate, "answer."))
    async with server.openai() as client:
        response = await client.responses.create(model=PARENT, input=prompt(key), background=True)
        await gate.reached()
        worker.kill()
        own_stack.add_worker("langgraph", "--lease-seconds", "2")

        async def attempt():
            with own_stack.redis() as redis:
                return int(redis.hget(keys.TURN + response.id, "attempt"))

        await eventually(attempt, lambda number: number == 2)
        gate.open()
        finished = await ended(client, response.id)
        assert finished.output_text == "Done."
        assert finished.output[0].output == "The one answer."
        assert len(await children(client, response.id)) == 1
    assert (len(model.requests(key)), len(model.requests(other))) == (2, 1)


@ON_ONE_HOST
async def test_turns_that_wait_for_turns_of_their_own_pool_leave_them_room(own_stack, model, key, other):
    """Two turns fill the pool, and ask agents of the same pool."""
    server = own_stack.add_server()
    own_stack.add_worker("langgraph", "--concurrency", "2")
    model.script(key, *[Answer(ask(other, "ask_guarded"))] * 2, *[Answer("Done.")] * 2)
    model.script(other, *[Answer("Answered.")] * 2)
    async with server.openai() as client:
        both = [client.responses.create(model=PARENT, input=prompt(key)) for _ in range(2)]
        assert [response.output_text for response in await asyncio.gather(*both)] == ["Done."] * 2
