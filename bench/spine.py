"""What the stack adds to a turn: time to the first event, and turns a second, against calling the graph directly.

    python -m bench.spine

starts Valkey, the server, one worker and a scripted model, and runs the same turns (two model calls and a tool)
directly and through the stack, in alternation on the same machine, so the ratios mean something where the
figures depend on the machine. The model answers at once, so what is seen is overhead alone: with a real model,
seconds of its own stand on both sides.
"""

import statistics
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import through
from bench.comparing import Direct, alternate, scripted_model, turns_a_second
from bench.turns import Figures
from tests.support.processes import ROOT
from tests.support.stack import Stack

IDLE_TURNS = 40
ROUNDS = 3
TURNS_AT_ONCE = {16: 8, 64: 3}
"""Clients, and the turns each runs in a round."""


def measure(direct: Direct, url: str, clients: int, each: int, rounds: int) -> list[list[Figures]]:
    """The figures of direct turns and of the stack's."""
    sides = [
        partial(direct.turns, "bench", clients, each),
        partial(through.turns, url, "bench", clients, each),
    ]
    return alternate(sides, rounds)


def first_event(rounds: list[Figures]) -> float:
    """Median milliseconds to the first event of one side."""
    return 1000 * float(statistics.median(first for one in rounds for first in one["turns"]))


def show(rows: list[tuple[str, list[float]]]) -> None:
    table = Table("figure", "direct", "through the stack", "ratio", title="The spine against the bare graph")
    for name, (direct, stack) in rows:
        table.add_row(name, f"{direct:.1f}", f"{stack:.1f}", f"{stack / direct:.2f}")
    Console().print(table)


def prepare(stack: Stack) -> None:
    """Start the parts, with the bench's agent alone in the registry."""
    stack.prepare(ROOT / "bench")
    stack.add_server()
    stack.add_worker("langgraph", "--concurrency", "64")


def run(directory: Path) -> list[tuple[str, list[float]]]:
    """Measure everything. Returns a row for each figure."""
    with ExitStack() as ends:
        model_url = ends.enter_context(scripted_model(directory))
        stack = Stack(directory, model_url)
        ends.callback(stack.stop)
        direct = Direct("bench.direct", model_url, directory / "direct.log")
        ends.callback(direct.stop)
        prepare(stack)
        url = stack.server.url
        idle = measure(direct, url, 1, IDLE_TURNS, 1)
        rows = [("ms to the first event, idle, p50", [first_event(side) for side in idle])]
        for clients, each in TURNS_AT_ONCE.items():
            busy = measure(direct, url, clients, each, ROUNDS)
            rows.append((f"turns a second, {clients} clients", [turns_a_second(side) for side in busy]))
        return rows


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        show(run(Path(made)))
