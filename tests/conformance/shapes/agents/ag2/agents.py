"""Agents, as AG2's documentation writes them."""

from typing import Annotated, Any

from ag2 import Agent, Context, Depends, Inject, Plugin, TaskConfig, Toolkit, Variable, tool
from ag2.config import OpenAIConfig
from ag2.events import HumanInputRequest, HumanMessage
from ag2.middleware import approval_required

from tests.conformance.shapes.agents import functions
from tests.conformance.shapes.agents.functions import Order

config = OpenAIConfig("scripted-model")
_tools = [functions.look, functions.pay, functions.fail]

quick = Agent("quick", prompt="You sell tea.", config=config, tools=_tools)
quick_order = Agent("quick_order", config=config, tools=_tools, response_schema=Order)

_shop = Toolkit(name="shop")


@_shop.tool
def look(path: str, item: str) -> str:
    """Look up what an item costs."""
    return functions.look(path, item)


@_shop.tool
def pay(path: str, amount: int) -> str:
    """Pay an amount."""
    return functions.pay(path, amount)


@_shop.tool
def fail(reason: str) -> str:
    """Fail for a reason."""
    return functions.fail(reason)


equipped = Agent("equipped", config=config, tools=[_shop])
equipped_order = Agent("equipped_order", config=config, tools=[_shop], response_schema=Order)

_asked = [quick.as_tool(description="Sells tea.", name="ask_quick")]
chief = Agent("chief", config=config, tools=_asked)
chief_order = Agent("chief_order", config=config, tools=_asked, response_schema=Order)

foreman = Agent("foreman", config=config, tools=_tools, tasks=TaskConfig())
foreman_order = Agent("foreman_order", config=config, tools=_tools, tasks=TaskConfig(), response_schema=Order)

_careful_tools = [functions.look, tool(functions.pay, middleware=[approval_required()]), functions.fail]


def _agreed(event: HumanInputRequest) -> HumanMessage:
    return HumanMessage(content="y")


careful = Agent("careful", config=config, tools=_careful_tools, hitl_hook=_agreed)
careful_order = Agent(
    "careful_order", config=config, tools=_careful_tools, hitl_hook=_agreed, response_schema=Order
)


def _note(context: Context) -> str:
    return f"{context.variables['currency']}"


@tool(name="look")
def _look(
    path: str,
    item: str,
    shop: Annotated[str, Inject()],
    currency: Annotated[str, Variable()],
    note: Annotated[str, Depends(_note)],
) -> str:
    """Look up what an item costs, in a shop and a currency that the model is not asked for."""
    assert (shop, currency, note) == ("Ada's", "EUR", "EUR")
    return functions.look(path, item)


def _place(context: Context) -> str:
    """Make a part of the prompt from the turn's variables."""
    return f"You sell in {context.variables['currency']}."


def _dependent(name: str, **options: Any) -> Agent:
    return Agent(
        name,
        ["You sell tea.", _place],
        config=config,
        tools=[_look, functions.pay, functions.fail],
        dependencies={"shop": "Ada's"},
        variables={"currency": "EUR"},
        **options,
    )


dependent = _dependent("dependent")
dependent_order = _dependent("dependent_order", response_schema=Order)


_selling = Plugin(prompt="You sell tea.", tools=_tools)
plugged = Agent("plugged", config=config, plugins=[_selling])
plugged_order = Agent("plugged_order", config=config, plugins=[_selling], response_schema=Order)
