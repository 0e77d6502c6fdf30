"""Keeps results of tools of BeeAI: run as a module."""

import asyncio
from types import SimpleNamespace
from typing import Any

from beeai_framework.tools import JSONToolOutput, StringToolOutput, tool
from beeai_framework.tools.search import SearchToolOutput, SearchToolResult

from k8gentai.agents.adapters.base.kept_results import is_same
from k8gentai.agents.adapters.beeai.admitted_calls import ReadAdmission, hook_implementations
from k8gentai.agents.adapters.beeai.run import current_run
from k8gentai.agents.adapters.beeai.tool_results import recorded, remade
from tests.conformance.kept.results import Receipt, Unwritten, attempt, gone, verify


class Total(JSONToolOutput):
    """An output with a property of its own."""

    @property
    def total(self):
        """What it comes to."""
        return self.result["total"]


RESULTS = [
    StringToolOutput("text"),
    JSONToolOutput({"total": 5}),
    JSONToolOutput({3: (1, 2)}),
    JSONToolOutput(Receipt()),
    Total({"total": 5}),
    SearchToolOutput([SearchToolResult(title="t", description="d", url="https://example.com")]),
]


def made(value, ran):
    """A tool that returns a value."""

    @tool
    def pay(amount: int) -> Total:
        """Pay an amount."""
        ran.append(amount)
        return value

    return pay


async def call(pay, kept=None):
    """Call the tool. Returns what it returned, and what was kept of that."""
    with attempt(ReadAdmission("c1", "pay", {"amount": 1}), kept) as own:
        output = await pay._run(pay.input_schema(amount=1), None, None)
    return output, own


async def check(value):
    """Have a tool that returns a value called twice."""
    pay = made(value, ran := [])
    first, own = await call(pay)
    second, _ = await call(pay, own.text)
    verify(first, second, len(ran))
    raw = recorded(value)
    assert raw == "" if type(value) is StringToolOutput else is_same(remade(raw), value), raw


async def main():
    """Check each result."""
    for result in RESULTS:
        await check(result)
    _, own = await call(made(JSONToolOutput(Unwritten()), []))
    assert own.is_lost
    bill, take_away = gone()
    pay = made(JSONToolOutput(bill), ran := [])
    _, own = await call(pay)
    take_away()
    second, _ = await call(pay, own.text)
    verify(StringToolOutput('{"total": 5}'), second, len(ran))


if __name__ == "__main__":
    nothing: Any = SimpleNamespace()
    hook_implementations(nothing)
    current_run.set(nothing)
    asyncio.run(main())
