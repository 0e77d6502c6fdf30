"""Finding agents: ``GET /v1/agents``, and ``k8gentai agents show | call``."""

import asyncio
import io

from rich.console import Console

from k8gentai.stack.terminal.question import ask
from tests.integration.helpers import ended, prompt
from tests.integration.test_turns_command import turns
from tests.scripted import FOREVER, Answer, Call
from tests.support.processes import run_python


async def agents(stack, *words):
    return await asyncio.to_thread(
        run_python,
        "-m",
        "k8gentai.stack.commands.cli",
        "agents",
        *words,
        environment={**stack.environment, "AMF_STACK_URL": stack.server.url, "COLUMNS": "200"},
    )


async def test_agents_are_listed_with_health_and_queue_depth(stack, http, client, model, key):
    model.script(key, Answer("On and on ", FOREVER))
    conversation = (await client.conversations.create()).id
    running, waiting = [
        await client.responses.create(model="plain", input=prompt(key), conversation=conversation, background=True)
        for _ in range(2)
    ]
    listed = {agent["agent_id"]: agent for agent in (await http.get("/v1/agents")).json()["data"]}
    for turn in (waiting, running):
        await client.responses.cancel(turn.id)
    assert (listed["plain"]["framework"], listed["plain"]["queue_depth"]) == ("langgraph", 1)
    assert listed["plain"]["health"] == {"status": "ready", "workers": 1}
    assert listed["assistant"]["description"] == "A declarative Llama Stack agent."
    assert listed["guarded"]["tools"] == ["linger", "linger_once", "write"]


async def test_the_agents_api_is_in_the_servers_openapi_document(http):
    described = (await http.get("/openapi.json")).json()
    assert "/v1/agents/{agent_id}/session/{session_id}/turn/{turn_id}/resume" in described["paths"]


async def test_an_agent_is_shown(stack):
    lines = (await agents(stack, "show", "guarded")).stdout.splitlines()
    facts = {line[:15].strip(): line[15:].strip() for line in lines}
    assert "outputBytes 20000000" in facts["limits"]
    assert (facts["framework"], facts["state"], facts["workers"]) == ("langgraph", "ready", "1")
    assert (facts["tools"], facts["entrypoint"]) == (
        "linger, linger_once, write (approval: required)",
        "tests.agents.scribe:agent",
    )


async def test_an_unknown_agent_is_told_in_one_line(stack):
    done = await agents(stack, "show", "nobody")
    assert done.returncode == 1
    assert done.stderr.strip() == "No agent 'nobody' is registered: 'k8gentai agents list' shows those there are."
    done = await agents(stack, "show", "plian")
    assert "No agent 'plian' is registered; did you mean 'plain'? 'k8gentai agents list'" in done.stderr


async def test_an_agent_that_waits_says_for_what_and_how_to_answer(stack, client, model, key, tmp_path):
    page = tmp_path / "page.txt"
    model.script(key, Answer(Call("write", {"path": str(page), "line": "one"})), Answer("Written."))
    done = await agents(stack, "call", "guarded", prompt(key))
    call = f'write({{"path": "{page}", "line": "one"}})'
    assert done.returncode == 1
    assert f"guarded asks to call {call}" in done.stdout
    assert "->" not in done.stdout
    command = next(line for line in done.stdout.splitlines() if line.startswith("Answer with: "))
    waiting = command.split()[5]
    listed = await turns(stack, "list", "--status", "suspended")
    assert waiting in listed.stdout
    assert "running" not in listed.stdout
    shown = (await turns(stack, "show", waiting)).stdout
    assert call in shown
    assert f"k8gentai turns approve {waiting}" in shown
    assert (await turns(stack, "approve", waiting)).returncode == 0
    record = (await turns(stack, "show", waiting)).stdout
    assert waiting not in (await turns(stack, "list", "--status", "suspended")).stdout
    (row,) = [line for line in (await turns(stack, "list")).stdout.splitlines() if waiting in line]
    assert row.split()[1:4] == ["guarded", "answered", "1"]
    again = await turns(stack, "approve", waiting)
    assert again.stderr.startswith("The turn was answered by resp_")
    following = next(line.split()[-1] for line in record.splitlines() if line.startswith("answered by"))
    assert (await ended(client, following)).output_text == "Written."
    refused = await turns(stack, "list", "--status", "asleep")
    assert "There is no status 'asleep'" in refused.stderr


async def test_a_person_at_the_terminal_decides(stack, model, key, tmp_path):
    page = tmp_path / "page.txt"
    calls = [Call("write", {"path": str(page), "line": line}) for line in ("one", "two")]
    model.script(key, Answer(*calls), Answer("Written."))
    written = io.StringIO()
    console = Console(file=written, width=200)
    assert await ask(stack.server.url, "guarded", prompt(key), console, lambda asked: ("two" in asked, None))
    said = written.getvalue()
    assert said.index("asks to call write") < said.index("-> wrote two") < said.index("guarded: Written.")
    assert page.read_text().split()[0] == "two"


async def test_an_agent_is_called(stack, model, key):
    model.script(key, Answer(Call("multiply", {"a": 17, "b": 23})), Answer("It is ", "391."))
    done = await agents(stack, "call", "calculator", prompt(key))
    assert done.returncode == 0
    assert "-> 391" in done.stdout
    assert "calculator: It is 391." in done.stdout
    unknown = await agents(stack, "call", "nobody", "Hello.")
    assert unknown.returncode == 1
    assert "404" in unknown.stdout
