"""Several agents together, and agents that ask a person, as AG2's documentation writes them."""

import asyncio

from ag2 import Agent, Context, TaskConfig, tool
from ag2.config import OpenAIConfig
from ag2.events import HumanInputRequest, HumanMessage
from ag2.knowledge import MemoryKnowledgeStore
from ag2.middleware import approval_required
from ag2.network import EV_PACKET, Hub, HubClient, LocalLink, Passport, TransitionGraph
from ag2.tools.subagents.background import background_agent_tool

from k8gentai.stack.conformance import tools

_config = OpenAIConfig("gpt-4.1-mini")

_researcher = Agent("researcher", prompt="You find things out.", config=_config, tools=[tools.add, tools.write])
_writer = Agent("writer", prompt="You write well.", config=_config)

chief = Agent("chief", config=_config, tools=[_researcher.as_tool(description="Finds things out.")])

_scout = Agent("scout", prompt="You look around.", config=_config, tools=[tools.add, tools.write, tools.fail])

lead = Agent(
    "lead", config=_config, tools=[background_agent_tool(_scout, description="Looks around."), tools.write]
)

foreman = Agent("foreman", config=_config, tools=[tools.add], tasks=TaskConfig())


async def relay(question: str) -> str | None:
    """One agent researches, another writes."""
    notes = await _researcher.ask(question)
    reply = await _writer.ask(f"Write about this: {notes.body}")
    return reply.body


async def panel(question: str) -> str:
    """A drafter and an editor on a network, one after the other."""
    return await _edited(question, Agent("drafter", config=_config))


_ENDS = {
    "leave": SystemExit(3),
    "group": BaseExceptionGroup("two ends", [KeyboardInterrupt(), ValueError()]),
    "cancel": asyncio.CancelledError(),
    "close": GeneratorExit(),
}


async def broken_panel(question: str) -> str:
    """The same, whose drafter's prompt raises what the question names."""

    def prompt(context: Context) -> str:
        raise next(end for kind, end in _ENDS.items() if kind in question)

    return await _edited(question, Agent("drafter", prompt, config=_config))


async def _edited(question: str, drafts: Agent) -> str:
    hub = await Hub.open(MemoryKnowledgeStore(), ttl_sweep_interval=0)
    try:
        user = await HubClient(LocalLink(hub), hub=hub).register_human(Passport(name="user", kind="human"))
        drafter = await hub.register(drafts)
        editor = await hub.register(Agent("editor", config=_config))
        speakers = [user.agent_id, drafter.agent_id, editor.agent_id]
        channel = await user.open(
            type="workflow",
            target=["drafter", "editor"],
            knobs={"graph": TransitionGraph.sequence(speakers).to_dict()},
        )
        await channel.send(question)
        async for envelope in user.envelopes():
            if envelope.event_type == EV_PACKET and envelope.sender_id == editor.agent_id:
                return str(envelope.event_data["body"])
    finally:
        await hub.close()
    raise RuntimeError("the editor said nothing")


@tool
async def publish(context: Context, path: str, line: str) -> str:
    """Publish a line, once a person has agreed."""
    answer = await context.input(f"Publish {line!r}?")
    return tools.write(path, line) if answer == "yes" else f"They said: {answer}"


def _at_the_console(event: HumanInputRequest) -> HumanMessage:
    return HumanMessage(content=input(event.content))


asking = Agent("asking", config=_config, tools=[publish], hitl_hook=_at_the_console)

_publisher = Agent("publisher", config=_config, tools=[publish])

editor = Agent("editor", config=_config, tools=[_publisher.as_tool(description="Publishes.")])

careful = Agent("careful", config=_config, tools=[tool(tools.write, middleware=[approval_required()])])
