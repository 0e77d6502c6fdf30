"""Agents, as BeeAI's documentation writes them."""

from collections.abc import Awaitable, Callable
from typing import Any

from beeai_framework.agents.react import ReActAgent
from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.agents.requirement.requirements.ask_permission import AskPermissionRequirement
from beeai_framework.agents.requirement.requirements.conditional import ConditionalRequirement
from beeai_framework.agents.tool_calling import ToolCallingAgent
from beeai_framework.backend import ChatModel
from beeai_framework.context import RunContext
from beeai_framework.emitter import Emitter
from beeai_framework.memory import UnconstrainedMemory
from beeai_framework.tools import StringToolOutput, Tool, ToolRunOptions, tool
from beeai_framework.tools.handoff import HandoffTool
from beeai_framework.tools.think import ThinkTool
from pydantic import BaseModel

from tests.conformance.shapes.agents import functions
from tests.conformance.shapes.agents.functions import Order

llm = ChatModel.from_name("openai:scripted-model")
_look, _pay, _fail = tool(functions.look), tool(functions.pay), tool(functions.fail)
tools = [_look, _pay, _fail]


def _seller() -> RequirementAgent:
    return RequirementAgent(llm=llm, name="Seller", description="Sells tea.", tools=tools)


def _ruled() -> RequirementAgent:
    rules = [ConditionalRequirement(_pay, max_invocations=1), ConditionalRequirement(_look, max_invocations=3)]
    return RequirementAgent(llm=llm, name="Ruled", tools=tools, requirements=rules)


def _careful() -> RequirementAgent:
    return RequirementAgent(llm=llm, name="Careful", tools=tools, requirements=[AskPermissionRequirement([_pay])])


def _thinker() -> RequirementAgent:
    rules = [ConditionalRequirement(ThinkTool, force_at_step=1)]
    return RequirementAgent(llm=llm, name="Thinker", tools=[ThinkTool(), *tools], requirements=rules)


def _chief() -> RequirementAgent:
    return RequirementAgent(llm=llm, name="Chief", tools=[HandoffTool(seller, name="ask_seller")])


class _PayInput(BaseModel):
    path: str
    amount: int


class PayTool(Tool[_PayInput, ToolRunOptions, StringToolOutput]):
    """A tool that is a class."""

    name = "pay"
    description = "Pay an amount."
    input_schema = _PayInput

    def _create_emitter(self) -> Emitter:
        return Emitter.root().child(namespace=["tool", "pay"], creator=self)

    async def _run(
        self,
        input: _PayInput,  # noqa: A002 - BeeAI's name
        options: ToolRunOptions | None,
        context: RunContext,
    ) -> StringToolOutput:
        return StringToolOutput(functions.pay(input.path, input.amount))


def _classy() -> RequirementAgent:
    return RequirementAgent(llm=llm, name="Classy", tools=[_look, PayTool(), _fail])


seller = _seller()
ruled, careful, thinker, chief, classy = _ruled(), _careful(), _thinker(), _chief(), _classy()


def _expecting(make: Callable[[], RequirementAgent]) -> Callable[[str], Awaitable[Any]]:
    """A function that has an agent answer in a structure (``expected_output``)."""

    async def answer(question: str) -> Any:
        return await make().run(question, expected_output=Order)

    return answer


seller_order, ruled_order, careful_order = _expecting(_seller), _expecting(_ruled), _expecting(_careful)
thinker_order, chief_order, classy_order = _expecting(_thinker), _expecting(_chief), _expecting(_classy)


async def calling(question: str) -> Any:
    """Have an agent of the older kind answer."""
    return await ToolCallingAgent(llm=llm, memory=UnconstrainedMemory(), tools=tools).run(question)


async def calling_order(question: str) -> Any:
    """Have it answer in a structure."""
    agent = ToolCallingAgent(llm=llm, memory=UnconstrainedMemory(), tools=tools)
    return Order.model_validate_json((await agent.run(question, expected_output=Order)).last_message.text)


async def react(question: str) -> Any:
    """Have an agent answer that writes its calls as text."""
    return await ReActAgent(llm=llm, tools=tools, memory=UnconstrainedMemory()).run(question)


async def react_order(question: str) -> Order:
    """Make an object of what it says."""
    said = await ReActAgent(llm=llm, tools=tools, memory=UnconstrainedMemory()).run(question)
    return Order.model_validate_json(said.last_message.text)
