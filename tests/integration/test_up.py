"""``k8gentai up`` as it runs on a person's machine: what becomes of its server, and of its agents' registry."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import Any

import httpx
import openai
import psutil
import pytest

from k8gentai.stack.local import valkey
from k8gentai.stack.local.services import free_port
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.connection import connect_blocking
from tests.integration.helpers import check_sequence, collect, ended, eventually, prompt
from tests.scripted import Answer, Gate
from tests.support.processes import ROOT, Process

COMMAND = (sys.executable, "-m", "k8gentai.stack.commands.cli")
DEFINITION = ROOT / "tests" / "agents" / "plain.yaml"


class Up:
    """An ``up`` in a directory of its own, with one agent of LangGraph.

    Args:
        directory: where it runs, and keeps all that it keeps.
        model_url: the model endpoint's base URL.
        environment: what is set beside what it needs.
    """

    def __init__(self, directory, model_url, **environment):
        self.directory = directory
        self.port = free_port()
        self.environment = {
            "OPENAI_BASE_URL": model_url,
            "OPENAI_API_KEY": "upstream-credential",
            # As the endpoint names it.
            "INFERENCE_MODEL": "scripted-model",
            "AMF_AGENTS": "agents",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **dict.fromkeys(("REDIS_URL", "AMF_REGISTRY", "AMF_STACK_URL", "SQLITE_STORE_DIR"), ""),
            **environment,
        }
        (directory / "stack").symlink_to(ROOT / "stack")
        (directory / "agents").mkdir()
        (directory / "agents" / DEFINITION.name).write_text(DEFINITION.read_text())
        self.start()

    def start(self):
        """Start it, where it has ended."""
        command = [*COMMAND, "up", "--port", str(self.port), "--frameworks", "langgraph"]
        self.process = Process("up", command, self.directory, self.environment, self.directory)

    def serves(self):
        """Wait until it does."""
        self.process.wait_until(lambda: "Serving at" in self.process.output(), "serving", 600)

    async def kill(self):
        """Kill it alone, and wait until nothing is left that it had started."""
        left = psutil.Process(self.process.pid).children(recursive=True)
        os.kill(self.process.pid, signal.SIGKILL)
        await eventually(lambda: asyncio.to_thread(psutil.wait_procs, left, 0.1), lambda ends: not ends[1])
        self.process.stop()

    def turn(self, turn_id):
        """The record of a turn, as Redis has it."""
        with connect_blocking(valkey.redis_url(self.directory / ".k8gentai" / "redis")) as client:
            return {name.decode(): value.decode() for name, value in client.hgetall(keys.TURN + turn_id).items()}

    def server(self):
        """The process of the server; None while there is none."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        found = [child for child in children if {"run", "--port", str(self.port)} <= set(child.cmdline())]
        return found[0] if found else None

    def registered(self):
        """The agents of the registry, each with its digest."""
        agents = json.loads((self.directory / ".k8gentai" / "registry.json").read_text())["agents"]
        return {agent["id"]: agent["digest"] for agent in agents}

    def run(self, *words):
        """Run the command beside it."""
        return subprocess.run(
            [*COMMAND, *words],
            cwd=self.directory,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(scope="module")
def up(model, tmp_path_factory):
    """One that serves."""
    made = Up(tmp_path_factory.mktemp("up"), model.base_url)
    try:
        made.serves()
        yield made
    finally:
        made.process.stop(60)


def test_an_update_beside_up_names_the_model_as_up_does(up):
    before = up.registered()
    done = up.run("agents", "update")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "No agent changed."
    assert up.registered() == before


async def test_a_server_that_is_killed_is_started_again_and_its_stream_goes_on(up, model, key):
    gate = Gate()
    # The model is called through the server, so the call ends with it and is made again.
    model.script(key, *[Answer("One, ", gate, "two.")] * 2)
    address = f"http://127.0.0.1:{up.port}/v1"
    async with openai.AsyncOpenAI(base_url=address, api_key="none", max_retries=0) as client:
        events: list[Any] = []
        stream = await client.responses.create(model="plain", input=prompt(key), stream=True)
        killed = up.server()

        async def read():
            async for event in stream:
                events.append(event)
                if event.type == "response.output_text.delta":
                    killed.kill()

        with pytest.raises(openai.APIConnectionError):
            await read()
        await eventually(lambda: asyncio.to_thread(healthy, address), bool)
        gate.open()
        response_id = events[0].response.id
        rest = await client.responses.retrieve(response_id, stream=True, starting_after=events[-1].sequence_number)
        events += await collect(rest)
    check_sequence(events)
    assert events[-1].response.output_text == "One, two."
    assert "'stack' ended with signal SIGKILL and is started again in 0.5 s." in up.process.output()
    assert up.process.exit_code is None
    assert up.server() != killed


async def test_a_turn_is_not_to_blame_for_what_ends_all_of_it(up, model, key):
    """Its Redis ends with ``up``, so that no witness can note how a worker ended."""
    gate = Gate()
    model.script(key, *[Answer("One, ", gate, "two.")] * 4)
    address = f"http://127.0.0.1:{up.port}/v1"
    async with openai.AsyncOpenAI(base_url=address, api_key="none", max_retries=0) as client:
        turn = await client.responses.create(model="plain", input=prompt(key), background=True)
        for number in range(3):
            await model.request(key, number)
            await up.kill()
            up.start()
            await asyncio.to_thread(up.serves)
        await model.request(key, 3)
        record = up.turn(turn.id)
        gate.open()
        response = await ended(client, turn.id)
    assert (response.status, response.output_text) == ("completed", "One, two.")
    counts = {name: record.get(name) for name in ("attempt", "hand_overs", "crashes", "shared_crashes", "suspect")}
    assert counts == {**dict.fromkeys(counts), "attempt": "4", "hand_overs": "3", "crashes": "0"}


def healthy(address):
    try:
        return httpx.get(f"{address}/health").is_success
    except httpx.TransportError:
        return False
