"""Tool calls as endpoints really send them: each is asked for, run and shown by itself."""

import json

import pytest

from tests.integration.helpers import ON_ONE_HOST, prompt
from tests.integration.test_approval import answer, asked, lines
from tests.scripted import Answer, Call, Raw

pytestmark = ON_ONE_HOST


@pytest.fixture
def page(tmp_path):
    return tmp_path / "page.txt"


def calls(response):
    return [item for item in response.output if item.type == "mcp_call"]


def without_id(page):
    function = {"name": "write", "arguments": json.dumps({"path": str(page), "line": "one"})}
    delta = {"tool_calls": [{"index": 0, "type": "function", "function": function}]}
    return Raw({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def with_empty_id(page):
    return Call("write", {"path": str(page), "line": "one"}, id="", pieces=1)


@pytest.mark.parametrize("sent", [without_id, with_empty_id])
async def test_a_call_without_an_id_is_asked_for(client, model, key, page, sent):
    model.script(key, Answer(sent(page), finish="tool_calls"), Answer("Written."))
    first = await client.responses.create(model="guarded", input=prompt(key))
    assert [item.type for item in first.output] == ["mcp_approval_request"]
    assert lines(page) == []
    second = await client.responses.create(
        model="guarded", previous_response_id=first.id, input=[answer(asked(first)[0])]
    )
    assert [(call.output, call.error) for call in calls(second)] == [("wrote one", None)]
    assert (lines(page), second.output_text) == (["one"], "Written.")
    sent_back = model.requests(key)[-1].messages
    (made,) = next(message["tool_calls"] for message in sent_back if message.get("tool_calls"))
    assert made["id"]
    assert [message["tool_call_id"] for message in sent_back if message["role"] == "tool"] == [made["id"]]


async def test_two_calls_of_one_id_are_two_questions_and_two_items(client, model, key, page):
    twice = [Call("write", {"path": str(page), "line": line}, id="dup") for line in ("one", "two")]
    model.script(key, Answer(*twice), Answer("Written."))
    first = await client.responses.create(model="guarded", input=prompt(key))
    questions = asked(first)
    assert [json.loads(question.arguments)["line"] for question in questions] == ["one", "two"]
    second = await client.responses.create(
        model="guarded",
        previous_response_id=first.id,
        input=[answer(questions[0]), answer(questions[1], False, "Once is enough.")],
    )
    ((made, output),) = [(json.loads(call.arguments)["line"], call.output) for call in calls(second)]
    assert (made, output) == ("one", "wrote one")
    assert lines(page) == ["one"]
    results = model.requests(key)[-1].texts("tool")
    assert results[0] == "wrote one"
    assert "Once is enough." in results[1]


async def test_two_calls_of_one_id_have_each_their_own_result(client, model, key):
    twice = [Call("add", {"a": 1, "b": number}, id="dup") for number in (1, 2)]
    model.script(key, Answer(*twice), Answer("Added."))
    response = await client.responses.create(model="calculator", input=prompt(key))
    assert [(json.loads(call.arguments)["b"], call.output) for call in calls(response)] == [(1, "2.0"), (2, "3.0")]
    assert model.requests(key)[-1].texts("tool") == ["2.0", "3.0"]


@pytest.mark.parametrize("agent", ["measuring", "measuring-declared"])
async def test_a_number_that_is_none_is_null_for_client_and_model(client, model, key, agent):
    model.script(key, Answer(Call("measure")), Answer("Measured."))
    response = await client.responses.create(model=agent, input=prompt(key))
    measured = {"mean": None, "most": [None, 1.5], "word": "NaN"}
    (call,) = calls(response)
    (shown,) = model.requests(key)[-1].texts("tool")
    for text in (call.output, shown):
        assert json.loads(text, parse_constant=pytest.fail) == measured


def pieces(*sent):
    return Raw({"choices": [{"index": 0, "delta": {"tool_calls": list(sent)}, "finish_reason": None}]})


async def test_pieces_without_an_index_belong_to_the_call_that_has_their_id(client, model, key):
    model.script(
        key,
        Answer(
            pieces(*({"id": name, "type": "function", "function": {"name": "add"}} for name in "ab")),
            pieces({"id": "a", "function": {"arguments": '{"a": 1, '}}),
            pieces({"id": "b", "function": {"arguments": '{"a": 1, "b": 2}'}}),
            pieces({"id": "a", "function": {"arguments": '"b": 1}'}}),
            finish="tool_calls",
        ),
        Answer("Added."),
    )
    response = await client.responses.create(model="calculator", input=prompt(key))
    assert [(json.loads(call.arguments)["b"], call.output) for call in calls(response)] == [(1, "2.0"), (2, "3.0")]


@pytest.mark.parametrize("number", ["NaN", "1e999"])
async def test_a_number_that_is_none_runs_no_tool_and_goes_to_no_model(client, model, key, number):
    function = {"name": "add", "arguments": f'{{"a": 1, "b": {number}}}'}
    model.script(key, Answer(pieces({"index": 0, "function": function}), finish="tool_calls"), Answer("Sorry."))
    response = await client.responses.create(model="calculator", input=prompt(key))
    assert [call.error for call in calls(response)] == [
        f"the arguments are not a JSON object, so the tool was not run: {function['arguments']}"
    ]
    (made,) = next(m["tool_calls"] for m in model.requests(key)[-1].messages if m.get("tool_calls"))
    assert json.loads(made["function"]["arguments"], parse_constant=pytest.fail) in ({}, {"a": 1, "b": None})


@pytest.mark.parametrize("agent", ["calculator", "unstreamed"])
@pytest.mark.parametrize("written", ["5", "[1]", "true", '"x"', "null", "a=1"])
async def test_arguments_that_are_no_object_are_told_to_the_model(client, model, key, agent, written):
    model.script(key, Answer(Call("add", written)), Answer("Sorry."))
    response = await client.responses.create(model=agent, input=prompt(key))
    (call,) = calls(response)
    error = f"the arguments are not a JSON object, so the tool was not run: {written}"
    assert (call.arguments, call.error) == (written, error)
    assert [message["content"] for message in model.requests(key)[-1].messages if message["role"] == "tool"] == [
        error
    ]
    assert response.output_text == "Sorry."


async def test_calls_that_code_makes_under_one_id_are_asked_for_and_made_one_by_one(client, key):
    response = await client.responses.create(model="repeating", input=prompt(key))
    made = []
    for amount in (1, 2, 2):
        (question,) = asked(response)
        assert json.loads(question.arguments) == {"amount": amount}
        response = await client.responses.create(
            model="repeating", previous_response_id=response.id, input=[answer(question)]
        )
        made += [(call.approval_request_id, call.output) for call in calls(response)]
        assert made[-1] == (question.id, f"paid {amount}")
    assert len(made) == 3
    assert [item.type for item in response.output] == ["mcp_call", "message"]
    assert response.output_text == "paid 1, paid 2, paid 2"
