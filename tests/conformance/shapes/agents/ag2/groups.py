"""Several agents together, as AG2's documentation writes them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ag2 import Agent
from ag2.knowledge import MemoryKnowledgeStore
from ag2.network import EV_PACKET, Hub, HubClient, LocalLink, Passport, TransitionGraph

from tests.conformance.shapes.agents import functions
from tests.conformance.shapes.agents.ag2.agents import config, quick
from tests.conformance.shapes.agents.functions import Order

_writer = Agent("writer", prompt="You write well.", config=config)
_planner = Agent("planner", config=config, response_schema=Order)
_tools = [functions.look, functions.pay, functions.fail]


async def relay(question: str) -> str | None:
    """One agent looks up, another writes."""
    notes = await quick.ask(question)
    return (await _writer.ask(f"Write about this: {question} {notes.body}")).body


async def relay_order(question: str) -> Order | None:
    """One agent looks up, another fills an object."""
    notes = await quick.ask(question)
    return await (await _planner.ask(f"Order this: {question} {notes.body}")).content()


@asynccontextmanager
async def _network() -> AsyncIterator[tuple[Hub, HubClient]]:
    hub = await Hub.open(MemoryKnowledgeStore(), ttl_sweep_interval=0)
    try:
        yield hub, await HubClient(LocalLink(hub), hub=hub).register_human(Passport(name="user", kind="human"))
    finally:
        await hub.close()


async def _last_word(
    user: HubClient, graph: TransitionGraph, target: list[str], speaker: str, question: str
) -> str:
    channel = await user.open(type="workflow", target=target, knobs={"graph": graph.to_dict()})
    await channel.send(question)
    async for envelope in user.envelopes():
        if envelope.event_type == EV_PACKET and envelope.sender_id == speaker:
            return str(envelope.event_data["body"])
    raise RuntimeError(f"{speaker} said nothing")


async def pipeline(question: str) -> str:
    """A drafter and an editor on a network, one after the other."""
    async with _network() as (hub, user):
        drafter = await hub.register(Agent("drafter", config=config, tools=_tools))
        editor = await hub.register(Agent("editor", config=config))
        graph = TransitionGraph.sequence([user.agent_id, drafter.agent_id, editor.agent_id])
        return await _last_word(user, graph, ["drafter", "editor"], editor.agent_id, question)


async def pipeline_order(question: str) -> Order:
    """Make an object of what the network comes to."""
    return Order.model_validate_json(await pipeline(question))


async def debate(question: str) -> str:
    """A group chat: two agents in turn."""
    async with _network() as (hub, user):
        pro = await hub.register(Agent("pro", config=config, tools=_tools))
        contra = await hub.register(Agent("contra", config=config))
        graph = TransitionGraph.round_robin([user.agent_id, pro.agent_id, contra.agent_id], max_turns=3)
        return await _last_word(user, graph, ["pro", "contra"], contra.agent_id, question)


async def debate_order(question: str) -> Order:
    """Make an object of what the group comes to."""
    return Order.model_validate_json(await debate(question))
