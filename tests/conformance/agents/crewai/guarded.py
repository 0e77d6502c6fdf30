"""Ways of CrewAI's documentation in which a tool comes to be run: each is to ask before it writes."""

import json
from typing import Any

from crewai import LLM, Agent, Crew, Process, Task
from crewai.flow.flow import Flow, start
from crewai.hooks import (
    ToolCallHookContext,
    register_after_tool_call_hook,
    register_before_tool_call_hook,
)
from crewai.lite_agent import LiteAgent
from crewai.tools import BaseTool, tool
from crewai.tools.agent_tools.agent_tools import AgentTools
from pydantic import BaseModel

from k8gentai.stack.conformance import tools
from tests.conformance.agents.dispatching import answer

_write = tool("write")(tools.write)
_MODEL = "gpt-4.1-mini"
_PARAMETERS = {"type": "object", "properties": {name: {"type": "string"} for name in ("path", "line")}}
_SCHEMA = {"type": "function", "function": {"name": "write", "description": "W", "parameters": _PARAMETERS}}


def _agent(role: str = "Clerk", **options: Any) -> Agent:
    return Agent(role=role, goal="Work", backstory="You work.", llm=LLM(model=_MODEL), **options)


def _task(agent: Agent | None, **options: Any) -> Task:
    return Task(description="Do this: {input}", expected_output="Work", agent=agent, **options)


_clerk = _agent()
task_tools = Crew(agents=[_clerk], tasks=[_task(_clerk, tools=[_write])])


def _limited(uses: int) -> Crew:
    return Crew(agents=[_clerk], tasks=[_task(_clerk, tools=[tool("write", max_usage_count=uses)(tools.write)])])


limited, twice = _limited(1), _limited(2)
returning = Crew(agents=[_clerk], tasks=[_task(_clerk, tools=[tool("write", result_as_answer=True)(tools.write)])])


answering = _agent(tools=[tool("write", result_as_answer=True)(tools.write)])


named = Crew(agents=[_clerk], tasks=[_task(_clerk, tools=[tool("addLine")(tools.write)])])


def _change(context: ToolCallHookContext) -> bool | None:
    if context.tool_input.get("line") == "changing":
        context.tool_input["line"] = "changed"
    if context.tool_input.get("line") in ("asking", "asking first"):
        return None if context.request_human_input("Write it?", "Type 'yes'.") == "yes" else False
    if context.tool_input.get("line") == "asking plainly":
        return None if context.request_human_input("Write it?") == "yes" else False
    if context.tool_input.get("line") == "asking for a word":
        answer = context.request_human_input("Write it?", default_message="Type 'approve' to continue:")
        return None if answer.lower() == "approve" else False
    return None


def _change_later(context: ToolCallHookContext) -> None:
    if context.tool_input.get("line") == "asking first":
        context.tool_input["line"] = "changed"


register_before_tool_call_hook(_change)


def _review(context: ToolCallHookContext) -> str | None:
    if context.tool_input.get("line") != "reviewed":
        return None
    keep = context.request_human_input("Keep it?", "Type 'yes'.") == "yes"
    return f"kept: {context.raw_tool_result.words}" if keep else "withheld"


register_before_tool_call_hook(_change_later)
register_after_tool_call_hook(_review)


def _times(path: str, line: str, times: int, mark: str = "!") -> str:
    """Add a line to a file, several times over."""
    return tools.write(path, line * times + mark)


reading = Crew(agents=[_clerk], tasks=[_task(_clerk, tools=[tool("write")(_times)])])
hooked = approving = Crew(agents=[_clerk], tasks=[_task(_clerk, tools=[_write])])


class _Note(BaseModel):
    words: str


def _note(path: str, line: str) -> _Note:
    """Add a line to a file, and return a note of it."""
    return _Note(words=tools.write(path, line))


reviewing = Crew(agents=[_clerk], tasks=[_task(_clerk, tools=[tool("write")(_note)])])

delegation = Crew(
    agents=[_agent("Writer", tools=[_write]), _agent("Poet")],
    tasks=[_task(None)],
    process=Process.hierarchical,
    manager_llm=LLM(model=_MODEL),
)

consulting = _agent("Chief", tools=AgentTools(agents=[_agent("Writer", tools=[_write])]).tools())


@tool
def ask_writer(question: str) -> str:
    """Ask the writer."""
    return _agent("Writer", tools=[_write]).kickoff(question).raw


@tool
def shop(what: str, path: str) -> str:
    """Buy something."""
    return f"{what}: {_write.run(path=path, line='one')}"


@tool
def sell(what: str, path: str) -> str:
    """Sell something."""
    return f"{what}: {_counted.run(path=path, line='one')}"


# CrewAI runs the calls of an answer one after the other where the uses of a tool count.
_counted = tool("write", max_usage_count=9)(tools.write)
shopping = _agent("Buyer", tools=[shop, _write])
one_by_one = _agent("Seller", tools=[sell, _counted])
in_tool = _agent("Chief", tools=[ask_writer, _write])


class AgentInMethod(Flow):
    """An agent is made while the flow runs."""

    @start()
    def work(self) -> str:
        return _agent(tools=[_write]).kickoff(self.state["input"]).raw


class CrewInMethod(Flow):
    """A crew is made while the flow runs."""

    @start()
    async def work(self) -> str:
        clerk = _agent(tools=[_write])
        crew = Crew(agents=[clerk], tasks=[_task(clerk)])
        return (await crew.kickoff_async({"input": self.state["input"]})).raw


class LiteInMethod(Flow):
    """The small agent of CrewAI's."""

    @start()
    def work(self) -> str:
        lite = LiteAgent(role="Clerk", goal="Work", backstory="You work.", llm=LLM(model=_MODEL), tools=[_write])
        return lite.kickoff(self.state["input"]).raw


class ByHand(Flow):
    """A method runs the tool itself."""

    @start()
    def work(self) -> str:
        return _write.run(path=self.state["path"], line=self.state["line"])


class AsyncWrite(BaseTool):
    """A tool that is a class, and runs on an event loop."""

    name: str = "write"
    description: str = "Add a line to a file."

    def _run(self, path: str, line: str) -> str:
        raise NotImplementedError

    async def _arun(self, path: str, line: str) -> str:
        return tools.write(path, line)


class ImplementationByHand(Flow):
    """A method calls what runs the tool, beside the checks that CrewAI makes."""

    @start()
    async def work(self) -> str:
        return await AsyncWrite()._arun(path=self.state["path"], line=self.state["line"])


class ByHandAsync(Flow):
    """A method awaits the tool itself."""

    @start()
    async def work(self) -> str:
        return await AsyncWrite().arun(path=self.state["path"], line=self.state["line"])


class FunctionsOfModel(Flow):
    """A model is handed functions, which it calls."""

    @start()
    def work(self) -> str:
        return LLM(model=_MODEL).call(
            self.state["input"], tools=[_SCHEMA], available_functions={"write": tools.write}
        )


class ForTheModel(Flow):
    """A method runs the tool that a model calls, and tells the model what it came to."""

    @start()
    def work(self) -> str:
        messages: list[Any] = [{"role": "user", "content": self.state["input"]}]
        called = LLM(model=_MODEL).call(messages, tools=[_SCHEMA])
        for call in called:
            result = _write.run(**json.loads(call.function.arguments))
            messages += [
                {"role": "assistant", "content": "", "tool_calls": [call.model_dump()]},
                {"role": "tool", "tool_call_id": call.id, "content": result},
            ]
        return LLM(model=_MODEL).call(messages)


class Dispatching(Flow):
    """A method runs the function that a model calls."""

    @start()
    async def work(self) -> str:
        return await answer(self.state["input"])


def _without_functions() -> LLM:
    model = LLM(model=_MODEL)
    object.__setattr__(model, "supports_function_calling", lambda: False)
    return model


written = Agent(role="Clerk", goal="Work", backstory="You work.", llm=_without_functions(), tools=[_write])
