"""Checks agent definitions and writes the registry.

The definitions are read here; the code they name is imported in its framework's own environment, by a process
that may crash, hang or print without harm to the other agents.
"""

import hashlib
import json
import os
import selectors
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from k8gentai.agents.adapters import FRAMEWORKS
from k8gentai.agents.definition import AgentDefinition
from k8gentai.agents.reading import Document, Fault, read_documents
from k8gentai.agents.references import reference_faults
from k8gentai.agents.registry import RegisteredAgent, write_registry

_IMPORT_ENVIRONMENT = {
    # An OpenAI client made while a module is imported wants both; nothing listens there.
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "OPENAI_API_KEY": "not-a-key",
}


_START_SECONDS = 300
"""How long an environment may take to import its framework, before the first agent."""


@dataclass(frozen=True)
class _Verdict:
    digest: str
    error: str | None
    unused: bool = False
    version: str = ""
    """The framework's."""
    tools: Sequence[str] = ()
    """The names of those that were found."""


def update(
    agents_dir: Path,
    registry_path: Path,
    interpreters: Mapping[str, Path],
    *,
    adapters: Mapping[str, str] | None = None,
    seconds: float = 60,
) -> list[RegisteredAgent]:
    """Check all agents under a directory and replace the registry.

    Args:
        agents_dir: where the definitions are.
        registry_path: the map to write.
        interpreters: the Python of the environment of each framework in use; one need not exist.
        adapters: frameworks whose adapters are not among ours: what names each
            (:mod:`k8gentai.agents.named_adapter`).
        seconds: how long one agent's check may take.

    Returns:
        What was written, in the order of the ids.

    Raises:
        NotADirectoryError: there is no such directory of definitions.
        OSError: the map cannot be written; the old one stands.
    """
    adapters = adapters or {}
    documents = read_documents(agents_dir, frameworks=(*FRAMEWORKS, *adapters))
    agents = check(documents, interpreters, adapters, seconds=seconds)
    write_registry(registry_path, agents)
    return agents


def check(
    documents: Iterable[Document],
    interpreters: Mapping[str, Path],
    adapters: Mapping[str, str],
    *,
    seconds: float = 60,
) -> list[RegisteredAgent]:
    """Say of each agent whether it is ready, in the order of the ids."""
    documents = list(documents)
    by_id: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        by_id[document.id].append(document)
    whole: dict[str, list[AgentDefinition]] = defaultdict(list)
    for same in by_id.values():
        if len(same) == 1 and (definition := same[0].definition):
            whole[definition.spec.framework].append(definition)
    verdicts: dict[str, _Verdict] = {}
    for framework, definitions in whole.items():
        adapter = adapters.get(framework)
        verdicts |= _check_framework(framework, definitions, interpreters.get(framework), adapter, seconds)
    references = reference_faults(documents)
    registered = []
    for agent_id in sorted(by_id):
        agent = _registered(by_id[agent_id], verdicts.get(agent_id), references.get(agent_id, []))
        # .venvs/NAME/bin/python
        interpreter = interpreters.get(agent.framework)
        registered.append(
            agent.model_copy(update={"environment": interpreter.parent.parent.name if interpreter else ""})
        )
    return registered


def _registered(documents: list[Document], verdict: _Verdict | None, faults: list[Fault]) -> RegisteredAgent:
    first = documents[0]
    errors = [str(fault) for document in documents for fault in (*document.faults, *faults)]
    if len(documents) > 1:
        # Neither is taken: which of them a request means is nothing to guess.
        for document in documents:
            others = ", ".join(f"{d.file}:{d.line}" for d in documents if d is not document)
            errors.append(f"{document.file}:{document.line}: the id {first.id!r} is also used by {others}")
    elif verdict and verdict.unused:
        return _unused(first, verdict)
    elif verdict and verdict.error:
        errors.append(_placed(verdict.error, first))
    return RegisteredAgent(
        id=first.id,
        framework=first.framework,
        state="broken" if errors else "ready",
        error="\n".join(errors) or None,
        file=first.file,
        digest=verdict.digest if verdict and verdict.digest else _digest_of(errors),
        version=verdict.version if verdict else "",
        tools=list(verdict.tools) if verdict else [],
        definition=first.definition if len(documents) == 1 else None,
    )


def _unused(document: Document, verdict: _Verdict) -> RegisteredAgent:
    return RegisteredAgent(
        id=document.id,
        framework=document.framework,
        state="unused",
        error=verdict.error,
        file=document.file,
        digest="",
        definition=document.definition,
    )


def _placed(error: str, document: Document) -> str:
    """A message that begins with a file, or with the definition's and the line of the field it begins with."""
    start = error.partition(":")[0]
    if Path(start).is_file():
        return error
    path = [int(name) if name.isdecimal() else name for name in start.split(".")]
    line = document.line_of(*path) if path[0] == "spec" else document.line
    return f"{document.file}:{line}: {error}"


def _digest_of(errors: list[str]) -> str:
    return hashlib.sha256("\n".join(errors).encode()).hexdigest()


def _check_framework(
    framework: str,
    definitions: list[AgentDefinition],
    interpreter: Path | None,
    adapter: str | None,
    seconds: float,
) -> dict[str, _Verdict]:
    """Check the agents of one framework, in as many processes as it takes."""
    if interpreter is None:
        unused = f"{framework} is not in use here: './scripts/up --frameworks all' brings every framework"
        return {definition.id: _Verdict("", unused, unused=True) for definition in definitions}
    if not interpreter.exists():
        return _all(definitions, f"the environment of {framework} is not installed ({interpreter})")
    verdicts: dict[str, _Verdict] = {}
    left = definitions
    while left:
        found, current, reason = _run(interpreter, left, adapter, seconds)
        verdicts |= found
        if reason is not None:
            if current is None:
                # It did not come to the first agent: the fault is the environment's.
                return verdicts | _all([d for d in left if d.id not in verdicts], reason)
            verdicts[current] = _Verdict("", reason)
        left = [definition for definition in left if definition.id not in verdicts]
    return verdicts


def _all(definitions: Iterable[AgentDefinition], reason: str) -> dict[str, _Verdict]:
    return {definition.id: _Verdict("", reason) for definition in definitions}


def _run(
    interpreter: Path, definitions: list[AgentDefinition], adapter: str | None, seconds: float
) -> tuple[dict[str, _Verdict], str | None, str | None]:
    """Run one checking process to its end.

    Returns:
        Its verdicts; where it did not finish, the agent it was at, if it had come to one; and why.
    """
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
                [interpreter, "-m", "k8gentai.agents.check_agents", str(writing), *filter(None, [adapter])],
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                pass_fds=(writing,),
                env={**os.environ, **_IMPORT_ENVIRONMENT},
            )
        except OSError as error:
            return {}, None, f"{interpreter} cannot be run: {error.strerror}"
        finally:
            os.close(writing)
        with process:
            try:
                verdicts, current, in_time = _collect(results, seconds)
            finally:
                process.kill()
        if in_time and len(verdicts) == len(definitions):
            return verdicts, None, None
        if not in_time:
            limit = seconds if current else _START_SECONDS
            return verdicts, current, f"not loaded within {limit:g} s"
        return verdicts, current, _last_words(complaints, process.returncode)


def _collect(results: IO[bytes], seconds: float) -> tuple[dict[str, _Verdict], str | None, bool]:
    """Read results until the process closes them, or until one agent took too long."""
    verdicts: dict[str, _Verdict] = {}
    current: str | None = None
    buffer = b""
    deadline = time.monotonic() + _START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(results, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            read = os.read(results.fileno(), 65536)
            if not read:
                return verdicts, current, True
            *lines, buffer = (buffer + read).split(b"\n")
            for line in lines:
                result: dict[str, Any] = json.loads(line)
                current = result.get("checking")
                if current is None:
                    agent_id = result.pop("id")
                    verdicts[agent_id] = _Verdict(**result)
                deadline = time.monotonic() + seconds
    return verdicts, current, False


def _last_words(complaints: IO[bytes], code: int) -> str:
    """Why a checking process ended early: what it wrote last, and how it ended."""
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").strip().splitlines()
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"the check ended with {how}" + (f": {lines[-1]}" if lines else "")
