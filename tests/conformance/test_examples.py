"""Each framework's example, called by its client as the README calls it."""

import asyncio
import re

import pytest

from k8gentai.agents.adapters import FRAMEWORKS
from tests.conformance.helpers import prompt
from tests.scripted import Answer, Call
from tests.support.processes import run_python

WITH_MATH = [framework for framework in FRAMEWORKS if framework != "llama-stack"]
"""Llama Stack's example is an assistant."""


async def call(framework, client, stack, *question):
    """Run an example's client. Returns what it printed."""
    module = f"examples.clients.{framework.replace('-', '_')}.{client}"
    done = await asyncio.to_thread(
        run_python, "-m", module, "127.0.0.1", str(stack.server.port), *question, environment=stack.environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("framework", WITH_MATH, indirect=True, scope="session")
async def test_the_math_agent(framework, stack, processes, model, key):
    model.script(key, Answer(Call("multiply", {"a": 17, "b": 23})), Answer("17 times 23 is ", "391."))
    question = prompt(key, "What is 17 times 23?")
    printed = await call(framework, "call_math_agent", stack, question)
    assert "17 times 23 is 391." in printed
    (result,) = model.requests(key)[1].texts("tool")
    assert float(result) == 391


@pytest.mark.parametrize("framework", ["llama-stack"], indirect=True, scope="session")
async def test_the_assistant(framework, stack, processes):
    printed = await call(framework, "call_assistant", stack)
    assert "You said: And what is my name?" in printed


@pytest.mark.parametrize("framework", ["llama-stack"], indirect=True, scope="session")
async def test_answering_from_documents(framework, stack, processes, model, key):
    search = Call("file_search", {"query": "return of unopened bags"})
    model.script(key, Answer(search), Answer("Within ", "30 days."))
    question = prompt(key, "Within how many days may an unopened bag be returned?")
    printed = await call(framework, "simple_rag", stack, question)
    indexed, answered = printed.split(f"> {question}\n")
    assert "Embeddings: none. Passages are found by their words" in indexed
    assert re.findall("^--- (.*)", answered, re.MULTILINE) == ["returns.md", "brewing.md"]
    assert answered.endswith("\nWithin 30 days.\n")
    (found,) = model.requests(key)[1].texts("tool")
    assert "Unopened bags may be returned within 30 days" in found
    async with stack.server.openai() as client:
        left = (await client.vector_stores.list()).data + (await client.files.list()).data
    assert left == []


@pytest.mark.parametrize("framework", ["llama-stack"], indirect=True, scope="session")
async def test_a_stack_that_is_away_is_told(framework, stack, processes):
    done = await asyncio.to_thread(
        run_python,
        "-m",
        "examples.clients.llama_stack.simple_rag",
        "127.0.0.1",
        "9",
        environment=stack.environment,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "No stack answers at http://127.0.0.1:9: start one with ./scripts/up."
