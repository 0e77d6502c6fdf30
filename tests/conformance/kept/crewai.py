"""Keeps results of tools of CrewAI: run as a module."""

from types import SimpleNamespace

from crewai.tools import tool
from crewai.tools.tool_failure import ToolFailure

from k8gentai.agents.adapters.crewai.admitted import CrewAdmission
from k8gentai.agents.adapters.crewai.run import current_run
from k8gentai.agents.adapters.crewai.tools import hook_tools
from tests.conformance.kept.results import Receipt, Unwritten, attempt, verify

RESULTS = [
    "text",
    {"total": 5},
    {3: "x"},
    (1, 2),
    None,
    Receipt(),
    [Receipt(total=6)],
    ToolFailure(message="card refused", code="1", details={"card": 4}),
]


def made(value, ran):
    """A tool that returns a value."""

    @tool("pay")
    def pay(amount: int) -> Receipt:
        """Pay an amount."""
        ran.append(amount)
        return value

    return pay


def admission():
    """A call of the tool."""
    return CrewAdmission("c1", "pay", {"amount": 1})


def check(value):
    """Have a tool that returns a value called twice."""
    pay = made(value, ran := [])
    with attempt(admission()) as own:
        first = pay.run(amount=1)
    with attempt(admission(), own.text):
        second = pay.run(amount=1)
    verify(first, second, len(ran))
    assert pay.format_output_for_agent(first) == pay.format_output_for_agent(second)
    assert pay.current_usage_count == 2


if __name__ == "__main__":
    hook_tools()
    current_run.set(SimpleNamespace(ruled=(), named=()))
    for result in RESULTS:
        check(result)
    with attempt(admission()) as lost:
        made(Unwritten(), []).run(amount=1)
    assert lost.is_lost
