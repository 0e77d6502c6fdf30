"""Runs shapes by their framework alone, to have the right answers: no worker, no server, the same scripted model.

A framework's part is ``run`` of ``agents/<framework>/alone.py``: an async function of an entrypoint's object and a
prompt that returns the agent's last words, or its structured answer as JSON. This module as a program, with the
framework's name, reads a JSON object of ``[entrypoint, prompt]`` by name, and writes one of answers.
"""

import asyncio
import importlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from functools import reduce

from k8gentai.stack.environments.installed import interpreter_for
from tests.support.processes import ROOT

Run = Callable[[object, str], Awaitable[str]]
_SECONDS = 300
_MARK = "ANSWERS: "
"""Begins the line of the answers, as frameworks print, too."""


def run_alone(framework: str, prompts: Mapping[str, tuple[str, str]], model_url: str) -> dict[str, str]:
    """Run agents in one process of their framework's environment.

    Args:
        framework: whose agents.
        prompts: of each run, by a name for it, the entrypoint and the prompt.
        model_url: the scripted model's.

    Returns:
        The answers by name; of a run that raised, its stack trace.

    Raises:
        AssertionError: the process ended without any.
    """
    environment = {
        **os.environ,
        "OPENAI_BASE_URL": model_url,
        "OPENAI_API_BASE": model_url,
        "OPENAI_API_KEY": "scripted",
        "LANGSMITH_TRACING": "false",
        "PYTHONPATH": str(ROOT),
        # As a stack's: frameworks take seconds to compile.
        "PYTHONDONTWRITEBYTECODE": "",
    }
    done = subprocess.run(
        [str(interpreter_for(framework, print)), "-m", __name__, framework],
        cwd=ROOT,
        env=environment,
        input=json.dumps(prompts),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    answers = [line.removeprefix(_MARK) for line in done.stdout.splitlines() if line.startswith(_MARK)]
    assert answers, f"{framework} alone ended with {done.returncode}: {done.stderr}"
    return dict(json.loads(answers[-1]))


async def _answer(run: Run, entrypoint: str, prompt: str) -> str:
    module, _, path = entrypoint.partition(":")
    try:
        return await run(reduce(getattr, path.split("."), importlib.import_module(module)), prompt)
    except Exception:  # noqa: BLE001 - the test that wants this answer fails with it
        return traceback.format_exc()


async def _answers(framework: str, prompts: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    package = f"tests.conformance.shapes.agents.{framework.replace('-', '_')}"
    run: Run = importlib.import_module(f"{package}.alone").run
    answers = await asyncio.gather(*(_answer(run, *asked) for asked in prompts.values()))
    return dict(zip(prompts, answers, strict=True))


if __name__ == "__main__":
    sys.stdout.write(f"\n{_MARK}{json.dumps(asyncio.run(_answers(sys.argv[1], json.load(sys.stdin))))}\n")
