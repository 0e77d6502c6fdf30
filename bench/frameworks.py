"""What k8gentai costs each framework: turns a second and memory, against the framework run alone.

    python -m bench.frameworks [--framework langgraph] [--turns 200] [--json]

runs the conformance suite's agents ``plain`` (one model call) and ``calculator`` (two, and a tool) through the
stack with one worker, and in a plain process of the same environment (:mod:`bench.alone`), in alternation, as many
turns at once as the worker takes by default. The model answers at once and the whole stack shares the machine, so
the ratios show overhead at its worst: with a real model, seconds of its own stand on both sides. The stack's turns
are streamed; alone, nothing is but what the agent's own code has streamed.

Llama Stack has no figures alone: it runs agents in its server, and no Python functions as their tools.
"""

import asyncio
import json
import math
import shutil
import subprocess
import tempfile
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench import through
from bench.alone import AGENTS
from bench.comparing import Direct, alternate, peak_bytes, turns_a_second
from bench.stack import ROOT, say, start_model, start_stack
from k8gentai.agents.adapters import FRAMEWORKS
from k8gentai.stack.conformance.session import OWN_AGENTS
from k8gentai.stack.environments.installed import interpreter_for
from k8gentai.stack.local.children import Children

ROUNDS = 3
NOT_ALONE = {"llama-stack"}
MEGABYTE = 1_000_000

_SAID = {"plain": "17 times 23", "calculator": "391"}
"""What an answer has in it."""
_DEFAULT_CONCURRENCY = """
import sys
from k8gentai.agents.adapters import adapter_for
print(adapter_for(sys.argv[1]).default_concurrency)
"""
_QUIET = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "BEEAI_LOG_LEVEL": "CRITICAL",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",
}
"""What frameworks do beside running agents is off alone, too, as it is in the workers."""


@dataclass(frozen=True)
class Figure:
    """One figure of a framework, alone (None where there is none) and through k8gentai."""

    framework: str
    at_once: int
    name: str
    alone: float | None
    through: float
    ratio: float | None


def concurrency(framework: str, python: Path) -> int:
    """How many turns a worker of the framework takes at once by default."""
    asking = [str(python), "-c", _DEFAULT_CONCURRENCY, framework]
    done = subprocess.run(asking, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def copy_definitions(framework: str, directory: Path) -> Path:
    """The definitions of the agents that are measured, and of no others: a worker loads all that there are."""
    directory.mkdir()
    for agent in AGENTS:
        shutil.copy(_agents_of(framework) / f"{agent}.yaml", directory)
    return directory


def check_answers(agent: str, answers: list[str]) -> None:
    """Look whether turns that were run alone did what they were to do.

    Raises:
        AssertionError: one did not.
    """
    assert all(_SAID[agent] in answer for answer in answers), answers


async def measure(framework: str, turns: int, directory: Path) -> list[Figure]:
    """Measure one framework.

    Args:
        turns: how many of each agent in a round, at least.
        directory: for data and logs.
    """
    python = interpreter_for(framework, say)
    clients = concurrency(framework, python)
    async with AsyncExitStack() as ends:
        children = await ends.enter_async_context(Children(directory / "logs"))
        model_url = await start_model(children)
        definitions = copy_definitions(framework, directory / "definitions")
        stack = await start_stack(children, directory, model_url, definitions, {framework: python})
        worker = await stack.add_worker(python, framework)
        direct = None
        if framework not in NOT_ALONE:
            settings = {**_QUIET, "CREWAI_STORAGE_DIR": str(directory / "crewai")}
            direct = Direct(f"bench.alone.{framework}", model_url, directory / "alone.log", python, settings)
            ends.callback(direct.close)
        figure = partial(_figure, framework, clients)
        each = math.ceil(turns / clients)
        figures = [
            figure(
                f"turns a second, {agent}",
                *await asyncio.to_thread(_rates, agent, stack.stack_url, direct, clients, each),
            )
            for agent in AGENTS
        ]
        memory = [peak_bytes(pid) for pid in (worker, *([direct.pid] if direct else []))]
        return [*figures, figure("peak memory, bytes", *memory)]


def _rates(agent: str, url: str, direct: Direct | None, clients: int, each: int) -> list[float]:
    """Return the turns a second through the stack, and alone where they are run so."""
    sides = [partial(through.turns, url, agent, clients, each)]
    if direct:
        sides.append(partial(direct.turns, agent, clients, each))
    measured, *alone = alternate(sides, ROUNDS)
    for rounds in alone:
        check_answers(agent, [answer for one in rounds for answer in one["turns"]])
    return [turns_a_second(rounds) for rounds in (measured, *alone)]


def show(figures: list[Figure]) -> None:
    table = Table("framework", "at once", "figure", "alone", "k8gentai", "ratio")
    table.title = "Each framework through k8gentai against the framework alone"
    for figure in figures:
        in_bytes = figure.name.endswith("bytes")
        values = [
            "-" if value is None else f"{value / MEGABYTE:.0f} MB" if in_bytes else f"{value:.1f}"
            for value in (figure.alone, figure.through)
        ]
        ratio = "-" if figure.ratio is None else f"{figure.ratio:.2f}"
        table.add_row(figure.framework, str(figure.at_once), figure.name.removesuffix(", bytes"), *values, ratio)
    Console().print(table)


def main(
    framework: Annotated[
        list[str] | None, typer.Option(help="Measure this one; may be given several times. By default all.")
    ] = None,
    turns: Annotated[int, typer.Option(help="Turns of each agent in a round, at least.", min=1)] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure each framework through k8gentai, and alone."""
    for name in framework or ():
        if name not in FRAMEWORKS:
            raise typer.BadParameter(f"'{name}' is not known; known are: {', '.join(FRAMEWORKS)}.")
    figures = []
    with tempfile.TemporaryDirectory() as made:
        for name in framework or FRAMEWORKS:
            directory = Path(made) / name
            directory.mkdir()
            figures += asyncio.run(measure(name, turns, directory))
    if as_json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
    else:
        show(figures)


def _agents_of(framework: str) -> Path:
    return OWN_AGENTS / framework.replace("-", "_")


def _figure(framework: str, at_once: int, name: str, through: float, alone: float | None = None) -> Figure:
    return Figure(framework, at_once, name, alone, through, through / alone if alone else None)


if __name__ == "__main__":
    typer.run(main)
