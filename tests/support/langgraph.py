"""What the tests of the LangGraph adapter share: a turn's context, a tool boundary, agents made of objects."""

import asyncio
import sys
from types import ModuleType
from typing import Any

import structlog
from langchain_openai import ChatOpenAI

from k8gentai.agents.adapters.langgraph.adapter import LangGraphAdapter, LangGraphAgent
from k8gentai.agents.contract.events import Event
from k8gentai.agents.contract.turn import Decision, ModelEndpoint, ToolOutcome, Turn, TurnContext
from k8gentai.agents.resources.agent import AgentDefinition
from tests.support.services import FakeServices


class Boundary:
    """Runs every tool, as the harness's boundary does, and keeps the outcomes by call id."""

    def __init__(self) -> None:
        self.outcomes: dict[str, ToolOutcome] = {}
        self.arguments: dict[str, dict] = {}
        self.names: dict[str, str] = {}
        self.recorded: dict[str, ToolOutcome] = {}
        """Outcomes known from before, which are given without running the tool."""
        self.asked: list[tuple] = []
        self.was_asked = asyncio.Event()
        self.decisions: dict[str, Decision] = {}
        self.exempted: list[str] = []

    def begin_anew(self):
        """Nothing is kept of calls here."""

    def claim(self, name, arguments, *, nested):
        """No call of the model's is answered by code here."""
        return

    def exempt(self, call_id, *, ran=False):
        self.exempted.append(call_id)

    async def call(self, call_id, name, arguments, run, *, approval=False, starts_work=False):
        assert call_id not in self.outcomes, "a tool ran twice"
        self.arguments[call_id] = arguments
        self.names[call_id] = name
        try:
            result = self.recorded.get(call_id) or await run()
        except Exception as error:  # noqa: BLE001 - whatever a tool raises
            result = ToolOutcome(str(error), is_error=True)
        return self._keep(call_id, result)

    def wait(self, call_id, name, arguments, run):
        assert call_id not in self.outcomes, "a tool ran twice"
        self.arguments[call_id] = arguments
        self.names[call_id] = name
        try:
            result = self.recorded.get(call_id) or run()
        except Exception as error:  # noqa: BLE001 - whatever a tool raises
            result = ToolOutcome(str(error), is_error=True)
        return self._keep(call_id, result)

    def _keep(self, call_id, result):
        outcome = result if isinstance(result, ToolOutcome) else ToolOutcome(result)
        self.outcomes[call_id] = outcome
        return outcome

    def decision(self, question, name, arguments):
        return self.decisions.get(question)

    async def ask(self, call_id, name, arguments, about=()):
        self.asked.append((call_id, name, arguments))
        self.was_asked.set()
        if call_id not in self.decisions:
            await asyncio.Event().wait()
        return self.decisions[call_id]


def chat(model, **options) -> ChatOpenAI:
    """A LangChain model on the scripted one."""
    return ChatOpenAI(model="scripted-model", base_url=model.base_url, api_key="key", max_retries=0, **options)


def definition(**spec) -> AgentDefinition:
    return AgentDefinition.model_validate(
        {
            "apiVersion": "kagent.dev/v1alpha1",
            "kind": "Agent",
            "metadata": {"name": "tried"},
            "spec": {"framework": "langgraph", **spec},
        }
    )


def loaded(thing: object, **spec) -> LangGraphAgent:
    """The agent that a module with this object in it would make."""
    module = ModuleType("agent_under_test")
    module.__file__ = None
    vars(module)["agent"] = thing
    sys.modules[module.__name__] = module
    return LangGraphAdapter().load(definition(entrypoint="agent_under_test:agent", **spec))


def turn_of(*items, **fields) -> Turn:
    """A turn; a plain string is a user's message."""
    read = [
        {"type": "message", "role": "user", "content": item} if isinstance(item, str) else item for item in items
    ]
    return Turn(id="resp_1", agent="tried", input=read, **fields)


def context_of(boundary: Boundary | None = None, *, base_url: str = "", max_steps: int = 25) -> TurnContext:
    return TurnContext(
        attempt=1,
        model=ModelEndpoint(base_url=base_url, api_key="turn-key", model=None),
        tools=boundary or Boundary(),
        max_steps=max_steps,
        stack=FakeServices(),
        log=structlog.get_logger(),
    )


def boundary_of(context: TurnContext) -> Boundary:
    """Return the boundary double that a turn's context has."""
    assert isinstance(context.tools, Boundary)
    return context.tools


async def run(thing: object, turn: Turn, context: TurnContext | None = None) -> list[Event]:
    """All events of a turn of an agent, or of the object it is made of."""
    agent = thing if isinstance(thing, LangGraphAgent) else loaded(thing)
    return [event async for event in LangGraphAdapter().run(agent, turn, context or context_of())]


def texts(events: list[Event]) -> list[str]:
    """The whole messages; that their deltas add up to them is checked on the way."""
    deltas: dict[str, str] = {}
    whole = []
    for event in events:
        if event.type == "text.delta":
            deltas[event.message_id] = deltas.get(event.message_id, "") + event.delta
        elif event.type == "message.done":
            assert deltas.pop(event.message_id, "") == event.text
            whole.append(event.text)
    assert not deltas, "a message without an end"
    return whole


def of_type[E](events: list[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def called(state: Any) -> list[Any]:
    """The tool calls of the last message of a graph's state."""
    calls: list[Any] = state["messages"][-1].tool_calls
    return calls


def answered(events: list[Event]) -> list[str]:
    """The texts that make up the turn's answer: those of messages that were not dropped."""
    answer: dict[str, str] = {}
    for event in events:
        if event.type == "message.done" and event.text:
            answer[event.message_id] = event.text
        elif event.type == "item.dropped":
            answer.pop(event.item_id, None)
    return list(answer.values())
