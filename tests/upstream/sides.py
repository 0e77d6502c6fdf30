"""Runs Llama Stack's own tests against a live server: with its builtin provider, and with ours."""

import os
import subprocess
from pathlib import Path

from k8gentai.providers.lexical import DIMENSION
from tests.support.stack import Stack
from tests.upstream import stacks
from tests.upstream.model import RecordedModel
from tests.upstream.outcomes import Outcomes, read_junit, unnamed
from tests.upstream.recordings import Recordings
from tests.upstream.source import python, recordings, source

SUITES = ("responses", "agents", "conversations")
MODELS = ("gpt-4o", stacks.GUARD)
"""The first is that of ``--setup=gpt``, which most recordings were made with."""
EMBEDDING = ["--embedding-model=embeddings/lexical", f"--embedding-dimension={DIMENSION}"]
"""The stack's own, which needs no recording."""
_SECONDS = 1200
"""For all tests of one side."""
_TRIES = 4
"""Some of the tests have limits of time, of 0.2 seconds even, which a busy machine does not keep."""


def run_builtin(directory: Path) -> Outcomes:
    """Run the tests on the builtin provider.

    Args:
        directory: an empty one, for data and logs.
    """
    return _run(directory, stacks.builtin(directory), workers=False)


def run_ours(directory: Path) -> Outcomes:
    """Run the tests on our provider, with a worker of plain models.

    Args:
        directory: an empty one, for data and logs.
    """
    return _run(directory, stacks.ours(directory), workers=True)


def _run(directory: Path, run_yaml: Path, workers: bool) -> Outcomes:
    places = (recordings(suite) for suite in ("responses", "agents", "common"))
    model = RecordedModel(Recordings(*places), MODELS)
    stack = Stack(directory, model.base_url)
    stack.run_yaml = run_yaml
    no_agents = directory / "none"
    no_agents.mkdir()
    model.start()
    try:
        stack.prepare(no_agents)
        # The host spends seconds on each traceback it logs: k8gentai.providers.host.server_log.
        server = stack.add_server(LLAMA_STACK_LOGGING="all=critical")
        if workers:
            stack.add_worker("llama-stack")
        return _pytest(directory, server.url, model)
    finally:
        stack.stop()
        model.stop()


def _pytest(directory: Path, server: str, model: RecordedModel) -> Outcomes:
    results = directory / "results.xml"
    options = ["-p", "plugin", "-o", f"cache_dir={directory / 'cache'}", f"--junitxml={results}"]
    setup = [
        "--setup=gpt",
        *EMBEDDING,
        f"--stack-config={server}",
        *(f"tests/integration/{suite}" for suite in SUITES),
    ]
    environment = {"PYTHONPATH": str(Path(__file__).parent), "RECORDED_MODEL_TEST": model.test_url}
    # What it is not told of this machine it does not try.
    inherited = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_URL"))}
    outcomes: Outcomes = {}
    with (directory / "tests.log").open("wb") as log:
        for which in ([], *[["--last-failed"]] * (_TRIES - 1)):
            subprocess.run(
                [str(python()), "-m", "pytest", *options, *which, *setup],
                cwd=source(),
                env={**inherited, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=_SECONDS,
                check=False,
            )
            outcomes.update(read_junit(results))
            if not unnamed(outcomes):
                break
    return outcomes
