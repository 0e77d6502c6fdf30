"""A turn waits for a person: durably, with the exact arguments, and answered once."""

import asyncio
import json
import random
from typing import Any

import openai
import pytest

from k8gentai.workers.queue import keys
from tests.integration.helpers import IMPLICIT, check_sequence, collect, ended, eventually, prompt, text_of
from tests.integration.test_turns_command import turns
from tests.scripted import Answer, Call, Refuse
from tests.support.llama_stack import McpServer, mcp_tool


@pytest.fixture
def page(tmp_path):
    """The file the agent's tools write to."""
    return tmp_path / "page.txt"


def write(page, line):
    return Call("write", {"path": str(page), "line": line})


def lines(page):
    return [line.split()[0] for line in page.read_text().splitlines()] if page.exists() else []


def asked(response):
    return [item for item in response.output if item.type == "mcp_approval_request"]


def answer(request, approve=True, reason=None):
    told = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": approve}
    return {**told, "reason": reason} if reason else told


async def suspended(client, model, key, page, agent="guarded", **options):
    """A turn that waits before it writes one line."""
    model.script(key, Answer("I shall write. ", write(page, "one")), Answer("Written."))
    return await client.responses.create(model=agent, input=prompt(key), **options)


async def test_an_approved_call_runs_and_the_turn_goes_on(client, model, key, page):
    first = await suspended(client, model, key, page)
    (request,) = asked(first)
    assert (first.status, request.name) == ("completed", "write")
    assert page.parent.name in request.arguments
    assert lines(page) == []
    stream = await client.responses.create(
        model="guarded", previous_response_id=first.id, input=[answer(request)], stream=True
    )
    events = await collect(stream)
    check_sequence(events)
    response = events[-1].response
    # Only what is new is told, and nothing was asked of the model twice.
    assert [item.type for item in response.output] == ["mcp_call", "message"]
    assert response.output[0].approval_request_id == request.id
    assert response.output[0].output == "wrote one"
    assert text_of(events) == "Written."
    assert lines(page) == ["one"]
    assert len(model.requests(key)) == 2
    assert response.usage.output_tokens == 7
    listed = await client.responses.input_items.list(response.id)
    assert [item.type for item in listed.data] == ["mcp_approval_response"]


async def test_a_turn_goes_on_as_its_first_request_asked(client, model, key, page):
    asking = {"temperature": 0.5, "instructions": "Be brief.", "max_output_tokens": 99}
    options = {**asking, "parallel_tool_calls": False}
    first = await suspended(client, model, key, page, **options)
    again = {"model": "guarded", "previous_response_id": first.id, "input": [answer(*asked(first))]}
    others = ("temperature", 0.9), ("instructions", "Be long."), ("text", {"format": {"type": "json_object"}})
    for name, value in others:
        with pytest.raises(openai.BadRequestError, match="goes on as its first request asked") as refused:
            await client.responses.create(**again, **{name: value})
        assert refused.value.param == name
    assert lines(page) == []
    nothing = {"parallel_tool_calls": True, "reasoning": {"effort": None}, "text": {"format": {"type": "text"}}}
    second = await client.responses.create(**again, temperature=0.5, **nothing)
    assert second.output_text == "Written."
    assert {name: getattr(second, name) for name in options} == options
    assert [request.body["temperature"] for request in model.requests(key)] == [0.5, 0.5]


async def test_a_denied_call_does_not_run_and_the_model_is_told_why(client, model, key, page):
    first = await suspended(client, model, key, page)
    (request,) = asked(first)
    second = await client.responses.create(
        model="guarded", previous_response_id=first.id, input=[answer(request, False, "Not on a Sunday.")]
    )
    assert second.output_text == "Written."
    assert [item.type for item in second.output] == ["message"]
    assert "Not on a Sunday." in str(model.requests(key)[-1].body["messages"][-1])
    assert lines(page) == []


async def test_an_approved_call_that_the_agent_does_not_come_to_again_fails_its_turn(client, model, key, page):
    model.script(key, Answer(write(page, "one")), Answer("I had rather not."))
    first = await client.responses.create(model="drifting", input=prompt(key))
    (request,) = asked(first)
    second = await client.responses.create(
        model="drifting", previous_response_id=first.id, input=[answer(request)]
    )
    assert (second.status, second.error.reason) == ("failed", "approved_call_missed")
    assert "a person approved 'write'" in second.error.message
    assert lines(page) == []


async def test_an_agent_that_went_on_from_a_models_failure_does_so_again(client, model, key, page):
    model.script(key, Refuse(400, "no such model"), Answer(write(page, "one")), Answer("Written."))
    first = await client.responses.create(model="falling-back", input=prompt(key))
    second = await client.responses.create(
        model="falling-back", previous_response_id=first.id, input=[answer(*asked(first))]
    )
    assert second.output_text == "Written.", second.error
    assert lines(page) == ["one"]
    assert len(model.requests(key)) == 3


async def test_nothing_but_redis_needs_to_live_while_it_waits(own_stack, model, key, page):
    server, worker = own_stack.add_server(), own_stack.add_worker("langgraph")
    async with server.openai() as client:
        conversation = await client.conversations.create()
        first = await suspended(client, model, key, page, conversation=conversation.id)
    (request,) = asked(first)
    worker.kill()
    server.stop()
    server.start()
    own_stack.add_worker("langgraph")
    async with server.openai() as client:
        second = await client.responses.create(
            model="guarded", conversation=conversation.id, input=[answer(request)]
        )
        assert second.output_text == "Written."
        items = await eventually(
            lambda: client.conversations.items.list(conversation.id, order="asc"), lambda page: len(page.data) == 6
        )
    assert lines(page) == ["one"]
    assert len(model.requests(key)) == 2
    kinds = ["message", "message", "mcp_approval_request", "mcp_approval_response", "mcp_call", "message"]
    assert [item.type for item in items.data] == kinds


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_what_was_asked_in_a_conversation_goes_on_in_it(client, model, key, page, is_deleted):
    conversation = await client.conversations.create()
    first = await suspended(client, model, key, page, conversation=conversation.id)
    if is_deleted:
        await client.conversations.delete(conversation.id)
    (request,) = asked(first)
    second = await client.responses.create(model="guarded", previous_response_id=first.id, input=[answer(request)])
    assert (second.output_text, lines(page)) == ("Written.", ["one"])
    if is_deleted:
        assert second.conversation is None
    else:
        items = await client.conversations.items.list(conversation.id, order="asc")
        kinds = ["message", "message", "mcp_approval_request", "mcp_approval_response", "mcp_call", "message"]
        assert [item.type for item in items.data] == kinds


async def test_several_pending_calls_are_decided_together_or_one_by_one(client, model, key, page):
    model.script(key, Answer(write(page, "one"), write(page, "two"), write(page, "three")), Answer("Done."))
    first = await client.responses.create(model="guarded", input=prompt(key))
    requests = asked(first)
    assert len(requests) == 3
    by_line = {json.loads(request.arguments)["line"]: request for request in requests}
    second = await client.responses.create(
        model="guarded",
        previous_response_id=first.id,
        input=[answer(by_line["one"]), answer(by_line["two"], False)],
    )
    (rest,) = asked(second)
    assert "three" in rest.arguments
    assert lines(page) == ["one"]
    third = await client.responses.create(model="guarded", previous_response_id=second.id, input=[answer(rest)])
    assert third.output_text == "Done."
    assert lines(page) == ["one", "three"]
    assert len(model.requests(key)) == 2


async def test_decisions_that_contradict_each_other_are_a_denial(client, model, key, page):
    first = await suspended(client, model, key, page)
    (request,) = asked(first)
    both = [answer(request), answer(request, False)]
    second = await client.responses.create(model="guarded", previous_response_id=first.id, input=both)
    assert "contradict" in second.output[0].error
    assert lines(page) == []


async def test_a_decision_that_comes_too_late_is_a_denial(client, model, key, page):
    first = await suspended(client, model, key, page, agent="impatient")
    (request,) = asked(first)
    second = await client.responses.create(
        model="impatient", previous_response_id=first.id, input=[answer(request)]
    )
    assert (second.output[0].status, second.output[0].approval_request_id) == ("failed", request.id)
    assert second.output[0].error == "a person did not approve this call: nobody decided in time"
    assert lines(page) == []


@pytest.mark.parametrize("options", [[], ["--deny"]])
async def test_a_decision_that_comes_too_late_at_the_command_line_says_so(
    stack, client, model, key, page, options
):
    first = await suspended(client, model, key, page, agent="impatient")
    (request,) = asked(first)
    done = await turns(stack, "approve", first.id, *options)
    assert done.returncode == 1
    late, following = done.stdout.strip().splitlines()
    assert late == f"Too late, and so denied: write({request.arguments})"
    assert (await ended(client, following.split()[0])).status == "completed"
    assert lines(page) == []


@pytest.mark.parametrize("store", [True, False])
async def test_a_turn_that_waits_can_be_cancelled_and_is_not_answered_then(client, model, key, page, store):
    first = await suspended(client, model, key, page, store=store)
    cancelled = await client.responses.cancel(first.id)
    assert cancelled.status == "cancelled"
    with pytest.raises(openai.APIStatusError):
        await client.responses.create(
            model="guarded", previous_response_id=first.id, input=[answer(asked(first)[0])]
        )
    assert lines(page) == []
    if store:
        assert (await client.responses.cancel(first.id)).status == "cancelled"
        assert (await client.responses.retrieve(first.id)).status == "cancelled"


@pytest.mark.parametrize("store", [True, False])
async def test_a_turn_that_waits_can_be_deleted(client, model, key, page, store):
    first = await suspended(client, model, key, page, store=store)
    await client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.delete(first.id)


async def test_an_answer_counts_once(client, model, key, page):
    first = await suspended(client, model, key, page)
    (request,) = asked(first)
    again = {"model": "guarded", "previous_response_id": first.id, "input": [answer(request)]}
    second = await client.responses.create(**again)
    # With the SDK's own tries, as the next one of an equal request would count as the first.
    with pytest.raises(openai.ConflictError, match=second.id):
        await client.with_options(max_retries=2).responses.create(**again)
    assert lines(page) == ["one"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (
            {"input": [{"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}]},
            "request_not_found",
        ),
        ({"previous_response_id": None}, "elsewhere"),
        ({"model": "plain"}, "elsewhere"),
        ({"input": "message too"}, "mixed"),
    ],
)
async def test_an_answer_to_what_was_not_asked_is_refused(client, model, key, page, change, code):
    first = await suspended(client, model, key, page)
    (request,) = asked(first)
    body = {"model": "guarded", "previous_response_id": first.id, "input": [answer(request)], **change}
    if body["input"] == "message too":
        body["input"] = [answer(request), {"role": "user", "content": "And hurry."}]
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(**body)
    assert refused.value.code == f"approval_{code}"
    assert lines(page) == []
    # What was refused has answered nothing.
    second = await client.responses.create(model="guarded", previous_response_id=first.id, input=[answer(request)])
    assert second.output_text == "Written."


async def test_a_worker_that_dies_after_the_approval_runs_the_call_again_with_the_same_key(
    own_stack, model, key, page
):
    """The idempotency key stays that of the first turn, over the suspension and the crash."""
    server, worker = own_stack.add_server(), own_stack.add_worker("langgraph")
    async with server.openai() as client:
        model.script(
            key, Answer(Call("linger", {"path": str(page), "line": "slow"}), write(page, "one")), Answer("Ok.")
        )
        page.with_suffix(".go").touch()
        first = await client.responses.create(model="guarded", input=prompt(key))
        (request,) = asked(first)
        # The call that needs nobody ran beside the one that waits.
        assert lines(page) == ["slow"]
        worker.kill()
        own_stack.add_worker("langgraph")
        second = await client.responses.create(
            model="guarded", previous_response_id=first.id, input=[answer(request)]
        )
        assert second.output_text == "Ok."
    assert lines(page) == ["slow", "one"]
    assert {line.split()[1].split(":")[0] for line in page.read_text().splitlines()} == {first.id}


async def test_the_agents_own_interrupt_is_answered_with_what_the_person_says(client, model, key):
    model.script(key, Answer("Dear Sir. "))
    first = await client.responses.create(model="letters", input=prompt(key))
    (request,) = asked(first)
    assert (request.name, request.arguments) == ("interrupt", '{"question": "Who signs?"}')
    assert first.output_text == "Dear Sir. "
    second = await client.responses.create(
        model="letters", previous_response_id=first.id, input=[answer(request, reason="Ada")]
    )
    assert second.output_text == "Signed: Ada"
    assert len(model.requests(key)) == 1


async def test_langchains_middleware_asks_about_the_call_itself(client, model, key, page):
    stream = await suspended(client, model, key, page, agent="watched", stream=True)
    events = await collect(stream)
    check_sequence(events)
    first = events[-1].response
    # What waits is shown in place of the call, which nobody has made.
    assert [item.type for item in first.output] == ["message", "mcp_approval_request"]
    (request,) = asked(first)
    assert (request.name, json.loads(request.arguments)) == ("write", {"path": str(page), "line": "one"})
    called = [event.item for event in events if event.type == "response.output_item.done"]
    assert [item.status for item in called if item.type == "mcp_call"] == ["incomplete"]
    assert lines(page) == []
    second = await client.responses.create(model="watched", previous_response_id=first.id, input=[answer(request)])
    assert [item.type for item in second.output] == ["mcp_call", "message"]
    call = second.output[0]
    assert (call.name, call.status, call.output) == ("write", "completed", "wrote one")
    assert call.approval_request_id == request.id
    assert lines(page) == ["one"]
    assert len(model.requests(key)) == 2
    model.script(key, Answer("As I said."))
    await client.responses.create(model="watched", previous_response_id=second.id, input=prompt(key, "And now?"))
    told = model.requests(key)[-1].messages
    assert [message["content"] for message in told if message["role"] == "tool"] == ["wrote one"]


async def test_what_the_middleware_denies_does_not_run_and_is_no_item(client, model, key, page):
    first = await suspended(client, model, key, page, agent="watched")
    (request,) = asked(first)
    refusal = answer(request, False, "Not on a Sunday.")
    second = await client.responses.create(model="watched", previous_response_id=first.id, input=[refusal])
    assert [item.type for item in second.output] == ["message"]
    assert "Not on a Sunday." in str(model.requests(key)[-1].messages[-1])
    assert lines(page) == []


async def test_a_person_may_change_what_the_middleware_asks_about(client, model, key, page):
    first = await suspended(client, model, key, page, agent="watched")
    (request,) = asked(first)
    edited = {"name": "write", "args": {"path": str(page), "line": "two"}}
    edit = answer(request, reason=json.dumps({"type": "edit", "edited_action": edited}))
    await client.responses.create(model="watched", previous_response_id=first.id, input=[edit])
    assert lines(page) == ["two"]


async def test_what_middleware_runs_in_place_of_what_a_person_approved_is_asked_about(client, model, key, page):
    first = await suspended(client, model, key, page, agent="rewritten")
    (request,) = asked(first)
    second = await client.responses.create(
        model="rewritten", previous_response_id=first.id, input=[answer(request)]
    )
    (request,) = asked(second)
    assert (request.name, json.loads(request.arguments)["line"], lines(page)) == ("write", "another", [])
    refusal = answer(request, False, "Not that.")
    third = await client.responses.create(model="rewritten", previous_response_id=second.id, input=[refusal])
    assert third.status == "completed", third.error
    assert lines(page) == []
    assert "Not that." in str(model.requests(key)[-1].messages[-1])


def inquiries(*names):
    """An answer of the model that asks several people the same, at once."""
    return Answer(*(Call("inquire", {"who": name, "question": "Which way?"}) for name in names))


async def test_each_question_gets_its_own_answer(own_stack, model, key):
    """Whatever is answered first, by whichever server, and though the workers die."""
    servers = [own_stack.add_server(), own_stack.add_server()]
    worker = own_stack.add_worker("langgraph")
    chance, names = random.Random(3), ["Ada", "Bob", "Cleo", "Dan"]
    async with servers[0].openai() as one, servers[1].openai() as other:
        for turn in range(3):
            own_key = f"{key}-{turn}"
            model.script(own_key, inquiries(*names), Answer("Thank you."))
            response = await one.responses.create(model="inquiring", input=prompt(own_key))
            results = {}
            while requests := asked(response):
                assert len(requests) + len(results) == len(names)
                chosen = chance.sample(requests, chance.randint(1, len(requests)))
                answers = [
                    answer(request, reason=f"{json.loads(request.arguments)['who']}'s way") for request in chosen
                ]
                if turn == 1:
                    worker.kill()
                    worker = own_stack.add_worker("langgraph")
                client = chance.choice([one, other])
                response = await client.responses.create(
                    model="inquiring", previous_response_id=response.id, input=answers
                )
                results |= {item.arguments: item.output for item in response.output if item.type == "mcp_call"}
            assert response.output_text == "Thank you."
            assert sorted(results.values()) == [f"{name} says {name}'s way" for name in names]
            told = [message for message in model.requests(own_key)[-1].messages if message["role"] == "tool"]
            assert [message["content"] for message in told] == [f"{name} says {name}'s way" for name in names]
            assert len(model.requests(own_key)) == 2


async def test_what_parallel_nodes_said_before_they_asked_comes_once(client, model, key):
    """Whichever of them asks its model first, when they run again."""
    for turn in range(4):
        own_key, names = f"{key}-{turn}", ["north", "south"]
        for name in names:
            model.script(f"{own_key}-{name}", Answer("I think ", f"that {name} ", "is fine."))
        response = await client.responses.create(model="clerks", input=prompt(own_key))
        texts = said(response)
        assert sorted(texts) == [f"I think that {name} is fine." for name in names]
        for request in sorted(asked(response), key=lambda request: request.arguments):
            who = json.loads(request.arguments)["who"]
            (now,) = [again for again in asked(response) if json.loads(again.arguments)["who"] == who]
            response = await client.responses.create(
                model="clerks", previous_response_id=response.id, input=[answer(now, reason="Yes.")]
            )
            texts += said(response)
        assert sorted(texts) == sorted(
            [*(f"I think that {name} is fine." for name in names), *(f"{name}: Yes." for name in names)]
        )


async def test_what_a_node_did_not_pass_on_is_no_answer_of_a_turn_that_waits(client, model, key, page):
    for name in "abc":
        model.script(f"{key}-{name}", Answer(f"Part {name}: ", write(page, name)), Answer(f"{name} is done."))
    response = await client.responses.create(model="parted", input=prompt(key))
    # These agents are still at work.
    texts = said(response)
    assert sorted(texts) == [f"Part {name}: " for name in "abc"]
    streamed = []
    while requests := asked(response):
        stream = await client.responses.create(
            model="parted", previous_response_id=response.id, input=[answer(requests[0])], stream=True
        )
        events = await collect(stream)
        check_sequence(events)
        response = events[-1].response
        texts += said(response)
        streamed.append("".join(event.delta for event in events if event.type == "response.output_text.delta"))
    assert sorted(texts[3:]) == ["Joined: a is done. b is done. c is done."]
    # What was said is streamed, as nobody knows then what comes of it.
    assert all("is done." in text for text in streamed)
    assert sorted(lines(page)) == ["a", "b", "c"]
    model.script(key, Answer("And on."))
    await client.responses.create(model="patient", previous_response_id=response.id, input=prompt(key))
    told = model.requests(key)[-1].messages
    words = [message.get("content") or "" for message in told if message["role"] == "assistant"]
    assert not [text for text in words if "done." in text and "Joined" not in text]


def said(response):
    """The texts of a response's messages."""
    return [item.content[0].text for item in response.output if item.type == "message"]


async def test_who_answers_at_the_same_time_as_another_is_told_where_the_rest_is_asked(own_stack, model, key):
    servers = [own_stack.add_server(), own_stack.add_server()]
    own_stack.add_worker("langgraph")
    model.script(key, inquiries("Ada", "Bob"), Answer("Thank you."))
    async with servers[0].openai() as one, servers[1].openai() as other:
        first = await one.responses.create(model="inquiring", input=prompt(key))
        both = [
            client.responses.create(
                model="inquiring",
                previous_response_id=first.id,
                input=[answer(request, reason=json.loads(request.arguments)["who"].upper())],
            )
            for client, request in zip((one, other), asked(first), strict=True)
        ]
        came: list[Any] = await asyncio.gather(*both, return_exceptions=True)
        (second,) = [response for response in came if not isinstance(response, Exception)]
        (refused,) = [error for error in came if isinstance(error, Exception)]
        assert isinstance(refused, openai.ConflictError)
        assert second.id in refused.message
        assert "asks what is still open" in refused.message
        (rest,) = asked(second)
        who = json.loads(rest.arguments)["who"]
        third = await other.responses.create(
            model="inquiring", previous_response_id=second.id, input=[answer(rest, reason=who.upper())]
        )
    assert third.output_text == "Thank you."
    told = [message["content"] for message in model.requests(key)[-1].messages if message["role"] == "tool"]
    assert told == ["Ada says ADA", "Bob says BOB"]


async def test_somebody_at_the_command_line_decides(stack, client, model, key, page):
    first = await suspended(client, model, key, page)
    nothing = await turns(stack, "approve", first.id, "--call", "other")
    assert (nothing.returncode, lines(page)) == (1, [])
    misspelt = await turns(stack, "approve", first.id, "--call", "wriet")
    assert "does not wait for a call of wriet, but for write; did you mean 'write'?" in misspelt.stderr
    done = await turns(stack, "approve", first.id)
    assert done.returncode == 0, done.stderr
    following = done.stdout.split()[-5]
    second = await ended(client, following)
    assert second.output_text == "Written."
    assert second.previous_response_id == first.id
    assert lines(page) == ["one"]
    again = await turns(stack, "approve", first.id, "--deny")
    assert again.returncode == 1
    assert following in again.stderr


async def test_a_decision_is_not_spent_on_an_agent_that_no_worker_can_import(stack, client, model, key, page):
    first = await suspended(client, model, key, page)
    with stack.redis() as redis:
        workers = redis.smembers(keys.RQ_WORKERS + "langgraph")
        for worker in workers:
            redis.hset(worker, keys.MISSING, json.dumps({"guarded": "there is no module 'mine'"}))
        refused = await turns(stack, "approve", first.id)
        for worker in workers:
            redis.hdel(worker, keys.MISSING)
    assert (refused.returncode, lines(page)) == (1, [])
    assert "no worker can import its agent 'guarded': there is no module 'mine'. Nothing was" in refused.stderr
    assert (await turns(stack, "approve", first.id)).returncode == 0


async def test_a_decision_whose_turn_failed_is_taken_up_by_a_retry(stack, client, model, key, page):
    model.script(key, Answer(write(page, "one")), Refuse(400))
    first = await client.responses.create(model="guarded", input=prompt(key))
    following = (await turns(stack, "approve", first.id)).stdout.split()[-5]
    assert (await ended(client, following)).status == "failed"
    hint = f"k8gentai turns retry {following}"
    assert hint in (await turns(stack, "approve", first.id)).stderr
    assert hint in (await turns(stack, "show", following)).stdout
    model.script(key, Answer("Never asked."), Answer("Never asked."), Answer("Written."))
    again = (await turns(stack, "retry", following)).stdout.split()[0]
    assert (await ended(client, again)).output_text == "Written."
    assert lines(page) == ["one"]
    assert again in (await turns(stack, "show", following)).stdout


async def test_a_failed_turn_is_run_again_from_its_journal(stack, client, model, key, page):
    # A second step that the script lacks fails the turn.
    model.script(key, Answer("I write. ", Call("write", {"path": str(page), "line": "one"})))
    first = await client.responses.create(model="scribe", input=prompt(key))
    assert first.status == "failed"
    model.script(key, Answer("Never asked."), Answer("Never asked."), Answer("Done."))
    done = await turns(stack, "retry", first.id)
    assert done.returncode == 0, done.stderr
    second = await ended(client, done.stdout.split()[0])
    assert second.status == "completed"
    assert second.output_text.endswith("Done.")
    assert [item.type for item in second.output] == ["message", "mcp_call", "message"]
    assert lines(page) == ["one"]
    assert len(model.requests(key)) == 3
    refused = await turns(stack, "retry", second.id)
    assert refused.returncode == 1
    assert "has not failed" in refused.stderr
    twice = await turns(stack, "retry", first.id)
    assert twice.returncode == 1
    assert f"was run again before, by {second.id}" in twice.stderr


async def test_an_mcp_tool_of_the_request_waits_where_the_request_says_so(client, model, key):
    server = McpServer()
    server.start()
    try:
        model.script(key, Answer(Call("add", {"a": 1, "b": 2})), Answer("Three."))
        first = await client.responses.create(
            model=IMPLICIT, input=prompt(key), tools=[mcp_tool(server, require_approval="always")]
        )
        (request,) = asked(first)
        assert (request.name, request.server_label) == ("add", "calc")
        second = await client.responses.create(
            model=IMPLICIT, previous_response_id=first.id, input=[answer(request)]
        )
    finally:
        server.stop()
    call = second.output[-2]
    assert (call.type, call.output, call.approval_request_id) == ("mcp_call", "sum=3", request.id)
    assert second.output_text == "Three."
    assert len(model.requests(key)) == 2
