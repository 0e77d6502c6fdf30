"""Adds up what a drill found, and shows it."""

import statistics
from collections import Counter

from pydantic import BaseModel, Field
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from k8gentai.workers.queue.record import CallCounts

_SHOWN = 10
"""Findings and errors that are printed; the JSON has all."""


class TurnReport(CallCounts):
    """One turn."""

    id: str | None
    """The turn's id; None where it was never accepted."""
    status: str = "endless"
    """The turn's last state; ``endless``: it had no end in the time it had."""
    error: str | None = None
    expired: bool = False
    """Whether Redis kept it no longer, so that its response and what its client read are all that was looked
    at."""
    events: int = 0
    attempts: int = 0
    recoveries: list[tuple[str, float]] = Field(default_factory=list)
    """The strikes on its worker, each with the seconds until another took the turn up."""
    lost: list[str] = Field(default_factory=list)
    doubled: list[str] = Field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong with it; a turn that failed may be clean."""
        repeated = self.models_repeated + self.tools_repeated
        return self.status != "endless" and not (self.lost or self.doubled or repeated)


class Recovery(BaseModel):
    """Seconds from a strike until another worker took the turn up."""

    count: int
    median: float
    longest: float


class Report(BaseModel):
    """A drill."""

    agent: str
    seconds: float
    turns: int
    ended: dict[str, int]
    strikes: dict[str, int]
    attempts: int
    attempts_on_own_workers: int
    """The attempts on the workers that the drill started; others ran on the stack's own, which are not struck."""
    events: int
    recovery: dict[str, Recovery]
    models_made: int
    models_replayed: int
    tools_made: int
    tools_replayed: int
    lost: int
    doubled: int
    endless: int
    expired: int
    """Turns that Redis kept no longer when they were looked at."""
    models_repeated: int
    tools_repeated: int
    findings: list[TurnReport]
    """The turns that something is wrong with, and those that failed."""

    @property
    def clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.doubled or self.endless or self.models_repeated or self.tools_repeated)


def add_up(
    agent: str, seconds: float, turns: list[TurnReport], strikes: Counter[str], attempts_on_own_workers: int
) -> Report:
    """Return the report of a drill.

    Args:
        seconds: the seconds that it took.
        turns: all of its turns.
        strikes: the number of strikes of each kind, by its name.
        attempts_on_own_workers: see there.
    """
    times: dict[str, list[float]] = {}
    for turn in turns:
        for how, time in turn.recoveries:
            times.setdefault(how, []).append(time)
    return Report(
        agent=agent,
        seconds=seconds,
        turns=len(turns),
        ended=dict(Counter(turn.status for turn in turns if turn.status != "endless")),
        strikes=dict(strikes),
        attempts=sum(turn.attempts for turn in turns),
        attempts_on_own_workers=attempts_on_own_workers,
        events=sum(turn.events for turn in turns),
        recovery={
            how: Recovery(count=len(found), median=statistics.median(found), longest=max(found))
            for how, found in times.items()
        },
        models_made=sum(turn.models_made for turn in turns),
        models_replayed=sum(turn.models_replayed for turn in turns),
        tools_made=sum(turn.tools_made for turn in turns),
        tools_replayed=sum(turn.tools_replayed for turn in turns),
        lost=sum(len(turn.lost) for turn in turns),
        doubled=sum(len(turn.doubled) for turn in turns),
        endless=sum(turn.status == "endless" for turn in turns),
        expired=sum(turn.expired for turn in turns),
        models_repeated=sum(turn.models_repeated for turn in turns),
        tools_repeated=sum(turn.tools_repeated for turn in turns),
        findings=[turn for turn in turns if not turn.clean or turn.error],
    )


def show(report: Report, console: Console) -> None:
    """Print the report as a table, and below it what is wrong."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in _rows(report):
        table.add_row(name, value)
    console.print(table)
    if report.expired:
        console.print(
            f"[yellow]{report.expired} turns were no longer in Redis[/] and could be looked at by half: set "
            "AMF_KEEP_SECONDS of the server to more than a drill takes.",
            soft_wrap=True,
        )
    for turn in report.findings[:_SHOWN]:
        console.print(f"[red]{turn.id}[/] ({turn.status}): {escape(_wrong(turn))}", soft_wrap=True)
    if len(report.findings) > _SHOWN:
        console.print(f"… and {len(report.findings) - _SHOWN} more turns: --json has all.")


def _rows(report: Report) -> list[tuple[str, str]]:
    def counts(found: dict[str, int]) -> str:
        return ", ".join(f"{count} {name}" for name, count in sorted(found.items())) or "none"

    def calls(made: int, replayed: int) -> str:
        return f"{made} made, {replayed} answered by the journal"

    def promised(count: int) -> str:
        return f"[green]{count}[/]" if count == 0 else f"[bold red]{count}[/]"

    other = report.attempts - report.attempts_on_own_workers
    elsewhere = f", {other} of them on workers that are not the drill's" if other else ""
    return [
        ("agent", report.agent),
        ("turns", f"{report.turns} in {report.seconds:.0f} s"),
        ("ended", counts(report.ended)),
        ("strikes", counts(report.strikes)),
        ("attempts", f"{report.attempts}{elsewhere}"),
        *(
            (
                f"taken up after: {how}",
                f"{found.median:.1f} s median, {found.longest:.1f} s longest, of {found.count}",
            )
            for how, found in report.recovery.items()
        ),
        ("model calls", calls(report.models_made, report.models_replayed)),
        ("tool calls", calls(report.tools_made, report.tools_replayed)),
        ("events", str(report.events)),
        ("events lost", promised(report.lost)),
        ("events doubled", promised(report.doubled)),
        ("turns without an end", promised(report.endless)),
        ("model calls repeated", promised(report.models_repeated)),
        ("tool calls repeated", promised(report.tools_repeated)),
    ]


def _wrong(turn: TurnReport) -> str:
    repeated = {"model calls repeated": turn.models_repeated, "tool calls repeated": turn.tools_repeated}
    parts = [
        turn.error or "",
        f"lost: {', '.join(turn.lost)}" if turn.lost else "",
        f"doubled: {', '.join(turn.doubled)}" if turn.doubled else "",
        *(f"{count} {name}" for name, count in repeated.items() if count),
    ]
    return "; ".join(part for part in parts if part) or "no end"
