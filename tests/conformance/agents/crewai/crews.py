"""Crews and flows as CrewAI's documentation writes them: made when the module is imported."""

import asyncio
import sys

from crewai import LLM, Agent, Crew, Process, Task
from crewai.flow.flow import Flow, listen, start
from crewai.project import CrewBase, agent, crew, task
from crewai.tasks import TaskOutput
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tools import BaseTool, tool
from pydantic import BaseModel

from k8gentai.stack.conformance import tools

_add = tool("add")(tools.add)
_write = tool("write")(tools.write)

_researcher = Agent(
    role="Researcher", goal="Find out about {topic}", backstory="You are curious.", tools=[_add, _write]
)
_writer = Agent(role="Writer", goal="Write about {topic}", backstory="You write well.")
_research = Task(description="Research {topic}.", expected_output="Notes", agent=_researcher)
_report = Task(description="Write about {topic}.", expected_output="A text", agent=_writer, context=[_research])

sequential = Crew(agents=[_researcher, _writer], tasks=[_research, _report], process=Process.sequential)

corrected = Crew(
    agents=[_researcher, _writer],
    tasks=[
        _research,
        Task(description="Write about {topic}.", expected_output="A text", agent=_writer),
        ConditionalTask(
            description="Correct the text about {topic}.",
            expected_output="A text",
            agent=_writer,
            condition=lambda output: "wrong" in output.raw,
        ),
    ],
)

hierarchical = Crew(
    agents=[
        Agent(role="Mathematician", goal="Calculate", backstory="You are exact.", tools=[_add]),
        Agent(role="Poet", goal="Write verse", backstory="You rhyme."),
    ],
    tasks=[Task(description="Answer: {input}", expected_output="An answer")],
    process=Process.hierarchical,
    manager_llm=LLM(model="gpt-4.1-mini"),
)

_editor = Agent(role="Editor", goal="Edit {input}", backstory="You cut.", tools=[_add])

_edit = {"description": "Edit: {input}", "expected_output": "A text", "agent": _editor}
planned = Crew(agents=[_editor], tasks=[Task(**_edit)], planning=True, planning_llm=LLM(model="gpt-4.1-mini"))
polite = Crew(agents=[_editor], tasks=[Task(**_edit, guardrail="It is polite.")])

shared = Crew(
    agents=[_editor],
    tasks=[Task(description="Edit: {input}", expected_output="An edited {input}", agent=_editor)],
)

two_inputs = Crew(
    agents=[_writer],
    tasks=[Task(description="Write about {topic} in {year}.", expected_output="A text", agent=_writer)],
)

thoughtful = Agent(role="Thinker", goal="Think", backstory="You plan.", reasoning=True, max_reasoning_attempts=1)

unaware = Crew(
    agents=[Agent(role="Clerk", goal="Work", backstory="You work.")],
    tasks=[Task(description="Do your work.", expected_output="Work")],
    process=Process.hierarchical,
    manager_llm="gpt-4.1-mini",
)

asking = Crew(
    agents=[_writer],
    tasks=[Task(description="Write about {topic}.", expected_output="A text", agent=_writer, human_input=True)],
)


_reader = Agent(role="Reader", goal="Read", backstory="You read a lot.", tools=[_add])


class Draft(BaseModel):
    """What the flow works on."""

    question: str = ""
    notes: str = ""


class Report(Flow[Draft]):
    """An agent researches, a model called directly writes."""

    @start()
    def research(self) -> str:
        self.state.notes = _reader.kickoff(self.state.question).raw
        return self.state.notes

    @listen(research)
    def write(self) -> str:
        return LLM(model="gpt-4.1-mini").call(f"Write about {self.state.question} with {self.state.notes}")


report = Report()


class Judged(Flow[Draft]):
    """A model writes, and another one judges what the first said, which is the answer."""

    @start()
    def write(self) -> str:
        self.state.notes = LLM(model="gpt-4.1-mini").call(self.state.question)
        return self.state.notes

    @listen(write)
    def judge(self) -> str:
        LLM(model="gpt-4.1-mini").call(f"Judge this: {self.state.question} {self.state.notes}")
        return self.state.notes


class Loose(Flow):
    """A flow whose state is a dictionary, and whose answer no model said."""

    @start()
    async def shout(self) -> str:
        return self.state["input"].upper()


def _redacted(output: TaskOutput) -> tuple[bool, str]:
    return "draft" not in output.raw, output.raw.replace("4111", "****")


redacting = Crew(
    agents=[_editor],
    tasks=[Task(description="Edit: {input}", expected_output="A text", agent=_editor, guardrail=_redacted)],
)


_clerk = Agent(role="Clerk", goal="Write {input}", backstory="You note.", tools=[_write])
checked = Crew(
    agents=[_clerk],
    tasks=[Task(description="Write: {input}", expected_output="A text", agent=_clerk, guardrail=_redacted)],
)


summing = Crew(
    agents=[_editor],
    tasks=[
        Task(description="Edit: {input}", expected_output="A text", agent=_editor),
        Task(
            description="Add: {input}",
            expected_output="A sum",
            agent=_editor,
            tools=[tool("add", result_as_answer=True)(tools.add)],
        ),
    ],
)


class Pair(Flow):
    """Two agents of one role work at the same time."""

    @start()
    async def work(self) -> str:
        pair = [Agent(role="Poet", goal="Write", backstory="You rhyme.") for _ in range(2)]
        made = await asyncio.gather(*(poet.kickoff_async(self.state["input"]) for poet in pair))
        return " ".join(sorted(each.raw for each in made))


class Short(Flow):
    """A flow that returns the end of what its model said."""

    @start()
    def work(self) -> str:
        return _reader.kickoff(self.state["input"]).raw[-1]


class Linger(BaseTool):
    """A tool that leaves a mark, and does not come to an end."""

    name: str = "linger"
    description: str = "Add a line to a file."

    def _run(self, path: str) -> str:
        raise NotImplementedError

    async def _arun(self, path: str) -> str:
        tools.write(path, "slow")
        await asyncio.Event().wait()
        return "never"


class Hurried(Flow):
    """A flow that does not wait long for a tool."""

    @start()
    async def work(self) -> str:
        try:
            return await asyncio.wait_for(Linger().arun(path=self.state["path"]), 3)
        except TimeoutError:
            return (await _reader.kickoff_async(self.state["said"])).raw


class Both(Flow):
    """A flow that asks two at once, and returns what the first of them says."""

    @start()
    async def work(self) -> str:
        asked = (self.state["first"], self.state["second"])
        first, _ = await asyncio.gather(*(_reader.copy().kickoff_async(each) for each in asked))
        return first.raw


class Curious(Flow):
    """A flow that asks a person."""

    @start()
    def greet(self) -> str:
        return f"Hello, {self.ask('Your name?')}."


class Sharing(Flow):
    """A flow that kicks off a crew which all its turns share."""

    @start()
    def work(self) -> str:
        return shared.kickoff(inputs={"input": self.state["input"]}).raw


class Talking(Flow):
    """A flow that kicks off an agent which all its turns share."""

    @start()
    def work(self) -> str:
        return _reader.kickoff(self.state["input"]).raw


@CrewBase
class Project:
    """A crew as CrewAI's project template writes it."""

    agents_config = "config/agents.yml"
    tasks_config = "config/tasks.yml"

    @agent
    def clerk(self) -> Agent:
        return Agent(config=self.agents_config["clerk"])

    @task
    def job(self) -> Task:
        return Task(config=self.tasks_config["job"])

    @crew
    def crew(self) -> Crew:
        return Crew(agents=self.agents, tasks=self.tasks)


class Plan(BaseModel):
    """A plan."""

    city: str
    days: int


planner = Crew(
    agents=[_researcher, _writer],
    tasks=[
        _research,
        Task(description="Plan {topic}.", expected_output="A plan", agent=_writer, output_pydantic=Plan),
    ],
)


class Coded(Flow):
    """A flow that plans by code, from what an agent says."""

    @start()
    def plan(self) -> Plan:
        return Plan(city=_reader.kickoff(self.state["input"]).raw.strip(), days=3)


def _leave(output: TaskOutput) -> None:
    sys.exit(6)


leaving_beside = Crew(
    agents=[_researcher, _writer],
    tasks=[
        Task(
            description="Research {topic}.",
            expected_output="Notes",
            agent=_researcher,
            async_execution=True,
            callback=_leave,
        ),
        _report,
    ],
)
