"""Shows the outcomes of the checks as tables: for a terminal, and for the documentation."""

from collections.abc import Iterable, Mapping
from typing import Literal, Self, cast

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from k8gentai.stack.conformance.capabilities import Capability, Check
from k8gentai.stack.conformance.kit import Kit

State = Literal["passed", "failed", "impossible"]
_SHOWN = {"passed": "[green]yes[/]", "failed": "[bold red]FAILED[/]", "impossible": "[yellow]not possible[/]"}
_WRITTEN = {"passed": "yes", "failed": "**failed**", "impossible": "no"}


class Outcome(BaseModel):
    """The outcome of one check."""

    framework: str
    capability: Capability
    """The capability that the check shows, which is its row in the table."""
    check: str
    state: State
    """``impossible``: the framework declares that it cannot have what the check is about."""
    reason: str
    """The reason why it did not pass; empty where it did."""
    seconds: float

    @classmethod
    def of(cls, framework: str, check: Check, state: str, reason: str, seconds: float) -> Self:
        """Return an outcome."""
        return cls(
            framework=framework,
            capability=check.capability,
            check=check.name,
            state=cast("State", state),
            reason=reason,
            seconds=round(seconds, 2),
        )


Rows = Mapping[Capability, tuple[State, str]]
"""The state of each capability of one framework, and the reason."""


def declared(kit: Kit, checks: Iterable[Check]) -> list[Outcome]:
    """Return what the checks come to where all pass that the framework does not declare impossible."""
    return [
        Outcome.of(kit.framework, check, "impossible", why, 0)
        if (why := kit.why_not(check.capabilities))
        else Outcome.of(kit.framework, check, "passed", "", 0)
        for check in checks
    ]


def rows(outcomes: Iterable[Outcome]) -> dict[str, Rows]:
    """Return by framework what the outcomes of each capability come to: failed if one failed, impossible if all
    are."""
    found: dict[str, dict[Capability, tuple[State, str]]] = {}
    for outcome in outcomes:
        row = found.setdefault(outcome.framework, {})
        before, _ = row.get(outcome.capability, ("impossible", ""))
        if before == "impossible" or outcome.state == "failed":
            row[outcome.capability] = (outcome.state, outcome.reason)
    return {framework: dict(sorted(row.items(), key=_place)) for framework, row in found.items()}


def show(outcomes: Iterable[Outcome], console: Console) -> None:
    """Print a table of the capabilities, and below it what failed and what is not possible."""
    outcomes = list(outcomes)
    found = rows(outcomes)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("capability", *found):
        table.add_column(column)
    for capability in _capabilities(found):
        table.add_row(
            capability, *(_SHOWN[row[capability][0]] if capability in row else "" for row in found.values())
        )
    console.print(table)
    for note in _notes(found):
        console.print(f"[yellow]not possible[/]: {escape(note)}", highlight=False, soft_wrap=True)
    for outcome in outcomes:
        if outcome.state == "failed":
            show_failure(outcome, console)


def show_sum(outcomes: Iterable[Outcome], console: Console) -> None:
    """Print how many checks passed, and how long they took."""
    outcomes = list(outcomes)
    counts = {state: sum(outcome.state == state for outcome in outcomes) for state in _SHOWN}
    seconds = sum(outcome.seconds for outcome in outcomes)
    console.print(
        f"{counts['passed']} checks passed, {counts['failed']} failed, {counts['impossible']} not possible, "
        f"in {seconds:.0f} s",
        highlight=False,
    )


def show_failure(outcome: Outcome, console: Console) -> None:
    """Print what failed, and why."""
    where = f"{outcome.framework}: {outcome.capability}: {outcome.check}"
    console.print(f"[red]{where}[/]: {escape(outcome.reason)}", highlight=False, soft_wrap=True)


def markdown(outcomes: Iterable[Outcome]) -> str:
    """Return the table of the capabilities, with reasons as notes below it."""
    found = rows(outcomes)
    notes = _notes(found)
    lines = [f"| capability | {' | '.join(found)} |", f"|---|{'---|' * len(found)}"]
    for capability in _capabilities(found):
        cells = []
        for framework, row in found.items():
            state, reason = row.get(capability, ("impossible", ""))
            number = f" ({notes.index(_note(framework, reason)) + 1})" if state == "impossible" and reason else ""
            cells.append(_WRITTEN[state] + number)
        lines.append(f"| {capability} | {' | '.join(cells)} |")
    numbered = [f"{number}. {note}" for number, note in enumerate(notes, 1)]
    return "\n".join([*lines, *(["", *numbered] if numbered else [])]) + "\n"


def _notes(found: Mapping[str, Rows]) -> list[str]:
    """Return why frameworks cannot have something: each reason once."""
    why = {
        _note(framework, reason): None
        for framework, row in found.items()
        for state, reason in row.values()
        if state == "impossible"
    }
    return list(why)


def _note(framework: str, reason: str) -> str:
    return f"{framework}: {reason}"


def _capabilities(found: Mapping[str, Rows]) -> list[Capability]:
    """Return those that any framework was put to, in the order of the table."""
    return [capability for capability in Capability if any(capability in row for row in found.values())]


def _place(item: tuple[Capability, object]) -> int:
    return list(Capability).index(item[0])
