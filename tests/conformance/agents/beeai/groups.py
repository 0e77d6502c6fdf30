"""Several agents together, and agents that ask a person, as BeeAI's documentation writes them."""

import sys
from typing import Any

from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.agents.requirement.requirements.ask_permission import AskPermissionRequirement
from beeai_framework.agents.requirement.requirements.conditional import ConditionalRequirement
from beeai_framework.backend import ChatModel
from beeai_framework.context import RunContext, RunContextStartEvent
from beeai_framework.emitter import EmitterOptions, EventMeta
from beeai_framework.tools import StringToolOutput, tool
from beeai_framework.tools.handoff import HandoffTool
from beeai_framework.utils.io import io_read
from beeai_framework.workflows import Workflow
from beeai_framework.workflows.agent import AgentWorkflow
from pydantic import BaseModel

from k8gentai.stack.conformance import tools

_llm = ChatModel.from_name("openai:gpt-4.1-mini")
_add = tool(tools.add)
_write = tool(tools.write)

formal = RequirementAgent(llm=_llm, name="Formal")

_researcher = RequirementAgent(
    llm=_llm, name="Researcher", description="Finds things out.", tools=[_add, _write], final_answer_as_tool=False
)
_writer = RequirementAgent(llm=_llm, name="Writer", description="Writes well.", final_answer_as_tool=False)

chief = RequirementAgent(llm=_llm, name="Chief", tools=[HandoffTool(_researcher)])

crew = AgentWorkflow(name="Crew")
crew.add_agent(_researcher)
crew.add_agent(name="Writer", role="A writer", instructions="You write well.", llm=_llm)


async def relay(question: str) -> str:
    """One agent researches, another writes."""
    notes = await _researcher.run(question)
    reply = await _writer.run(f"Write about this: {notes.last_message.text}")
    return reply.last_message.text


def _overhear(data: Any, event: EventMeta) -> None:
    raise ValueError("heard too much")


class _State(BaseModel):
    """Of a workflow with one step."""


async def _leave(state: _State) -> str:
    sys.exit(6)


_leaving = Workflow(schema=_State)
_leaving.add_step("leave", _leave)


async def broken(question: str) -> None:
    """A listener, a tool that code runs, or a step of a workflow raises."""
    if "listen" in question:
        await _writer.run(question).on("success", _overhear)
    elif "by hand" in question:
        await tool(tools.fail).run({"reason": "the tool did"})
    else:
        await _leaving.run(_State())


structured = RequirementAgent(
    llm=_llm,
    name="Structured",
    tools=[_add],
    requirements=[ConditionalRequirement(_add, force_at_step=1)],
)


def _guard(context: RunContext) -> None:
    """Refuse answers that tell a secret."""

    def look(data: RunContextStartEvent, _: EventMeta) -> None:
        if "secret" in str(data.input):
            data.output = StringToolOutput("Tell no secrets.")

    def begins(event: EventMeta) -> bool:
        return event.path == "run.tool.final_answer.start"

    context.emitter.on(begins, look, EmitterOptions(is_blocking=True, match_nested=True))


discreet = RequirementAgent(llm=_llm, name="Discreet", middlewares=[_guard])

careful = RequirementAgent(
    llm=_llm, name="Careful", tools=[_write], requirements=[AskPermissionRequirement([_write])]
)


@tool
async def publish(path: str, line: str) -> str:
    """Publish a line, once a person has agreed."""
    answer = await io_read(f"Publish {line!r}?")
    return tools.write(path, line) if answer == "yes" else f"They said: {answer}"


asking = RequirementAgent(llm=_llm, name="Asking", tools=[publish])
