"""Puts adapters to the checks: ours by the framework's name, a third party's by its module."""

import asyncio
import json
import logging
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from k8gentai.agents.adapters import FRAMEWORKS
from k8gentai.stack.conformance import report
from k8gentai.stack.conformance.capabilities import Check
from k8gentai.stack.conformance.checks import CHECKS
from k8gentai.stack.conformance.kit import read_kit
from k8gentai.stack.conformance.report import Outcome
from k8gentai.stack.conformance.runner import run_checks
from k8gentai.stack.conformance.scripted import ScriptedModel
from k8gentai.stack.conformance.stand import Subject, open_stand
from k8gentai.stack.environments.frameworks import NamedAdapter, python_of
from k8gentai.stack.environments.installed import PRODUCT, SetUpError
from k8gentai.stack.local.children import ChildError, tail
from k8gentai.stack.local.settings import Settings
from k8gentai.stack.terminal.console import perhaps_unread, progress

OWN_AGENTS = PRODUCT.data / "tests" / "conformance" / "agents"
"""The kits of the frameworks that we have adapters for."""
_THEIRS = "conformance"
"""The directory beside a third party's module with what its framework brings."""


@dataclass(frozen=True)
class Given:
    """The options of the command line."""

    adapters: Sequence[str]
    """The adapters to check; empty for all of ours."""
    python: Path
    agents: Path | None
    only: Sequence[str]
    declared: bool


def conformance(settings: Settings, given: Given, err: Console) -> list[Outcome]:
    """Put adapters to the checks, one after the other.

    Args:
        settings: the settings, which say where logs go.
        given: the options of the command line.
        err: shows progress, and what fails as it does.

    Raises:
        SetUpError: an adapter cannot be had, brings too little, or its stack cannot be started.
    """
    checks = [check for check in CHECKS if not given.only or any(part in _words(check) for part in given.only)]
    if not checks:
        raise SetUpError(f"No check has {' or '.join(map(repr, given.only))} in its name.")
    subjects = [_subject(adapter, given, err) for adapter in given.adapters or FRAMEWORKS]
    if given.declared:
        return [outcome for subject in subjects for outcome in report.declared(subject.kit, checks)]
    logs = settings.state / "logs"
    return [outcome for subject in subjects for outcome in _run(subject, checks, logs, err)]


def _words(check: Check) -> str:
    return f"{check.capability}: {check.name}"


def _subject(adapter: str, given: Given, err: Console) -> Subject:
    """Return what a name on the command line stands for."""
    if adapter in FRAMEWORKS:
        kit = read_kit(given.agents or OWN_AGENTS / adapter.replace("-", "_"))
        return Subject(kit, given.python if given.declared else python_of(adapter, err.print))
    # Python itself tells its own path so, by which a worker knows that it runs in the right one.
    python = Path(os.path.abspath(given.python))  # noqa: PTH100 - links are not followed
    framework, file = _describe(adapter, python)
    if framework in FRAMEWORKS:
        raise SetUpError(f"{adapter}: there is an adapter of '{framework}' already; give yours another name.")
    kit = read_kit(given.agents or file.parent / _THEIRS)
    if kit.framework != framework:
        raise SetUpError(f"{adapter} is the adapter of '{framework}', and its agents are of '{kit.framework}'.")
    return Subject(kit, python, NamedAdapter(framework, adapter, python))


def _describe(adapter: str, python: Path) -> tuple[str, Path]:
    """Return the framework of a third party's adapter, and the file that defines it."""
    command = [str(python), "-m", "k8gentai.agents.registry.named_adapter", adapter]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - as the operator says
    except OSError as error:
        raise SetUpError(f"{python} cannot be run: {error.strerror}") from error
    if done.returncode != 0:
        raise SetUpError(next(iter(done.stderr.strip().splitlines()[-1:]), f"{adapter} cannot be imported"))
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return said["framework"], Path(said["file"])


def _run(subject: Subject, checks: Sequence[Check], logs: Path, err: Console) -> list[Outcome]:
    # A model that hangs up, as some checks have it do, is an error to its server, and none to the operator.
    logging.getLogger("uvicorn.error").disabled = True
    model = ScriptedModel()
    model.start()
    try:
        return asyncio.run(_put(subject, checks, model, logs / f"conformance-{subject.kit.framework}", err))
    except ChildError as error:
        raise SetUpError(f"{error}\n{tail(error.log)}") from error
    finally:
        model.stop()


async def _put(
    subject: Subject, checks: Sequence[Check], model: ScriptedModel, logs: Path, err: Console
) -> list[Outcome]:
    framework = subject.kit.framework
    done = 0
    with progress(err, f"{framework}: starting a stack") as status:

        def told(outcome: Outcome) -> None:
            nonlocal done
            done += 1
            status.update(f"{framework}: {done} of {len(checks)} checks")
            if outcome.state == "failed":
                with perhaps_unread():
                    report.show_failure(outcome, err)

        async with open_stand(subject, model, logs, err.print) as stand:
            return await run_checks(checks, subject.kit, model, stand, told)
