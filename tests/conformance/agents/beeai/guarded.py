"""Ways of BeeAI's documentation in which a tool comes to be run: each is to ask before it writes."""

import json
from typing import Any
from uuid import uuid4

from beeai_framework.agents.react import ReActAgent
from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.agents.requirement.requirements import Requirement
from beeai_framework.agents.requirement.requirements.ask_permission import AskPermissionRequirement
from beeai_framework.backend import AnyMessage, ChatModel, MessageToolResultContent, ToolMessage, UserMessage
from beeai_framework.memory import UnconstrainedMemory
from beeai_framework.tools import JSONToolOutput, StringToolOutput, tool
from beeai_framework.tools.handoff import HandoffTool
from beeai_framework.utils.io import io_read
from beeai_framework.workflows import Workflow
from beeai_framework.workflows.agent import AgentWorkflow
from pydantic import BaseModel, Field

from k8gentai.stack.conformance import tools
from tests.conformance.agents.failing import UnsentError, fail_first

_llm = ChatModel.from_name("openai:gpt-4.1-mini")
_write = tool(tools.write)

_writer = RequirementAgent(
    llm=_llm, name="Writer", description="Writes.", tools=[_write], final_answer_as_tool=False
)

handoff = RequirementAgent(llm=_llm, name="Chief", tools=[HandoffTool(_writer)], final_answer_as_tool=False)

workflow = AgentWorkflow(name="Crew")
workflow.add_agent(name="Writer", role="A writer", instructions="You write.", llm=_llm, tools=[_write])


async def made_in_turn(question: str) -> str:
    """An agent is made while the turn runs."""
    late = RequirementAgent(llm=_llm, name="Late", tools=[tool(tools.write)], final_answer_as_tool=False)
    return (await late.run(question)).last_message.text


def _change(data: Any, event: Any) -> None:
    if data.input.line in ("changing", "asking first"):
        data.input.line = "changed"


async def hooked(question: str) -> str:
    """A listener changes what a tool begins with."""
    return await _hooked(question)


async def approving(question: str) -> str:
    """A listener changes what a person approved that the framework asked."""
    return await _hooked(question, AskPermissionRequirement(["write"]))


async def _hooked(question: str, *requirements: Requirement[Any]) -> str:
    write = tool(tools.write)
    write.emitter.on("start", _change)
    agent = RequirementAgent(
        llm=_llm, name="Clerk", tools=[write], requirements=requirements, final_answer_as_tool=False
    )
    return (await agent.run(question)).last_message.text


class _Note(BaseModel):
    words: str


class _NoteOutput(JSONToolOutput[_Note]):
    """An output of a class of the agent's own."""


@tool(name="write")
def _note(path: str, line: str) -> _NoteOutput:
    """Add a line to a file, and return a note of it."""
    written = tools.write(path, line)
    fail_first(path, line)
    return _NoteOutput(_Note(words=written))


async def _review(data: Any, event: Any) -> None:
    keep = await io_read("Keep it?") == "yes"
    data.output = StringToolOutput(f"kept: {data.output.result.words}" if keep else "withheld")


async def _review_failure(data: Any, event: Any) -> None:
    assert isinstance(data.error.__cause__, UnsentError)
    await io_read("Again?")


_note.emitter.on("success", _review)
_note.emitter.on("error", _review_failure)
reviewing = RequirementAgent(llm=_llm, name="Clerk", tools=[_note], final_answer_as_tool=False)


class _Order(BaseModel):
    path: str
    line: str
    times: int
    mark: str = "!"
    number: str = Field(default_factory=lambda: uuid4().hex)


@tool(name="write", input_schema=_Order)
def _times(path: str, line: str, times: int, mark: str, number: str) -> str:
    """Add a line to a file, several times over."""
    return tools.write(path, line * times + mark)


reading = RequirementAgent(llm=_llm, name="Clerk", tools=[_times], final_answer_as_tool=False)


async def react(question: str) -> str:
    """An agent that reads calls from the model's text."""
    agent = ReActAgent(llm=_llm, tools=[_write], memory=UnconstrainedMemory())
    return (await agent.run(question)).last_message.text


async def by_hand(question: str) -> str:
    """Code runs the tool itself."""
    return (await _write.run(json.loads(question.removeprefix("user: ")))).get_text_content()


async def for_the_model(question: str) -> str:
    """Code runs the tool that a model calls, and tells the model what it came to."""
    messages: list[AnyMessage] = [UserMessage(question)]
    while True:
        said = await _llm.run(messages, tools=[_write])
        messages += said.output
        if not (calls := said.get_tool_calls()):
            return said.get_text_content()
        for call in calls:
            came = await _write.run(json.loads(call.args))
            result = MessageToolResultContent(
                result=came.get_text_content(), tool_name=call.tool_name, tool_call_id=call.id
            )
            messages.append(ToolMessage(result))


class _State(BaseModel):
    given: str
    said: str = ""


async def step(question: str) -> str:
    """A workflow's step runs the tool."""

    async def work(state: _State) -> str:
        state.said = await by_hand(state.given)
        return Workflow.END

    flow = Workflow(_State)
    flow.add_step("work", work)
    return (await flow.run(_State(given=question))).state.said
