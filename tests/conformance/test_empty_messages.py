"""A message that says nothing."""

import pytest

from tests.conformance.helpers import prompt
from tests.scripted import Answer


@pytest.mark.parametrize("agent", ["plain", "declared"])
@pytest.mark.parametrize("content", [[], ""])
async def test_no_words_are_made_up_for_a_message_without_any(agent, content, client, model, key):
    model.script(key, Answer("Yes?"))
    before = {"role": "user", "content": prompt(key)}
    response = await client.responses.create(model=agent, input=[before, {"role": "user", "content": content}])
    assert response.output_text == "Yes?", response.error
    (request,) = model.requests(key)
    assert "None" not in str(request.texts("user"))
    # Endpoints refuse a user's message that has no content.
    assert all(message["content"] is not None for message in request.messages if message["role"] == "user")


@pytest.mark.parametrize(
    ("finish", "reason"), [("content_filter", "content_filter"), ("length", "max_output_tokens")]
)
@pytest.mark.parametrize("agent", ["plain", "declared"])
async def test_an_answer_that_is_cut_off_before_its_first_word_says_why(agent, finish, reason, client, model, key):
    # Some frameworks ask again.
    model.script(key, *[Answer(finish=finish)] * 9)
    response = await client.responses.create(model=agent, input=prompt(key))
    assert (response.status, response.error, response.output_text) == ("incomplete", None, "")
    assert response.incomplete_details.reason == reason
