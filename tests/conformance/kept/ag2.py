"""Keeps results of tools of AG2: run as a module."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import structlog
from ag2 import Agent, Context, MemoryStream, ToolResult, tool
from ag2.events import DataInput, ImageInput, TextInput, ToolCallEvent

from k8gentai.agents.adapters.ag2.admitted_calls import hook_tools
from k8gentai.agents.adapters.ag2.context_changes import ContextChanges
from k8gentai.agents.adapters.ag2.run import current_agent, current_call, current_run
from k8gentai.agents.adapters.ag2.tool_results import outcome_of_value, remade, value_of
from k8gentai.agents.adapters.base.kept_results import is_same
from k8gentai.agents.tools.admitted_arguments import Admission
from tests.conformance.kept.results import Receipt, Unwritten, attempt, gone, verify

RESULTS = [
    "text",
    {"total": 5},
    {3: "x"},
    (1, 2),
    Receipt(),
    ToolResult("found", DataInput([1], metadata={"page": 3}), final=True, metadata={"score": 0.5}),
]
LOST = [Unwritten(), ToolResult(ImageInput("https://example.com/a.png"))]


def made(value, ran):
    """A tool that returns a value."""

    @tool
    def pay(amount: int):
        """Pay an amount."""
        ran.append(amount)
        return value

    return pay


async def call(pay, kept=None):
    """Call the tool. Returns what it returned, and what was kept of that."""
    event = ToolCallEvent(id="c1", name="pay", arguments='{"amount": 1}')
    current_call.set(event)
    with attempt(Admission("c1", "pay", {"amount": 1}), kept) as own:
        came = await pay(event, Context(MemoryStream()))
    return came.result, own


async def check(value):
    """Have a tool that returns a value called twice."""
    pay = made(value, ran := [])
    first, own = await call(pay)
    second, _ = await call(pay, own.text)
    verify(first, second, len(ran))


def new_changes():
    """What keeps the changes of an attempt."""
    return ContextChanges(structlog.get_logger())


def check_changes():
    """Have two tools that run at the same time change a context, and one of them fail to be kept in part."""
    context = Context(MemoryStream(), variables={"seen": [], "gone": 1, "same": Unwritten()})
    made = new_changes()
    with made.watch(context, "first") as first:
        with made.watch(context, "second") as second:
            context.variables["seen"].append("second")
            context.variables[3] = Receipt()
            context.variables["lost"] = Unwritten()
            kept_of_second = second()
        context.variables["seen"].append("first")
        del context.variables["gone"]
        kept_of_first = first()
    with made.watch(context, "third") as third:
        assert third() is None
    for order in ((kept_of_first, kept_of_second), (kept_of_second, kept_of_first)):
        again = Context(MemoryStream(), variables={"seen": [], "gone": 1})
        changes = new_changes()
        for kept in order:
            changes.apply(again, json.loads(json.dumps(kept)))
        assert is_same(again.variables, {"seen": ["second", "first"], 3: Receipt()}), again.variables


async def check_own_changes():
    """Have the tool's own result be there already: what it changed is, too."""

    @tool
    def login(context: Context, user: str) -> str:
        """Log in."""
        context.variables["user"] = user
        return "in"

    event = ToolCallEvent(id="c1", name="login", arguments='{"user": "Ada"}')
    current_call.set(event)
    kept = None
    for _ in range(2):
        context = Context(MemoryStream())
        with attempt(Admission("c1", "login", {"user": "Ada"}), kept) as own:
            came = await login(event, context)
        kept = own.text
        assert context.variables == {"user": "Ada"}
        assert came.result == ToolResult("in")


async def main():
    """Check each result."""
    check_changes()
    await check_own_changes()
    for result in RESULTS:
        await check(result)
        if not isinstance(result, ToolResult):
            assert is_same(value_of(outcome_of_value(result)), result), result
    for result in LOST:
        _, own = await call(made(result, []))
        assert own.is_lost, result
    bill, take_away = gone()
    pay = made(bill, ran := [])
    _, own = await call(pay)
    take_away()
    second, _ = await call(pay, own.text)
    verify(['{"total":5}'], [part.content for part in second.parts], len(ran))
    # What an earlier version kept.
    assert remade('{"parts": ["a", "b"], "final": true}') == ToolResult(TextInput("a"), TextInput("b"), final=True)


if __name__ == "__main__":
    hook_tools()
    run: Any = SimpleNamespace(changes=new_changes())
    current_run.set(run)
    current_agent.set(Agent("clerk"))
    asyncio.run(main())
