"""Runs :mod:`k8gentai.agents.registry.probe` in the environment of a framework, and reads its verdicts.

The probe may crash, hang or print without harm to agents other than the one that it is at.
"""

import json
import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from k8gentai.agents.registry.check_terms import Terms
from k8gentai.agents.resources.agent import AgentDefinition

_START_SECONDS = 300
"""The seconds that an environment may take to import its framework, before the first agent."""


@dataclass(frozen=True)
class Verdict:
    """The result of the check of one agent."""

    digest: str
    """The digest of its definition and its code; empty where the check did not come to it."""
    error: str | None
    """The reason why the agent cannot be run; None where it can."""
    unused: bool = False
    """Whether the agent's framework is not in use here."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The files that its code is in or reads, each with its fingerprint."""
    version: str = ""
    """The framework's version."""
    tools: Sequence[str] = ()
    """The names of its tools that were found."""
    refuses: Sequence[str] = ()
    """The parts of a request that the agent does not take."""
    warnings: Sequence[str] = ()
    """Messages about parts that could not be checked."""
    lacks: Sequence[str] = ()
    """The variables of the environment for want of which there is an error."""
    lacks_module: bool = False
    """Whether there is an error for want of a module."""


@dataclass
class _Process:
    """The state of one checking process, as far as its results have been read."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    depended: dict[str, Any] | None = None
    """The fields of :class:`k8gentai.agents.registry.registry.Checked` that its verdicts depend on; None where it
    did not come to its end."""
    current: str | None = None
    """The agent that it is at."""


def probe_all(
    interpreter: Path, definitions: list[AgentDefinition], adapter: str | None, terms: Terms
) -> tuple[dict[str, Verdict], dict[str, Any] | None]:
    """Check agents of one framework in as many processes as it takes: one that ends early is followed by another.

    Returns:
        The verdict on each agent, by its id; and what the verdicts depend on, where one process sufficed.
    """
    verdicts: dict[str, Verdict] = {}
    left = definitions
    while left:
        process, reason = _run(interpreter, left, adapter, terms)
        verdicts |= process.verdicts
        if reason is None:
            return verdicts, process.depended if left is definitions else None
        if process.current is None:
            # It did not come to the first agent: the fault is the environment's.
            return verdicts | all_with([d for d in left if d.id not in verdicts], reason), None
        verdicts[process.current] = Verdict("", reason)
        left = [definition for definition in left if definition.id not in verdicts]
    return verdicts, None


def all_with(definitions: Iterable[AgentDefinition], reason: str) -> dict[str, Verdict]:
    """Return the verdict that none of some agents can be run, for one reason."""
    return {definition.id: Verdict("", reason) for definition in definitions}


def _run(
    interpreter: Path, definitions: list[AgentDefinition], adapter: str | None, terms: Terms
) -> tuple[_Process, str | None]:
    """Run one checking process to its end.

    Returns:
        Its state at the end; and where it did not finish, why.
    """
    found = _Process()
    reading, writing = os.pipe()
    with (
        os.fdopen(reading, "rb") as results,
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as complaints,
    ):
        given.write(json.dumps([d.model_dump(mode="json", by_alias=True) for d in definitions]).encode())
        given.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 - the interpreter of one of our own environments
                [interpreter, "-m", "k8gentai.agents.registry.probe", str(writing), *filter(None, [adapter])],
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                pass_fds=(writing,),
                env=terms.code_environment(),
            )
        except OSError as error:
            return found, f"{interpreter} cannot be run: {error.strerror}"
        finally:
            os.close(writing)
        with process:
            try:
                in_time = _collect(results, terms.seconds, found)
            finally:
                process.kill()
        if in_time and len(found.verdicts) == len(definitions):
            return found, None
        if not in_time:
            limit = terms.seconds if found.current else _START_SECONDS
            return found, f"not loaded within {limit:g} s"
        return found, _last_words(complaints, process.returncode)


def _collect(results: IO[bytes], seconds: float, found: _Process) -> bool:
    """Read results until the process closes them. Returns False where one agent took too long."""
    buffer = b""
    deadline = time.monotonic() + _START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(results, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            read = os.read(results.fileno(), 65536)
            if not read:
                return True
            *lines, buffer = (buffer + read).split(b"\n")
            for line in lines:
                _take(json.loads(line), found)
                deadline = time.monotonic() + seconds
    return False


def _take(result: dict[str, Any], found: _Process) -> None:
    found.current = result.get("checking")
    if "id" in result:
        agent_id = result.pop("id")
        found.verdicts[agent_id] = Verdict(**result)
    elif "files" in result:
        found.depended = result


def _last_words(complaints: IO[bytes], code: int) -> str:
    """Return why a checking process ended early: what it wrote last, and how it ended."""
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").strip().splitlines()
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"the check ended with {how}" + (f": {lines[-1]}" if lines else "")
