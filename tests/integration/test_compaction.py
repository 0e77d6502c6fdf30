"""A conversation made short with the openai SDK, and taken up again by agents of each framework."""

import pytest

from tests.integration.helpers import EVERY_AGENT, IMPLICIT, heard, prompt
from tests.scripted import Answer


@pytest.mark.parametrize("agent", EVERY_AGENT)
async def test_a_turn_goes_on_from_what_was_summed_up(client, model, key, agent):
    model.script(key, Answer("Ghent it is."), Answer("They chose Ghent."), Answer("In spring."))
    question = prompt(key, "Ghent or Bruges?")
    first = await client.responses.create(model=agent, input=question)
    made = await client.responses.compact(model=IMPLICIT, previous_response_id=first.id)
    assert [item.type for item in made.output] == ["message", "compaction"]
    second = await client.responses.create(model=agent, input="And when?", previous_response_id=made.id)
    assert second.output_text == "In spring."
    asked, told = (heard(request) for request in model.requests(key)[1:])
    assert asked[:2] == [("user", question), ("assistant", "Ghent it is.")]
    assert told == [("user", question), ("assistant", "They chose Ghent."), ("user", "And when?")]
