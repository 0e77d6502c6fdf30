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
