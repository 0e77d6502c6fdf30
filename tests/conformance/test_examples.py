"""Each framework's example, called by its client as the README calls it."""

import asyncio

import pytest

from k8gentai.stack.conformance.capabilities import Capability
from tests.conformance.helpers import prompt
from tests.scripted import Answer, Call
from tests.support.processes import run_python


async def test_the_math_agent(framework, kit, stack, processes, model, key):
    if why := kit.why_not((Capability.TOOLS,)):
        pytest.skip(f"{framework}: {why}")
    model.script(key, Answer(Call("multiply", {"a": 17, "b": 23})), Answer("17 times 23 is ", "391."))
    client = ("-m", f"examples.clients.{framework}.call_math_agent", "127.0.0.1", str(stack.server.port))
    question = prompt(key, "What is 17 times 23?")
    done = await asyncio.to_thread(run_python, *client, question, environment=stack.environment)
    assert done.returncode == 0, done.stderr
    assert "17 times 23 is 391." in done.stdout
    (result,) = model.requests(key)[1].texts("tool")
    assert float(result) == 391
