"""Workflows, as BeeAI's documentation writes them."""

from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.workflows import Workflow
from beeai_framework.workflows.agent import AgentWorkflow, AgentWorkflowInput
from pydantic import BaseModel

from tests.conformance.shapes.agents.beeai.agents import llm, tools
from tests.conformance.shapes.agents.functions import Order

team = AgentWorkflow(name="Team")
team.add_agent(name="Researcher", role="A researcher", instructions="Find out.", llm=llm, tools=tools)
team.add_agent(name="Writer", role="A writer", instructions="You write well.", llm=llm)


async def team_order(question: str) -> Order:
    """Make an object of what the team comes to."""
    done = await team.run([AgentWorkflowInput(prompt=question)])
    return Order.model_validate_json(done.state.final_answer or "")


class _State(BaseModel):
    question: str
    notes: str = ""
    answer: str = ""


async def _research(state: _State) -> str:
    notes = await RequirementAgent(llm=llm, tools=tools).run(state.question)
    state.notes = notes.last_message.text
    return Workflow.NEXT


async def _report(state: _State) -> str:
    written = await RequirementAgent(llm=llm).run(f"Write it up: {state.question} {state.notes}")
    state.answer = written.last_message.text
    return Workflow.END


_steps = Workflow(schema=_State, name="Steps")
_steps.add_step("research", _research)
_steps.add_step("report", _report)


async def steps(question: str) -> str:
    """Run a workflow of steps of one's own."""
    return (await _steps.run(_State(question=question))).state.answer


async def steps_order(question: str) -> Order:
    """Make an object of what the workflow comes to."""
    return Order.model_validate_json(await steps(question))
