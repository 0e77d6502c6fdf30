"""Pools by name: whose workers run an agent's turns, and what waits where there is none."""

import asyncio
import json
import sys

from k8gentai.agents.registry.registry import Registry, write_registry
from k8gentai.workers.queue import keys
from tests.integration.helpers import ON_ONE_HOST, collect, ended, eventually, prompt
from tests.integration.test_agents_command import agents
from tests.integration.test_turns_command import turns
from tests.scripted import Answer

pytestmark = ON_ONE_HOST

BEGINNING = ["response.created", "response.queued", "response.in_progress"]


def in_pool(agent, name, pool):
    """The same agent by another name, in a pool."""
    assert agent.definition
    metadata = agent.definition.metadata.model_copy(update={"name": name})
    spec = agent.definition.spec.model_copy(update={"pool": pool})
    definition = agent.definition.model_copy(update={"metadata": metadata, "spec": spec})
    return agent.model_copy(update={"id": name, "digest": name, "definition": definition})


async def workers_of(stack, agent):
    lines = (await agents(stack, "show", agent)).stdout.splitlines()
    facts = {line[:15].strip(): line[15:].strip() for line in lines}
    return facts["pool"], facts["workers"]


async def called(stack, agent, words):
    """What `agents call` prints of who serves the agent; its turn is left waiting."""
    calling = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "k8gentai.stack.commands.cli", "agents", "call", agent, words),
        env={**stack.environment, "AMF_STACK_URL": stack.server.url},
        stdout=asyncio.subprocess.PIPE,
    )
    assert calling.stdout is not None
    try:
        return (await calling.stdout.readuntil(b"serves") + await calling.stdout.readline()).decode()
    finally:
        calling.kill()
        await calling.wait()


async def test_a_worker_that_no_agents_turns_come_to_says_so_and_waits(own_stack, model, key):
    own_stack.add_server()
    worker = own_stack.add_worker("langgraph", "--pool", "gup")
    said = [json.loads(line) for line in worker.output().splitlines() if line.startswith("{")]
    events = {entry["event"]: entry for entry in said}
    assert events["serves_no_agent_yet"]["why"] == "no agent of 'langgraph' is in the pool 'gup'"
    registry = Registry(own_stack.registry)
    late = in_pool(registry.get("plain"), "late", "gup")
    write_registry(own_stack.registry, [*registry.list(), late], registry.checked())
    model.script(key, Answer("Yes."))
    async with own_stack.server.openai() as client:
        assert (await client.responses.create(model="late", input=prompt(key))).status == "completed"


async def test_turns_wait_for_a_worker_of_their_pool_that_serves_their_agent(own_stack, model, key):
    registry = Registry(own_stack.registry)
    plain = registry.get("plain")
    others = [in_pool(plain, name, "gpu") for name in ("on-gpu", "also-on-gpu")]
    write_registry(own_stack.registry, [*registry.list(), *others], registry.checked())
    model.script(key, *(Answer(f"{number}.") for number in range(9)))
    server = own_stack.add_server()
    own_stack.add_worker("langgraph")
    async with server.openai() as client:

        async def ask(agent):
            return await client.responses.create(model=agent, input=prompt(key), background=True)

        waiting = await ask("on-gpu")
        # Those of the framework's pool are not held up, and its workers do not take the others'.
        assert (await ended(client, (await ask("plain")).id)).status == "completed"
        assert (await client.responses.retrieve(waiting.id)).status == "queued"
        with own_stack.redis() as redis:
            assert redis.lrange(keys.RQ_QUEUE + "gpu", 0, -1) == [waiting.id.encode()]
        needed = "none: its turns wait until one is there (k8gentai worker langgraph --pool gpu)"
        assert await workers_of(own_stack, "on-gpu") == ("gpu", needed)
        own_stack.add_worker("langgraph", "--pool", "gpu", "--agents", "on-gpu")
        assert (await ended(client, waiting.id)).status == "completed"
        assert await workers_of(own_stack, "on-gpu") == ("gpu", "1")
        assert (await workers_of(own_stack, "also-on-gpu"))[1].startswith(
            "none: the 1 of its pool serve other agents"
        )
        (said, *_) = [
            line for line in (await called(own_stack, "also-on-gpu", prompt(key))).splitlines() if "worker" in line
        ]
        assert said.startswith("No worker serves 'also-on-gpu': the 1 of its pool serve other agents")
        unserved = await ask("also-on-gpu")
        # Those that are served are not held up by one that waits.
        assert (await ended(client, (await ask("on-gpu")).id)).status == "completed"
        own_stack.add_worker("langgraph", "--pool", "gpu")
        assert (await ended(client, unserved.id)).status == "completed"
        for agent in ("on-gpu", "also-on-gpu"):
            assert (await ended(client, (await ask(agent)).id)).status == "completed"
        assert await workers_of(own_stack, "also-on-gpu") == ("gpu", "1")


async def test_a_turn_waits_in_the_queue_while_workers_live_that_do_not_serve_it(own_stack, model, key):
    """To its client, in `turns list` and in the counts of what waits, though one of them has taken it."""
    registry = Registry(own_stack.registry)
    others = [in_pool(registry.get("plain"), name, "gpu") for name in ("on-gpu", "also-on-gpu")]
    write_registry(own_stack.registry, [*registry.list(), *others], registry.checked())
    model.script(key, Answer("Yes."))
    server = own_stack.add_server()
    own_stack.add_worker("langgraph", "--pool", "gpu", "--agents", "also-on-gpu")
    async with server.openai() as client:
        stream = await client.responses.create(model="on-gpu", input=prompt(key), background=True, stream=True)
        events = [await anext(stream) for _ in range(2)]
        turn_id = events[0].response.id

        async def declined():
            with own_stack.redis() as redis:
                return redis.hmget(keys.TURN + turn_id, "declined", "attempt", "started_at")

        _, attempts, started_at = await eventually(declined, lambda found: found[0], 30)
        assert (attempts, started_at) == (b"0", None)
        assert (await client.responses.retrieve(turn_id)).status == "queued"
        listed = (await turns(own_stack, "list")).stdout
        assert ["queued" in line for line in listed.splitlines() if turn_id in line] == [True]
        own_stack.add_worker("langgraph", "--pool", "gpu", "--agents", "on-gpu")
        types = [event.type for event in [*events, *await collect(stream)]]
    assert types[:3] == [kind for kind in types if kind in BEGINNING] == BEGINNING
    assert types[-1] == "response.completed"
