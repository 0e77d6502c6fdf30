"""Keeps results of tools of CrewAI: run as a module."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from crewai.crews.crew_output import CrewOutput
from crewai.tasks.task_output import TaskOutput
from crewai.tools import tool
from crewai.tools.tool_failure import ToolFailure

from k8gentai.agents.adapters.crewai.admitted_calls import CrewAdmission
from k8gentai.agents.adapters.crewai.run import current_run
from k8gentai.agents.adapters.crewai.tools import hook_tools
from tests.conformance.kept.results import Receipt, Unwritten, attempt, gone, verify

RESULTS = [
    "text",
    {"total": 5},
    {3: "x"},
    (1, 2),
    None,
    Receipt(),
    [Receipt(total=6)],
    CrewOutput(raw="bought", tasks_output=[TaskOutput(description="Buy.", agent="Buyer", raw="bought")]),
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


class Recording:
    """A turn whose record answers what was called before."""

    ruled = named = ()

    def __init__(self):
        self.outcomes = {}
        self.call_ids = SimpleNamespace(make=lambda *told: str(told))

    def claim(self, *told, **options):
        """No call of a model's is answered."""

    def call_tool(self, call_id, name, arguments, execute):
        """Run a tool once."""
        if call_id in self.outcomes:
            return replace(self.outcomes[call_id], recorded=True)
        return self.outcomes.setdefault(call_id, execute())


def check_record(value):
    """Have code call a tool that returns a value, in two attempts."""
    pay = made(value, ran := [])
    recording: Any = Recording()
    current_run.set(recording)
    verify(pay.run(amount=1), pay.run(amount=1), len(ran))


if __name__ == "__main__":
    hook_tools()
    recording: Any = Recording()
    current_run.set(recording)
    for result in RESULTS:
        check(result)
        check_record(result)
    bill, take_away = gone()
    pay = made(bill, ran := [])
    with attempt(admission()) as own:
        pay.run(amount=1)
    take_away()
    with attempt(admission(), own.text):
        verify("total=5", pay.run(amount=1), len(ran))
    # What an earlier version kept.
    for kept, value in (('"paid 5"', "paid 5"), ('{"total": 5}', {"total": 5}), ("null", None)):
        with attempt(admission(), kept):
            verify(value, made("again", ran := []).run(amount=1), 1 - len(ran))
    with attempt(admission()) as lost:
        made(Unwritten(), []).run(amount=1)
    assert lost.is_lost
