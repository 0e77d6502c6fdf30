"""A declarative agent with a tool of each kind, the same in every framework."""

import re

from tests.conformance.helpers import items_of, prompt
from tests.scripted import Answer, Call


async def test_tools_are_functions_servers_and_agents(client, model, key):
    other = f"{key}-other"
    model.script(other, Answer("By Austen.", usage=(100, 50)))
    calls = (
        Call("repeat", {"word": "so"}, id="c1"),
        Call("key", {}, id="c2"),
        Call("librarian", {"input": prompt(other, "Who wrote Emma?")}, id="c3"),
        Call("repeat", {"word": "so", "times": "often"}, id="c4"),
    )
    model.script(key, *(Answer(call) for call in calls), Answer("Done."))
    response = await client.responses.create(model="equipped", input=prompt(key))
    assert response.output_text == "Done."
    called = items_of(response, "mcp_call")
    assert [item.error for item in called[:3]] == [None, None, None]
    spoken, idempotency_key, answered = (item.output for item in called[:3])
    assert (spoken, answered) == ("so so", "By Austen.")
    # The call's id is the gateway's, whatever the model's is.
    assert re.fullmatch(rf"{response.id}:(?!c2)\w+", idempotency_key)
    assert "times" in (called[3].error or called[3].output)
    assert response.usage.total_tokens == 18 * 5 + 150
    offered = {tool["function"]["name"]: tool["function"] for tool in model.requests(key)[0].body["tools"]}
    # Some frameworks add tools of their own.
    assert offered.keys() >= {"repeat", "key", "librarian"}
    assert "word" in offered["repeat"]["parameters"]["required"]


async def test_the_model_gets_the_users_words_as_they_are(client, model, key):
    words = """If 3 < 4 && "x" > 'y' {{then}} &amp; so?"""
    model.script(key, Answer("So."))
    response = await client.responses.create(
        model="equipped", input=prompt(key, words), instructions="Say <b> & c."
    )
    assert response.output_text == "So."
    request = model.requests(key)[0]
    assert any(words in text for text in request.texts("user"))
    assert any("Say <b> & c." in text for text in request.texts("system"))
