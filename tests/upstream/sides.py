"""Runs Llama Stack's own tests against a live server: with its builtin provider, and with ours."""

import os
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from k8gentai.providers.lexical import DIMENSION
from k8gentai.stack.hosts import Host
from tests.support.stack import Stack
from tests.upstream import stacks
from tests.upstream.model import RecordedModel
from tests.upstream.recordings import Recordings
from tests.upstream.source import python, source

SUITES = ("responses", "agents", "conversations")
MODELS = ("gpt-4o", stacks.GUARD)
"""The first is that of ``--setup=gpt``, which most recordings were made with."""
EMBEDDING = ["--embedding-model=embeddings/lexical", f"--embedding-dimension={DIMENSION}"]
"""The stack's own, which needs no recording."""
SECONDS = 1200
"""For all tests of one side."""

Outcomes = dict[str, str]
"""Test, as ``responses/test_basic_responses.py::test_it[parameters]`` -> ``passed``, ``failed`` or ``skipped``."""


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


def _run(directory: Path, host: Host, workers: bool) -> Outcomes:
    suites = source() / "tests" / "integration"
    places = [suites / place / "recordings" for place in ("responses", "agents", "common")]
    model = RecordedModel(Recordings(*places), MODELS)
    stack = Stack(directory, model.base_url, host)
    no_agents = directory / "none"
    no_agents.mkdir()
    model.start()
    try:
        stack.prepare(no_agents)
        # The host spends seconds on each traceback it logs: k8gentai.providers.host.log_plain_tracebacks.
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
        # What failed is tried once more: some of the tests have limits of time, of 0.2 seconds even.
        for which in ([], ["--last-failed"]):
            subprocess.run(
                [str(python()), "-m", "pytest", *options, *which, *setup],
                cwd=source(),
                env={**inherited, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=SECONDS,
                check=False,
            )
            outcomes.update(_outcomes(results))
    return outcomes


def _outcomes(results: Path) -> Outcomes:
    """What a JUnit file says. An error of a fixture counts as a failure, before and after its test."""
    outcomes: Outcomes = {}
    for case in ElementTree.parse(results).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        name = _name(case.attrib["classname"], case.attrib["name"])
        outcomes[name] = "failed" if "failed" in (outcome, outcomes.get(name)) else outcome
    return outcomes


def _name(where: str, test: str) -> str:
    """``tests.integration.agents.test_it.TestIt`` -> ``agents/test_it.py::TestIt::test``."""
    _, _, suite, module, *classes = where.split(".")
    return "::".join([f"{suite}/{module}.py", *classes, test])
