"""What the stack adds to a turn: time to the first event, and turns a second, against calling the graph directly.

    python -m bench.spine

starts Valkey, the server, one worker and a scripted model, and runs the same turns (two model calls and a tool)
directly and through the stack, in alternation on the same machine, so the ratios mean something where the
figures depend on the machine. The model answers at once, so what is seen is overhead alone: with a real model,
seconds of its own stand on both sides.
"""

import asyncio
import statistics
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import through
from bench.comparing import Direct, alternate, turns_a_second
from bench.stack import ROOT, say, start_model, start_stack
from bench.turns import Figures
from k8gentai.stack.environments.installed import interpreter_for
from k8gentai.stack.local.children import Children

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


def measure_all(direct: Direct, url: str) -> list[tuple[str, list[float]]]:
    """Measure everything. Returns a row for each figure."""
    idle = measure(direct, url, 1, IDLE_TURNS, 1)
    rows = [("ms to the first event, idle, p50", [first_event(side) for side in idle])]
    for clients, each in TURNS_AT_ONCE.items():
        busy = measure(direct, url, clients, each, ROUNDS)
        rows.append((f"turns a second, {clients} clients", [turns_a_second(side) for side in busy]))
    return rows


async def run(directory: Path) -> list[tuple[str, list[float]]]:
    """Start the parts, with the bench's agent alone in the registry, and measure."""
    python = interpreter_for("langgraph", say)
    async with Children(directory / "logs") as children:
        model_url = await start_model(children)
        stack = await start_stack(children, directory, model_url, ROOT / "bench", {"langgraph": python})
        await stack.add_worker(python, "langgraph", ["--concurrency", str(max(TURNS_AT_ONCE))])
        with closing(Direct("bench.direct", model_url, directory / "direct.log")) as direct:
            return await asyncio.to_thread(measure_all, direct, stack.stack_url)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        show(asyncio.run(run(Path(made))))
