"""What the stack adds to a turn: time to the first event, and turns a second, against calling the graph directly.

    python -m bench.spine

starts Valkey, the server, one worker and a scripted model, and runs the same turns (two model calls and a tool)
directly and through the stack, in alternation on the same machine, so the ratios mean something where the
figures depend on the machine. The model answers at once, so what is seen is overhead alone: with a real model,
seconds of its own stand on both sides.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from bench import through
from tests.support.processes import ROOT, Process, free_port
from tests.support.stack import Stack

IDLE_TURNS = 40
ROUNDS = 3
TURNS_AT_ONCE = {16: 8, 64: 3}
"""Clients, and the turns each runs in a round."""


class Direct:
    """The process that calls the graph directly.

    Args:
        model_url: the scripted model.
    """

    def __init__(self, model_url: str) -> None:
        environment = {
            **os.environ,
            "OPENAI_BASE_URL": model_url,
            "OPENAI_API_KEY": "none",
            "LANGSMITH_TRACING": "false",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.direct"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def turns(self, clients: int, each: int) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{clients} {each}\n")
        self._process.stdin.flush()
        figures: dict[str, Any] = json.loads(self._process.stdout.readline())
        return figures

    def stop(self) -> None:
        self._process.communicate(timeout=20)


def measure(direct: Direct, url: str, clients: int, each: int, rounds: int) -> list[list[dict[str, Any]]]:
    """Rounds of direct turns and of the stack's, in alternation, after one of each to warm up."""
    figures: list[list[dict[str, Any]]] = [[], []]
    for number in range(rounds + 1):
        pair = direct.turns(clients, each), asyncio.run(through.turns(url, clients, each))
        if number:
            for kept, found in zip(figures, pair, strict=True):
                kept.append(found)
    return figures


def first_event(figures: list[list[dict[str, Any]]]) -> list[float]:
    """Median milliseconds to the first event, direct and through the stack."""
    return [1000 * statistics.median(first for one in each for first in one["first"]) for each in figures]


def turns_a_second(figures: list[list[dict[str, Any]]]) -> list[float]:
    """Turns a second, the median of the rounds, direct and through the stack."""
    return [statistics.median(len(one["first"]) / one["seconds"] for one in each) for each in figures]


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


def answers(url: str) -> bool:
    """Whether the scripted model is there."""
    try:
        return httpx.get(f"{url}/models").status_code == 200
    except httpx.TransportError:
        return False


def run(directory: Path) -> list[tuple[str, list[float]]]:
    """Measure everything. Returns a row for each figure."""
    port = free_port()
    model_url = f"http://127.0.0.1:{port}/v1"
    model = Process("model", [sys.executable, "-m", "k8gentai.stack.conformance.scripted", str(port)], directory)
    stack = Stack(directory, model_url)
    direct = Direct(model_url)
    try:
        model.wait_until(lambda: answers(model_url), "answering")
        prepare(stack)
        url = stack.server.url
        rows = [
            ("ms to the first event, idle, p50", first_event(measure(direct, url, 1, IDLE_TURNS, 1))),
        ]
        for clients, each in TURNS_AT_ONCE.items():
            name = f"turns a second, {clients} clients"
            rows.append((name, turns_a_second(measure(direct, url, clients, each, ROUNDS))))
        return rows
    finally:
        direct.stop()
        stack.stop()
        model.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        show(run(Path(made)))
