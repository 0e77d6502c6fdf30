"""What an agent came to, where no model's words are it: structured output, whatever was said on the way."""

import pytest
from pydantic import BaseModel

from tests.conformance.guarded import agent_id
from tests.conformance.helpers import items_of, prompt, shapes_of
from tests.scripted import FOREVER, Answer, Call

pytestmark = pytest.mark.parametrize("framework", ["ag2", "beeai", "crewai"], indirect=True, scope="session")

PLAN = '{"city": "Oslo", "days": 3}'


class Plan(BaseModel):
    """What the planners answer."""

    city: str
    days: int


async def test_a_structured_answer_is_all_of_the_answer(framework, client, model, key):
    say_it = {
        "ag2": (Answer(PLAN),),
        "beeai": (Answer(Call("final_answer", PLAN)),),
        "crewai": (Answer(f"Notes [[{key}]]."), Answer(PLAN)),
    }
    model.script(key, Answer("I add. ", Call("add", {"a": 1, "b": 2})), *say_it[framework])
    response = await client.responses.parse(model="planner", input=prompt(key), text_format=Plan)
    assert response.status == "completed", response.error
    assert response.output_parsed == Plan(city="Oslo", days=3)
    assert [call.name for call in items_of(response, "mcp_call")] == ["add"]
    assert len(items_of(response, "message")) == 1


async def test_an_agent_that_works_for_another_is_not_asked_for_the_form_of_the_answer(
    framework, client, model, key
):
    agent, call = {
        "ag2": ("as_tool", Call("task_writer", {"objective": prompt(key)})),
        "beeai": ("handoff", Call("writer", {"task": prompt(key)})),
        "crewai": (
            "consulting",
            Call("delegate_work_to_coworker", {"task": prompt(key), "context": "None", "coworker": "Writer"}),
        ),
    }[framework]
    model.script(key, Answer(call), Answer("To Oslo."), Answer(PLAN))
    response = await client.responses.parse(model=agent_id(agent), input=prompt(key), text_format=Plan)
    assert response.output_parsed == Plan(city="Oslo", days=3), response.error
    assert [call.output for call in items_of(response, "mcp_call")] == ["To Oslo."]
    assert shapes_of(model.requests(key)) == ["Plan", None, "Plan"]


async def test_an_object_that_code_returns_is_the_answer(client, model, key):
    model.script(key, Answer("Oslo"))
    response = await client.responses.create(model="coded", input=prompt(key))
    assert response.status == "completed", response.error
    assert Plan.model_validate_json(response.output_text) == Plan(city="Oslo", days=3)


async def test_an_object_of_another_shape_than_is_asked_for_fails_the_turn(client, model, key):
    model.script(key, Answer("Oslo"))
    schema = {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}
    asked = {"format": {"type": "json_schema", "name": "offer", "schema": schema, "strict": True}}
    response = await client.responses.create(model="coded", input=prompt(key), text=asked)
    assert (response.status, response.error.reason) == ("failed", "invalid_answer")
    assert "text.format: the answer is not of the schema" in response.error.message
    assert "'price' is a required property" in response.error.message


async def test_what_was_said_by_an_agent_that_was_too_slow_is_no_answer(framework, client, model, key):
    if framework == "crewai":
        pytest.skip("it runs crews in threads, which nobody cancels")
    model.script(key, Answer("First words ", FOREVER), Answer("Quick."))
    response = await client.responses.create(model="racing", input=prompt(key))
    assert response.output_text == "Quick.", response.error
    assert len(items_of(response, "message")) == 1
