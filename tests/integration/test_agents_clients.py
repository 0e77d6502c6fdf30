"""The clients that know the classic Agents API, unmodified, each in its own environment."""

import json
import uuid

import pytest

from k8gentai.stack.environments.installed import ensure
from tests.integration.helpers import prompt
from tests.scripted import Answer, Call, Refuse
from tests.support.processes import run_python

WEATHER = (Answer(Call("get_weather", {"town": "Ghent"})), Answer("It ", "rains."))
SUM = (Answer(Call("multiply", {"a": 17, "b": 23})), Answer("It is ", "391."))


def run(version, url, model, scripts):
    """Run the scenarios of one version's client, the model answering each by its script.

    Returns what each saw, and under ``keys`` the scripts' keys.
    """
    keys = {scenario: f"k{uuid.uuid4().hex[:12]}" for scenario in scripts}
    for scenario, steps in scripts.items():
        model.script(keys[scenario], *steps)
    asked = {"url": url, **{scenario: prompt(key) for scenario, key in keys.items()}}
    program = f"tests/clients/classic_{version.replace('.', '_')}.py"
    python = ensure(f"client-{version}", print)
    environment = {"PYTHONPATH": ""}
    done = run_python(program, json.dumps(asked), python=python, environment=environment)
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "keys": keys}


@pytest.fixture(scope="module")
def seen_by_0_2(stack, model):
    scripts = {
        "an_agent_with_a_tool_of_its_clients": WEATHER,
        "an_agent_without_a_stream": WEATHER,
        "a_registered_agent": (*SUM, Answer("I said so.")),
        "an_asynchronous_agent": WEATHER,
        "plain_calls": (Answer("Good ", "day."),),
        "a_turn_that_fails": (Refuse(400, "no such luck"), Refuse(400, "no such luck")),
    }
    return run("0.2", stack.server.url, model, scripts)


@pytest.fixture(scope="module")
def seen_by_0_3(stack, model):
    scripts = {
        "a_turn_that_is_resumed": WEATHER,
        "a_turn_with_documents": (Answer("On the Leie."),),
        "an_agent_that_searches": (
            Answer(Call("file_search", {"query": "Where does Ghent lie?"})),
            Answer("On the Leie."),
        ),
        "sessions": (Answer("One."), Answer("Two.")),
        "the_agent_helper": SUM,
    }
    return run("0.3", stack.server.url, model, scripts)


def kinds(steps):
    return [step["step_type"] for step in steps]


def test_the_clients_are_those_versions(seen_by_0_2, seen_by_0_3):
    assert (seen_by_0_2["version"], seen_by_0_3["version"]) == ("0.2.23", "0.3.5")


def test_the_logger_prints_a_turn_with_a_tool_of_the_clients(seen_by_0_2, model):
    seen = seen_by_0_2["an_agent_with_a_tool_of_its_clients"]
    assert seen["printed"].splitlines() == [
        'inference> {"town": "Ghent"}',
        "tool_execution> Tool:get_weather Args:{'town': 'Ghent'}",
        'tool_execution> Tool:get_weather Response:"rain in Ghent"',
        "inference> It rains.",
    ]
    first, second = model.requests(seen_by_0_2["keys"]["an_agent_with_a_tool_of_its_clients"])
    (tool,) = first.body["tools"]
    assert tool["function"]["parameters"]["required"] == ["town"]
    assert first.texts("system") == ["Be brief."]
    assert second.texts("tool") == ['"rain in Ghent"']


def test_the_turn_has_all_its_steps_with_times(seen_by_0_2):
    turn = seen_by_0_2["an_agent_with_a_tool_of_its_clients"]["turn"]
    assert kinds(turn["steps"]) == ["inference", "tool_execution", "inference"]
    assert turn["output_message"]["content"] == "It rains."
    times = [time for step in turn["steps"] for time in (step["started_at"], step["completed_at"])]
    assert times == sorted(times)
    assert turn["started_at"] <= times[0] <= times[-1] <= turn["completed_at"]


def test_the_agent_without_a_stream(seen_by_0_2):
    assert seen_by_0_2["an_agent_without_a_stream"] == {
        "content": "It rains.",
        "steps": ["inference", "tool_execution", "inference"],
    }


def test_a_registered_agent_runs_its_own_tools_and_remembers(seen_by_0_2, model):
    seen = seen_by_0_2["a_registered_agent"]
    assert "tool_execution> Tool:multiply Response:391" in seen["first"]
    assert seen["first"].endswith("inference> It is 391.\n")
    assert seen["second"] == "inference> I said so.\n"
    assert "It is 391." in model.requests(seen_by_0_2["keys"]["a_registered_agent"])[2].texts("assistant")


def test_the_asynchronous_agent(seen_by_0_2):
    assert seen_by_0_2["an_asynchronous_agent"] == "It rains."


def test_plain_calls(seen_by_0_2):
    seen = seen_by_0_2["plain_calls"]
    assert seen["agent"]["agent_config"]["name"] == "plain"
    assert {"calculator", "assistant", seen["agent_id"]} <= set(seen["listed"])
    assert seen["sessions"] == ["talk"]
    assert seen["turn"] == seen["again"]
    assert seen["turn"]["steps"] == [seen["step"]]
    assert seen["deleted_session"][0] == seen["deleted_agent"][0] == 404


def test_a_turn_that_fails_is_told(seen_by_0_2):
    seen = seen_by_0_2["a_turn_that_fails"]
    assert "no such luck" in seen["printed"]
    assert "no such luck" in seen["raised"]


def test_errors_name_what_is_wrong(seen_by_0_2):
    seen = seen_by_0_2["errors"]
    status, message = seen["unknown agent"]
    assert status == 404
    assert "GET /v1/agents lists" in message
    status, message = seen["bad field"]
    assert status == 400
    assert "agent_config.max_infer_iters" in message
    status, message = seen["not supported"]
    assert status == 501
    assert "agent_config.tool_prompt_format" in message


def test_a_turn_is_resumed(seen_by_0_3, model):
    seen = seen_by_0_3["a_turn_that_is_resumed"]
    assert seen["arguments"] == '{"town": "Ghent"}'
    assert (seen["first"][0], seen["first"][-1]) == ("turn_start", "turn_awaiting_input")
    assert (seen["second"][0], seen["second"][-1]) == ("step_complete", "turn_complete")
    assert kinds(seen["steps"]) == ["inference", "tool_execution", "inference"]
    assert seen["turn"] == seen["again"]
    assert seen["step"] == seen["steps"][0]
    assert model.requests(seen_by_0_3["keys"]["a_turn_that_is_resumed"])[1].texts("tool") == ["rain in Ghent"]


def test_documents_go_with_the_message(seen_by_0_3, model):
    assert seen_by_0_3["a_turn_with_documents"] == "On the Leie."
    (request,) = model.requests(seen_by_0_3["keys"]["a_turn_with_documents"])
    assert "Ghent lies on the Leie." in request.texts("user")[0]
    # The agent it names is a registered one, whose prompt stands.
    assert request.texts("system")[0].startswith("You are the assistant of the tests.")


def test_documents_are_searched(seen_by_0_3, model):
    seen = seen_by_0_3["an_agent_that_searches"]
    assert (seen["content"], kinds(seen["steps"])) == (
        "On the Leie.",
        ["inference", "tool_execution", "inference"],
    )
    assert "Ghent lies on the Leie." in str(seen["steps"][1]["tool_responses"])
    (told,) = model.requests(seen_by_0_3["keys"]["an_agent_that_searches"])[1].texts("tool")
    assert "Ghent lies on the Leie." in told


def test_sessions(seen_by_0_3):
    seen = seen_by_0_3["sessions"]
    assert seen["all"] == seen["ids"]
    assert seen["some"] == seen["ids"][1:]
    assert "calculator" in seen["listed"]
    assert seen["gone"] == 404


def test_the_agent_helper_of_0_3_speaks_to_the_responses_api(seen_by_0_3):
    assert seen_by_0_3["the_agent_helper"].endswith("It is 391.\n")
