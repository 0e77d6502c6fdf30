"""A tool that wants approval asks, whatever in the framework runs it."""

import json
from pathlib import Path

import pytest
import yaml

from k8gentai.agents.registry.check import update
from k8gentai.agents.registry.check_terms import Terms
from k8gentai.stack.environments.frameworks import python_of
from tests.conformance.guarded import APPROVING, DISPATCHING, GUARDED, HOOKED, HURRYING, agent_id
from tests.conformance.helpers import answer, ended, items_of, prompt, write
from tests.scripted import FOREVER, Answer, Call, Gate

SHAPES = [(framework, shape) for framework, shapes in GUARDED.items() for shape in shapes]


@pytest.mark.parametrize(("framework", "shape"), SHAPES, indirect=["framework"], scope="session")
async def test_a_tool_asks_before_it_runs(framework, shape, client, model, key, page):
    question, answers = GUARDED[framework][shape](key, page)
    model.script(key, *answers)
    asked = await client.responses.create(model=agent_id(shape), input=question)
    requests = [r for r in items_of(asked, "mcp_approval_request") if r.name == "write"]
    assert len(requests) == 1, asked.error or asked.output
    assert not page.exists()
    done = await answer(client, asked, requests[0], approve=True)
    assert done.status == "completed", done.error
    assert len(page.read_text().splitlines()) == 1
    outputs = [call.output for call in items_of(done, "mcp_call") if call.name == "write"]
    assert outputs[-1] == "wrote one"
    assert len(outputs) == 1
    types = [item.type for item in done.output]
    assert "message" not in types[: types.index("mcp_call")], types


@pytest.mark.parametrize(
    ("framework", "shape", "tool", "named"),
    [
        ("langgraph", "consulting", "ask_writer", "question"),
        ("crewai", "in_tool", "ask_writer", "question"),
        ("ag2", "as_tool", "task_writer", "objective"),
    ],
    indirect=["framework"],
    scope="session",
)
async def test_an_agent_that_is_asked_again_in_the_same_words_acts_again(
    framework, shape, tool, named, client, model, key, page
):
    """What the first answered, and the calls in it, are no answers to the second."""
    call = Call(tool, {named: prompt(key, "Write.")})
    each = Answer(call), Answer(write(page, "one")), Answer("Written.")
    model.script(key, *each, *each, Answer("Done."))
    response = await client.responses.create(model=agent_id(shape), input=prompt(key))
    for _ in range(2):
        (request,) = items_of(response, "mcp_approval_request")
        response = await answer(client, response, request, approve=True)
    assert response.output_text == "Done.", response.error
    # Each under a key of its own.
    assert len({*page.read_text().splitlines()}) == 2
    assert len(model.requests(key)) == 7


@pytest.mark.parametrize("framework", ["crewai"], indirect=True, scope="session")
async def test_code_in_tools_that_calls_a_tool_alike_calls_it_each_time(framework, client, model, key, page):
    calls = [Call("shop", {"what": what, "path": str(page)}) for what in ("bread", "milk")]
    model.script(key, *(Answer(call) for call in calls), Answer("Done."))
    response = await client.responses.create(model=agent_id("shopping"), input=prompt(key))
    for _ in range(2):
        (request,) = items_of(response, "mcp_approval_request")
        response = await answer(client, response, request, approve=True)
    assert response.output_text == "Done.", response.error
    # Each under a key of its own.
    assert len({*page.read_text().splitlines()}) == 2


@pytest.mark.parametrize(
    ("framework", "tool"), [("langgraph", "shop"), ("crewai", "sell")], indirect=["framework"], scope="session"
)
async def test_a_call_of_the_models_is_not_that_of_a_tool_beside_it(framework, tool, client, model, key, page):
    """The tool calls the other with the same arguments, before the model's own call runs."""
    beside = Call(tool, {"what": "bread", "path": str(page)}), write(page, "one")
    model.script(key, Answer(*beside), Answer("Done."))
    response = await client.responses.create(model=agent_id("one_by_one"), input=prompt(key))
    for number in range(2):
        assert len(page.read_text().splitlines() if page.exists() else []) == number
        (request,) = items_of(response, "mcp_approval_request")
        response = await answer(client, response, request, approve=True)
    assert response.output_text == "Done.", response.error
    # Each under a key of its own.
    assert len({*page.read_text().splitlines()}) == 2


@pytest.mark.parametrize("framework", ["langgraph"], indirect=True, scope="session")
async def test_a_node_that_begins_anew_makes_its_calls_once(framework, client, model, key, page):
    model.script(key, Answer(write(page, "one")), Answer("Done."))
    response = await client.responses.create(model=agent_id("pausing"), input=prompt(key))
    asked = []
    while requests := items_of(response, "mcp_approval_request"):
        asked += [request.name for request in requests]
        assert len(asked) < 5, asked
        response = await answer(client, response, requests[0], approve=True)
    assert (response.status, response.output_text) == ("completed", "Done."), response.error
    assert asked.count("write") == 1
    assert len(page.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("framework", "shape", "tool", "named"),
    [
        ("langgraph", "consulting", "ask_writer", "question"),
        ("crewai", "in_tool", "ask_writer", "question"),
        ("ag2", "as_tool", "task_writer", "objective"),
    ],
    indirect=["framework"],
    scope="session",
)
async def test_calls_inside_a_recorded_call_are_shown_and_count(
    framework, shape, tool, named, lab, client, model, key, page
):
    """The worker dies once the agent that is a tool has answered: no other attempt comes to what it did."""
    gate, done = Gate(), Answer("Done.")
    asking = Answer(Call(tool, {named: prompt(key, "Write.")}))
    inner = Answer(write(page, "one")), Answer("Written.")
    model.script(key, asking, *inner, Answer(gate, FOREVER), asking, done, done)
    turn = await client.responses.create(
        model=agent_id(shape), input=prompt(key), background=True, max_tool_calls=2
    )
    asked = await ended(client, turn.id)
    decision = {"approval_request_id": items_of(asked, "mcp_approval_request")[0].id, "approve": True}
    said = {"type": "mcp_approval_response", **decision}
    turn = await client.responses.create(
        model=asked.model, input=[said], previous_response_id=asked.id, background=True
    )
    await gate.reached()
    await lab.kill_worker_of(turn.id)
    response = await ended(client, turn.id)
    assert response.status == "completed", response.error
    shown = [(call.name, call.output) for call in items_of(response, "mcp_call")]
    assert ("write", "wrote one") in shown, shown
    assert "maximum tool calls limit (2)" in str(items_of(response, "mcp_call")[-1].error)
    assert len(page.read_text().splitlines()) == 1


@pytest.mark.parametrize("framework", DISPATCHING, indirect=True, scope="session")
async def test_a_function_that_code_runs_for_the_model_ends_the_turn(framework, client, model, key, page):
    model.script(key, Answer(write(page, "one")))
    ended = await client.responses.create(model=agent_id("dispatching"), input=prompt(key))
    assert ended.status == "failed"
    assert ended.error.reason == "tool_bypassed"
    assert "the tool 'write'" in ended.error.message


@pytest.mark.parametrize("framework", ["crewai"], indirect=True, scope="session")
async def test_calls_beside_one_whose_result_is_the_answer_are_left_out(framework, client, model, key, page):
    model.script(key, Answer(write(page, "one"), write(page, "two")))
    asked = await client.responses.create(model=agent_id("returning"), input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    done = await answer(client, asked, request, approve=True)
    assert (done.status, done.output_text) == ("completed", "wrote one"), done.error
    made, left_out = items_of(done, "mcp_call")
    assert (made.output, "not run" in str(left_out.error)) == ("wrote one", True)


@pytest.mark.parametrize("framework", ["crewai"], indirect=True, scope="session")
@pytest.mark.parametrize(
    ("line", "decision", "told"),
    [
        ("asking", {"approve": True, "reason": "yes"}, "wrote asking"),
        ("asking", {"approve": True}, "wrote asking"),
        ("asking plainly", {"approve": True}, "wrote asking plainly"),
        ("asking for a word", {"approve": True}, "wrote asking for a word"),
        ("asking", {"approve": True, "reason": "not now"}, "blocked"),
        ("asking", {"approve": False, "reason": "yes"}, "blocked"),
    ],
)
async def test_a_hook_that_asks_a_person_waits_for_the_answer(
    framework, client, model, key, page, line, decision, told
):
    model.script(key, Answer(write(page, line)), Answer("Done."))
    first = await client.responses.create(model=agent_id("hooked"), input=prompt(key))
    second = await answer(client, first, *items_of(first, "mcp_approval_request"), approve=True)
    (request,) = items_of(second, "mcp_approval_request")
    assert (request.name, json.loads(request.arguments)["prompt"]) == ("request_human_input", "Write it?")
    assert not page.exists()
    done = await answer(client, second, request, **decision)
    assert done.output_text == "Done.", done.error
    assert page.exists() == (told != "blocked")
    assert told in model.requests(key)[1].texts("tool")[0]


@pytest.mark.parametrize("framework", HOOKED, indirect=True, scope="session")
async def test_a_tool_whose_result_a_person_reviews_does_not_run_again(framework, client, model, key, page):
    model.script(key, Answer(write(page, "reviewed")), Answer("Done."))
    asked = await client.responses.create(model=agent_id("reviewing"), input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    assert len(page.read_text().splitlines()) == 1
    done = await answer(client, asked, request, approve=True, reason="yes")
    assert done.output_text == "Done.", done.error
    assert "wrote reviewed" in model.requests(key)[1].texts("tool")[0]
    assert len(page.read_text().splitlines()) == 1


@pytest.mark.parametrize("framework", ["langgraph", "ag2", "beeai"], indirect=True, scope="session")
@pytest.mark.parametrize("word", ["no", "yes"])
async def test_a_tool_that_failed_before_its_call_asked_runs_again_for_a_yes_only(
    framework, client, model, key, page, word
):
    """BeeAI asks, and has no way to run it again."""
    model.script(key, Answer(write(page, "failing")), Answer("Done."))
    asked = await client.responses.create(model=agent_id("reviewing"), input=prompt(key))
    runs = 1
    while requests := items_of(asked, "mcp_approval_request"):
        assert len(page.read_text().splitlines()) == runs
        runs += word == "yes" and framework != "beeai" and runs == 1
        asked = await answer(client, asked, requests[0], approve=True, reason=word)
    assert asked.output_text == "Done.", asked.error
    assert len(page.read_text().splitlines()) == runs
    said = {"no": "failed: out of paper", "yes": "kept: wrote failing"}[word] if framework != "beeai" else "unsent"
    assert said in model.requests(key)[1].texts("tool")[0]


@pytest.mark.parametrize("framework", HURRYING, indirect=True, scope="session")
@pytest.mark.parametrize("word", ["no", "yes"])
async def test_a_tool_that_failed_twice_at_once_runs_again_for_a_yes_only(
    framework, client, model, key, page, word
):
    model.script(key, Answer(write(page, "failing twice")), Answer("Done."))
    asked = await client.responses.create(model=agent_id("hurrying"), input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    assert len(page.read_text().splitlines()) == 2
    done = await answer(client, asked, request, approve=True, reason=word)
    assert done.output_text == "Done.", done.error
    assert len(page.read_text().splitlines()) == 2 + (word == "yes")
    said = {"no": "failed twice", "yes": "wrote failing twice"}[word]
    assert said in model.requests(key)[1].texts("tool")[0]


@pytest.mark.parametrize("framework", HURRYING, indirect=True, scope="session")
@pytest.mark.parametrize("word", ["no", "yes"])
async def test_a_tool_about_which_a_person_is_asked_while_it_is_at_work_runs_once(
    framework, client, model, key, page, word
):
    model.script(key, Answer(write(page, "slow")), Answer("Done."))
    asked = await client.responses.create(model=agent_id("hurrying"), input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    done = await answer(client, asked, request, approve=True, reason=word)
    assert done.output_text == "Done.", done.error
    assert len(page.read_text().splitlines()) == 1
    said = {"no": "withheld", "yes": "wrote slow"}[word]
    assert said in model.requests(key)[1].texts("tool")[0]


@pytest.mark.parametrize("framework", ["crewai"], indirect=True, scope="session")
async def test_a_rule_holds_for_a_tool_by_the_name_that_its_code_has(framework, client, model, key, page):
    """CrewAI would have models know it by another one."""
    model.script(key, Answer(write(page, "one", "addLine")), Answer("Done."))
    asked = await client.responses.create(model=agent_id("named"), input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    assert (request.name, page.exists()) == ("addLine", False)
    ended = await answer(client, asked, request, approve=True)
    assert [call.output for call in items_of(ended, "mcp_call")] == ["wrote one"]


def test_a_rule_for_a_name_that_no_model_takes_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("agents").mkdir()
    names = {"spaced": "Send Mail", "foreign": "\u90ae\u4ef6"}
    for agent, name in names.items():
        spec = {"framework": "crewai", "model": {"name": "m"}, "tools": [{"name": name, "dynamic": True}]}
        definition = {
            "apiVersion": "kagent.dev/v1alpha1",
            "kind": "Agent",
            "metadata": {"name": agent},
            "spec": spec,
        }
        Path("agents", f"{agent}.yaml").write_text(yaml.safe_dump(definition))
    agents = update(Path("agents"), Path("registry.json"), Terms({"crewai": python_of("crewai", print)}))
    errors = {agent.id: (agent.error or "").partition("spec.")[2] for agent in agents}
    hints = {"spaced": "; did you mean 'send_mail'?", "foreign": ""}
    assert errors == {
        agent: f"tools.0.name: {name!r} is no name that models take{hints[agent]}" for agent, name in names.items()
    }


@pytest.mark.parametrize("framework", ["crewai"], indirect=True, scope="session")
async def test_a_use_that_the_record_answered_counts_for_the_limit_of_a_tool(framework, client, model, key, page):
    model.script(key, Answer(write(page, "one")), Answer(write(page, "two")), Answer("Done."))
    first = await client.responses.create(model=agent_id("limited"), input=prompt(key))
    second = await answer(client, first, *items_of(first, "mcp_approval_request"), approve=True)
    done = await answer(client, second, *items_of(second, "mcp_approval_request"), approve=True)
    assert done.status == "completed", done.error
    assert "reached its usage limit of 1" in str(items_of(done, "mcp_call")[-1].error)
    assert len(page.read_text().splitlines()) == 1


@pytest.mark.parametrize("framework", ["crewai"], indirect=True, scope="session")
async def test_each_use_of_a_tool_counts_once_and_a_denied_one_does_not(framework, client, model, key, page):
    lines = ["one", "two", "three", "four"]
    model.script(key, Answer(*(write(page, line) for line in lines[:3])), Answer(write(page, "four")), Answer("."))
    asked = await client.responses.create(model=agent_id("twice"), input=prompt(key))
    while requests := items_of(asked, "mcp_approval_request"):
        request = requests[0]
        approve = json.loads(request.arguments)["line"] != "one"
        asked = await answer(client, asked, request, approve=approve)
    assert asked.status == "completed", asked.error
    assert [line.split()[0] for line in page.read_text().splitlines()] == ["two", "three"]
    assert "reached its usage limit of 2" in str(model.requests(key)[-1].messages[-1])


@pytest.mark.parametrize("framework", HOOKED, indirect=True, scope="session")
@pytest.mark.parametrize("approve", [True, False])
async def test_a_person_is_asked_about_the_arguments_that_run(framework, client, model, key, page, approve):
    model.script(key, Answer(write(page, "changing")), Answer("Done."))
    asked = await client.responses.create(model=agent_id("hooked"), input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    assert json.loads(request.arguments)["line"] == "changing"
    asked = await answer(client, asked, request, approve=True)
    (request,) = items_of(asked, "mcp_approval_request")
    assert json.loads(request.arguments)["line"] == "changed"
    assert not page.exists()
    ended = await answer(client, asked, request, approve=approve)
    assert ended.status == "completed", ended.error
    said = str(model.requests(key)[-1].messages[-1])
    if approve:
        assert [line.split()[0] for line in page.read_text().splitlines()] == ["changed"]
        calls = [json.loads(call.arguments)["line"] for call in items_of(ended, "mcp_call")]
        assert sorted(calls) == ["changed", "changing"]
        assert "wrote changed" in said
    else:
        assert not page.exists()
        assert "did not approve" in said


@pytest.mark.parametrize("framework", APPROVING, indirect=True, scope="session")
async def test_what_replaces_a_call_that_a_framework_had_approved_is_asked_about(
    framework, client, model, key, page
):
    model.script(key, Answer(write(page, "asking first")), Answer("Done."))
    asked = await client.responses.create(model=agent_id("approving"), input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    asked = await answer(client, asked, request, approve=True, reason="yes")
    (request,) = items_of(asked, "mcp_approval_request")
    assert (request.name, json.loads(request.arguments)["line"]) == ("write", "changed")
    ended = await answer(client, asked, request, approve=False)
    assert ended.status == "completed", ended.error
    assert not page.exists()
    assert "did not approve" in str(model.requests(key)[-1].messages[-1])


@pytest.mark.parametrize("framework", HOOKED, indirect=True, scope="session")
async def test_a_call_that_hooks_pass_on_as_it_is_asks_once(framework, client, model, key, page):
    model.script(key, Answer(write(page, "one")), Answer("Done."))
    asked = await client.responses.create(model=agent_id("hooked"), input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    ended = await answer(client, asked, request, approve=True)
    assert ended.status == "completed", ended.error
    assert [call.output for call in items_of(ended, "mcp_call")] == ["wrote one"]
    assert len(page.read_text().splitlines()) == 1


@pytest.mark.parametrize("framework", ["ag2"], indirect=True, scope="session")
async def test_what_middleware_changes_before_the_boundary_is_the_call(framework, client, model, key, page):
    model.script(key, Answer(write(page, "changing")), Answer("Done."))
    asked = await client.responses.create(model=agent_id("around"), input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    assert json.loads(request.arguments)["line"] == "changed"
    ended = await answer(client, asked, request, approve=True)
    assert [call.output for call in items_of(ended, "mcp_call")] == ["wrote changed"]


@pytest.mark.parametrize("framework", ["crewai", "ag2", "beeai"], indirect=True, scope="session")
async def test_arguments_as_a_tool_reads_them_are_those_of_the_call(framework, client, model, key, page):
    """What a framework makes of the model's types, puts in and adds as a default changes no call."""
    model.script(key, Answer(Call("write", {"path": str(page), "line": "one", "times": "2"})), Answer("Done."))
    asked = await client.responses.create(model=agent_id("reading"), input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    assert json.loads(request.arguments)["times"] == "2"
    ended = await answer(client, asked, request, approve=True)
    assert ended.status == "completed", ended.error
    assert [call.output for call in items_of(ended, "mcp_call")] == ["wrote oneone!"]


@pytest.mark.parametrize("framework", ["crewai"], indirect=True, scope="session")
@pytest.mark.parametrize("around", ["[1], {}", "[]{}[]", "[],{}]"])
async def test_a_written_call_runs_with_no_other_arguments_than_it_shows(
    framework, client, model, key, page, around
):
    """CrewAI mends such a text to other arguments than it has to anybody else."""
    arguments = around.replace("{}", json.dumps({"path": str(page), "line": "one"}))
    model.script(
        key,
        Answer(f"Thought: I write.\nAction: write\nAction Input: {arguments}\n"),
        Answer("Thought: It cannot be done.\nFinal Answer: Not done."),
    )
    ended = await client.responses.create(model=agent_id("written"), input=prompt(key))
    assert ended.status == "completed", ended.error
    assert items_of(ended, "mcp_approval_request") == []
    assert not page.exists()
    assert "not a valid key, value dictionary" in str(model.requests(key)[1].messages)


@pytest.mark.parametrize("framework", ["beeai"], indirect=True, scope="session")
async def test_a_call_that_the_framework_does_not_make_is_no_bypass(framework, client, model, key, page):
    """BeeAI takes a call that comes twice for a loop, and does not make it."""
    model.script(key, Answer(write(page, "one")), Answer(write(page, "one")), Answer("Enough."))
    asked = await client.responses.create(model=agent_id("made_in_turn"), input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    ended = await answer(client, asked, request, approve=True)
    assert ended.status == "completed", ended.error
    assert len(page.read_text().splitlines()) == 1
    made, left_out = items_of(ended, "mcp_call")
    assert (made.status, made.output) == ("completed", "wrote one")
    assert (left_out.status, left_out.output) == ("failed", None)
    assert "not run" in str(left_out.error)


@pytest.mark.parametrize("framework", ["beeai"], indirect=True, scope="session")
async def test_equal_calls_of_one_answer_are_made(framework, client, model, key, page):
    model.script(key, Answer(write(page, "one"), write(page, "one")), Answer("Done."))
    asked = await client.responses.create(model=agent_id("made_in_turn"), input=prompt(key))
    requests = items_of(asked, "mcp_approval_request")
    assert len(requests) == 2
    decisions = [
        {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
        for request in requests
    ]
    ended = await client.responses.create(model=asked.model, previous_response_id=asked.id, input=decisions)
    assert [call.output for call in items_of(ended, "mcp_call")] == ["wrote one", "wrote one"]
    assert len(page.read_text().splitlines()) == 2
