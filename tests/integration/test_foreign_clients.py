"""Clients that do not install together with the stack, each in its own environment; and curl."""

import asyncio
import json
import shutil
import subprocess

import pytest

from k8gentai.stack.environments.installed import ensure
from tests.integration.helpers import prompt
from tests.scripted import Answer, Call
from tests.support.processes import run_python


async def say(environment, program, *arguments):
    """What a program of ``tests/clients`` prints."""
    python = await asyncio.to_thread(ensure, environment, print)
    script = f"tests/clients/{program}.py"
    done = await asyncio.to_thread(run_python, script, *arguments, python=python, environment={"PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr
    return done.stdout


def script_both_tools(model, key):
    """A turn with a tool of the worker's, then one of the client's."""
    model.script(
        key,
        Answer(Call("add", {"a": 1, "b": 2})),
        Answer(Call("get_weather", {"town": "Ghent"})),
        Answer("Three, ", "and rain."),
    )


async def test_ogx_clients_agent_and_logger(stack, model, key):
    script_both_tools(model, key)
    printed = await say("client-ogx", "ogx_client_agent", stack.server.url, "workshop", prompt(key))
    assert "Executing mcp_call (server-side)" in printed
    assert printed.endswith("Three, and rain.\n")
    assert any("rain in Ghent" in text for text in model.requests(key)[2].texts("tool"))


@pytest.mark.parametrize("manner", ["stream", "whole"])
async def test_the_openai_agents_sdk(stack, model, key, manner):
    script_both_tools(model, key)
    printed = await say("client-agents-sdk", "agents_sdk", stack.server.url, "workshop", prompt(key), manner)
    assert printed == {"stream": "Three, |and rain.|Three, and rain.\n", "whole": "Three, and rain.\n"}[manner]
    assert any("rain in Ghent" in text for text in model.requests(key)[2].texts("tool"))


async def curl(*arguments):
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    command = [program, "--silent", "--show-error", "--max-time", "60", *arguments]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    return done.stdout


async def test_curl(stack, model, key):
    model.script(key, Answer("Good day."))
    body = json.dumps({"model": "plain", "input": prompt(key)})
    said = await curl(f"{stack.server.url}/v1/responses", "--json", body)
    assert json.loads(said)["output"][0]["content"][0]["text"] == "Good day."


async def test_curl_streams(stack, model, key):
    model.script(key, Answer("Good ", "day."))
    body = json.dumps({"model": "plain", "input": prompt(key), "stream": True})
    said = await curl("--no-buffer", f"{stack.server.url}/v1/responses", "--json", body)
    events = [line.removeprefix("event: ") for line in said.splitlines() if line.startswith("event: ")]
    assert events[0] == "response.created"
    assert events.count("response.output_text.delta") == 2
    assert events[-1] == "response.completed"
