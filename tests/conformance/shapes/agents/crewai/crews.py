"""Agents and crews, as CrewAI's documentation writes them."""

from typing import Any

from crewai import LLM, Agent, Crew, Process, Task, TaskOutput
from crewai.project import CrewBase, agent, crew, task
from crewai.tools import BaseTool, tool
from pydantic import BaseModel, Field

from tests.conformance.shapes.agents import functions

_llm = LLM(model="scripted-model")
_tools = [tool(function.__name__)(function) for function in (functions.look, functions.pay, functions.fail)]


def _agent(role: str, *tools: Any) -> Agent:
    return Agent(role=role, goal=f"Be a good {role}", backstory="You are precise.", llm=_llm, tools=list(tools))


def _answer(of: Agent, **options: Any) -> Task:
    return Task(description="Answer: {input}", expected_output="An answer", agent=of, **options)


def _write_up(of: Agent, *context: Task, **options: Any) -> Task:
    return Task(
        description="Write it up: {input}", expected_output="A text", agent=of, context=list(context), **options
    )


clerk = _agent("Clerk", *_tools)
ordering = Crew(agents=[clerk], tasks=[_answer(clerk, output_pydantic=functions.Order)])

_researcher = _agent("Researcher", *_tools)
_writer = _agent("Writer")
_research = _answer(_researcher)
sequential = Crew(
    agents=[_researcher, _writer], tasks=[_research, _write_up(_writer, _research)], process=Process.sequential
)
sequential_order = Crew(
    agents=[_researcher, _writer],
    tasks=[_research, _write_up(_writer, _research, output_pydantic=functions.Order)],
)

_coworkers = [_agent("Mathematician", *_tools), _agent("Poet")]
hierarchical = Crew(
    agents=_coworkers,
    tasks=[Task(description="Answer: {input}", expected_output="An answer")],
    process=Process.hierarchical,
    manager_llm=_llm,
)
hierarchical_order = Crew(
    agents=_coworkers,
    tasks=[Task(description="Answer: {input}", expected_output="An answer", output_pydantic=functions.Order)],
    process=Process.hierarchical,
    manager_llm=_llm,
)


@CrewBase
class Project:
    """A crew whose agents and tasks are in YAML files."""

    agents_config = "config/agents.yml"
    tasks_config = "config/tasks.yml"

    @agent
    def clerk(self) -> Agent:
        return Agent(config=self.agents_config["clerk"], llm=_llm, tools=_tools)

    @task
    def job(self) -> Task:
        return Task(config=self.tasks_config["job"])

    @crew
    def crew(self) -> Crew:
        return Crew(agents=self.agents, tasks=self.tasks, process=Process.sequential)


@CrewBase
class ProjectOrder(Project):
    """The same, with an object for an answer."""

    agents_config = "config/agents.yml"
    tasks_config = "config/tasks.yml"

    @task
    def job(self) -> Task:
        return Task(config=self.tasks_config["job"], output_json=functions.Order)


class _LookInput(BaseModel):
    path: str = Field(description="Where to note it.")
    item: str = Field(description="What to look up.")


class LookTool(BaseTool):
    """A tool that is a class."""

    name: str = "look"
    description: str = "Look up what an item costs."
    args_schema: type[BaseModel] = _LookInput

    def _run(self, path: str, item: str) -> str:
        return functions.look(path, item)


class _PayInput(BaseModel):
    path: str
    amount: int


class PayTool(BaseTool):
    """One that is to be approved."""

    name: str = "pay"
    description: str = "Pay an amount."
    args_schema: type[BaseModel] = _PayInput

    def _run(self, path: str, amount: int) -> str:
        return functions.pay(path, amount)


class FailTool(BaseTool):
    """One that raises; its arguments are those of its method."""

    name: str = "fail"
    description: str = "Fail for a reason."

    def _run(self, reason: str) -> str:
        return functions.fail(reason)


_bare = _agent("Bare")
_classes = [LookTool(), PayTool(), FailTool()]
tasks_tools = Crew(agents=[_bare], tasks=[_answer(_bare, tools=_classes)])
tasks_tools_order = Crew(agents=[_bare], tasks=[_answer(_bare, tools=_classes, output_pydantic=functions.Order)])


def short(output: TaskOutput) -> tuple[bool, Any]:
    """Let no long answer pass."""
    return (True, output.raw) if len(output.raw) < 40 else (False, "Say it in fewer words.")


checked = Crew(agents=[clerk], tasks=[_answer(clerk, guardrail=short)])
checked_order = Crew(agents=[clerk], tasks=[_answer(clerk, guardrail=short, output_pydantic=functions.Order)])

seen: list[Any] = []
watched = Crew(agents=[clerk], tasks=[_answer(clerk, callback=seen.append)], step_callback=seen.append)
watched_order = Crew(
    agents=[clerk],
    tasks=[_answer(clerk, callback=seen.append, output_pydantic=functions.Order)],
    step_callback=seen.append,
)

_ahead = _answer(_researcher, async_execution=True)
together = Crew(agents=[_researcher, _writer], tasks=[_ahead, _write_up(_writer, _ahead)])
together_order = Crew(
    agents=[_researcher, _writer],
    tasks=[_ahead, _write_up(_writer, _ahead, output_pydantic=functions.Order)],
)
