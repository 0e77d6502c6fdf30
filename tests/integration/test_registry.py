"""The registry: broken agents are named, others go on, changes are taken up, requests import nothing."""

import asyncio
import json
from functools import partial
from typing import Any

import openai
import pytest

from k8gentai.workers.isolation.process_exits import REPLACE
from tests.integration.helpers import ON_ONE_HOST, eventually, prompt
from tests.integration.test_turns_command import turns
from tests.scripted import Answer, Call

DEFINITION = """\
apiVersion: kagent.dev/v1alpha1
kind: Agent
metadata: {{name: {name}}}
spec:
  description: {description}
  framework: langgraph
  entrypoint: {entrypoint}
"""
MALFORMED = """\
apiVersion: kagent.dev/v1alpha1
kind: Agent
metadata: {name: malformed}
spec:
  framework: langgraph
  limits: {seconds: soon}
"""
ECHO = """\
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph


def say(state):
    return {{"messages": [AIMessage("{text}")]}}


graph = StateGraph(MessagesState)
graph.add_node("say", say)
graph.add_edge(START, "say")
graph.add_edge("say", END)
agent = graph.compile()
"""

WAITING = """\
import os, time

def read():
    if os.path.exists("{waiting}"):
        open("{waiting}", "w").write("waiting")
    while os.path.exists("{waiting}"):
        time.sleep(0.01)
    return "{text}"
"""


@pytest.fixture
def definitions(stack):
    """Writes definitions and code into the running stack; all of it is taken out at the end."""
    written = []
    before = stack.registry.read_bytes()

    def write(name, entrypoint, code=None, description="A test's.", content=None):
        file = stack.agents / f"{name}.yaml"
        file.write_text(content or DEFINITION.format(name=name, entrypoint=entrypoint, description=description))
        written.append(file)
        if code is not None:
            module = stack.code / f"{entrypoint.partition(':')[0]}.py"
            module.write_text(code)
            written.append(module)
        return file

    yield write
    for file in written:
        file.unlink(missing_ok=True)
    replacement = stack.registry.with_suffix(".before")
    replacement.write_bytes(before)
    replacement.replace(stack.registry)


def registered(stack):
    return {agent["id"]: agent for agent in json.loads(stack.registry.read_text())["agents"]}


async def test_broken_agents_are_named_with_file_line_and_reason_and_others_go_on(
    stack, client, model, key, definitions
):
    definitions("syntax", "broken_syntax:agent", "x = 1\ny = (2\nz = 3\n")
    definitions("raises", "broken_import:agent", "x = 1\n\nraise ValueError('not today')\n")
    definitions("nothing", "broken_name:agnet", ECHO.format(text="hi"))
    definitions("nowhere", "no_such_module:agent")
    no_graph = definitions("no-graph", "broken_kind:agent", "agent = 42\n")
    malformed = definitions("malformed", "", content=MALFORMED)
    shown = stack.update_registry()
    agents = registered(stack)
    for agent, place, reason in [
        ("syntax", "broken_syntax.py:2", "never closed"),
        ("raises", "broken_import.py:3", "not today"),
        ("nothing", "nothing.yaml:7", "broken_name.py"),
        ("nowhere", "nowhere.yaml:", "no_such_module"),
        ("no-graph", no_graph.name, "int"),
        ("malformed", f"{malformed.name}:6", "limits.seconds"),
    ]:
        assert agents[agent]["state"] == "broken"
        assert place in agents[agent]["error"], agents[agent]["error"]
        assert reason in agents[agent]["error"], agents[agent]["error"]
        assert place in shown.replace("\n", "")
    assert agents["plain"]["state"] == "ready"
    model.script(key, Answer("Still here."))
    assert (await client.responses.create(model="plain", input=prompt(key))).output_text == "Still here."
    with pytest.raises(openai.InternalServerError) as caught:
        await client.responses.create(model="syntax", input="Hello.")
    assert "broken_syntax.py:2" in caught.value.message


async def listed(http):
    return {entry["id"]: entry for entry in (await http.get("/v1/models")).json()["data"]}


def described(models, agent):
    """An agent's description; None where it is not listed, as while the host replaces its list."""
    return models[f"amf/{agent}"]["custom_metadata"]["description"] if f"amf/{agent}" in models else None


async def test_a_running_stack_takes_up_new_changed_and_removed_agents(stack, client, http, definitions):
    file = definitions("newcomer", "newcomer:agent", ECHO.format(text="one"))
    stack.update_registry()
    assert (await client.responses.create(model="newcomer", input="Hello.")).output_text == "one"
    await eventually(lambda: listed(http), lambda models: "amf/newcomer" in models)
    definitions("newcomer", "newcomer:agent", description="Changed.")
    stack.update_registry()
    models = await eventually(lambda: listed(http), lambda models: described(models, "newcomer") == "Changed.")
    assert models["amf/newcomer"]["custom_metadata"]["state"] == "ready"
    file.unlink()
    stack.update_registry()
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(model="newcomer", input="Hello.")
    await eventually(lambda: listed(http), lambda models: "amf/newcomer" not in models)


async def test_an_answer_to_an_agent_that_is_gone_says_so_and_counts_once_it_is_back(
    stack, client, model, key, definitions, tmp_path
):
    page = tmp_path / "page.txt"
    kept = (stack.agents / "guarded.yaml").read_text().replace("name: guarded", "name: leaving")
    file = definitions("leaving", "", content=kept)
    stack.update_registry()
    model.script(key, Answer(Call("write", {"path": str(page), "line": "one"})), Answer("Written."))
    asked = await client.responses.create(model="leaving", input=prompt(key))
    (request,) = [item for item in asked.output if item.type == "mcp_approval_request"]
    said = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
    file.unlink()
    stack.update_registry()
    for name in ("leaving", "amf/leaving"):
        with pytest.raises(openai.NotFoundError) as caught:
            await client.responses.create(model=name, previous_response_id=asked.id, input=[said])
        assert f"Response '{asked.id}' waits for this answer, but its agent 'leaving'" in caught.value.message
    with pytest.raises(openai.NotFoundError) as caught:
        await client.responses.create(model="leaving", input="Hello.")
    assert "Model 'leaving' not found" in caught.value.message
    refused = await turns(stack, "approve", asked.id)
    assert refused.returncode == 1
    assert "its agent 'leaving' is not registered any more. Nothing was changed" in refused.stderr
    definitions("leaving", "", content=f"{kept}\n  nothing: 1")
    stack.update_registry()
    with pytest.raises(openai.InternalServerError) as broken:
        await client.responses.create(model="leaving", previous_response_id=asked.id, input=[said])
    assert "Agent 'leaving' is broken" in broken.value.message
    refused = await turns(stack, "approve", asked.id)
    assert refused.returncode == 1
    assert "cannot go on: its agent 'leaving' is broken: " in refused.stderr
    definitions("leaving", "", content=kept)
    stack.update_registry()
    done = await client.responses.create(model="leaving", previous_response_id=asked.id, input=[said])
    assert done.output_text == "Written.", done.error


@ON_ONE_HOST
async def test_changed_code_is_run_by_a_worker_that_is_started_again(own_stack):
    """The turns that run go on with the code that they began with."""
    stack = own_stack
    entry = ECHO.format(text="one ").replace('AIMessage("one ")', "AIMessage(f'one {words.read()}')")
    (stack.code / "echoing.py").write_text(f"from echoed import words\n{entry}")
    (stack.code / "echoed").mkdir()
    (stack.code / "echoed" / "__init__.py").write_text("")
    helper = stack.code / "echoed" / "words.py"
    waiting = stack.code / "waiting"
    helper.write_text(WAITING.format(waiting=str(waiting), text="old"))
    for file in stack.agents.glob("*.yaml"):
        file.unlink()
    (stack.agents / "echo.yaml").write_text(
        DEFINITION.format(name="echo", entrypoint="echoing:agent", description="A test's.")
    )
    stack.update_registry("--yes")
    stack.add_server()
    worker = stack.add_worker("langgraph")
    async with stack.server.openai() as client:

        async def ask():
            return (await client.responses.create(model="echo", input="Hello.")).output_text

        assert await ask() == "one old"
        waiting.write_text("")
        asked = asyncio.create_task(ask())
        await eventually(lambda: asyncio.to_thread(waiting.read_text), lambda text: text == "waiting")
        helper.write_text(WAITING.format(waiting=str(waiting), text="new"))
        assert "Changed: echo" in stack.update_registry()
        queued = asyncio.create_task(ask())
        await eventually(lambda: asyncio.to_thread(worker.output), lambda log: "draining" in log)
        waiting.unlink()
        assert await asked == "one old"
        assert await asyncio.to_thread(worker.wait, 60) == REPLACE
        stack.add_worker("langgraph")
        assert await queued == "one new"


async def test_no_request_can_make_anything_be_imported(stack, client, http):
    """A module that would leave a trace lies importable in the path, and is named in every way."""
    trace = stack.code / "imported"
    (stack.code / "trap.py").write_text(f"open({str(trace)!r}, 'w').close()\nagent = None\n")
    body = {"model": "plain", "input": "Hello.", "background": True}
    extras: list[dict[str, Any]] = [
        {"model": "trap"},
        {"model": "trap:agent"},
        {"model": "../code/trap.py"},
        {"framework": "trap", "entrypoint": "trap:agent"},
        {"metadata": {"entrypoint": "trap:agent"}},
        {"agent": {"spec": {"entrypoint": "trap:agent"}}},
        {"tools": [{"type": "function", "name": "trap:agent", "parameters": {}}]},
    ]
    for extra in extras:
        answer = await http.post("/v1/responses", json={**body, **extra})
        assert answer.status_code < 500, answer.text
        if answer.status_code == 200:
            response_id = answer.json()["id"]
            await eventually(
                partial(client.responses.retrieve, response_id),
                lambda response: response.status not in ("queued", "in_progress"),
            )
    assert not trace.exists()
