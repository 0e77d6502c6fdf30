"""Checks agent definitions and writes the registry.

The definitions are read here; the code they name is imported in its framework's own environment, by a process
that may crash, hang or print without harm to the other agents.
"""

import hashlib
import json
import os
import re
import selectors
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from k8gentai.agents.adapters import FRAMEWORKS
from k8gentai.agents.code.fingerprint import unchanged
from k8gentai.agents.code.variables import digests_of
from k8gentai.agents.registry.changes import Changes, changes
from k8gentai.agents.registry.definitions import AgentDocument, agents_among, read_documents
from k8gentai.agents.registry.file_store import FileStore
from k8gentai.agents.registry.holding import hold_back
from k8gentai.agents.registry.pools import pool_faults
from k8gentai.agents.registry.references import reference_faults
from k8gentai.agents.registry.registry import Checked, RegisteredAgent, Registry, write_registry
from k8gentai.agents.registry.store import RegistryStore
from k8gentai.agents.resources.agent import AgentDefinition
from k8gentai.agents.resources.faults import Fault
from k8gentai.agents.resources.reader import empty_files

_IMPORT_ENVIRONMENT = {
    # An OpenAI client made while a module is imported wants both; nothing listens there.
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "OPENAI_API_KEY": "not-a-key",
}


_ANOTHER = re.compile(r"\n(?=spec\.)")
"""Between two errors of one agent."""
_START_SECONDS = 300
"""How long an environment may take to import its framework, before the first agent."""


@dataclass(frozen=True)
class _Verdict:
    digest: str
    error: str | None
    unused: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    """What its code is in or read, each with its fingerprint."""
    version: str = ""
    """The framework's."""
    tools: Sequence[str] = ()
    """The names of those that were found."""
    refuses: Sequence[str] = ()
    """What the agent takes of no request."""
    warnings: Sequence[str] = ()
    """What could not be checked."""
    lacks: Sequence[str] = ()
    """The variables of the environment for want of which there is an error."""
    lacks_module: bool = False
    """Whether there is an error for want of a module."""


@dataclass
class _Process:
    """What one checking process came to."""

    verdicts: dict[str, _Verdict] = field(default_factory=dict)
    depended: dict[str, Any] | None = None
    """What its verdicts depend on, as :class:`Checked` has it; None where it did not come to its end."""
    current: str | None = None
    """The agent that it is at."""


@dataclass(frozen=True)
class Terms:
    """How agents are checked."""

    interpreters: Mapping[str, Path]
    """The Python of the environment of each framework in use; one need not exist."""
    adapters: Mapping[str, str] = field(default_factory=dict)
    """Frameworks with adapters of others: what names each (:mod:`k8gentai.agents.registry.named_adapter`)."""
    in_use: Sequence[str] = ()
    """The frameworks whose agents are run here, be there any or not."""
    seconds: float = 60
    """How long one agent's check may take."""
    environment: Mapping[str, str] | None = None
    """The environment of the workers that run, in which agents' code is loaded; None for that of this process."""
    keep: bool = False
    """Whether an agent that was ready stays as it is where its definition cannot be read, or its code cannot be
    loaded, for a variable of the environment that is not set here, or where several others define it now."""


def update(
    agents_dir: Path,
    registry: RegistryStore | Path,
    terms: Terms,
    approve: Callable[[Changes], None] = lambda _: None,
) -> list[RegisteredAgent]:
    """Check all agents under a directory and replace the registry.

    Agents of a framework are not checked again where neither they nor what their last check depended on changed.

    Args:
        agents_dir: where the definitions are.
        registry: where the map to write is kept.
        terms: how to check them.
        approve: called with what would change, before it is written; what it raises leaves the registry as it is.

    Returns:
        What was written, in the order of the ids.

    Raises:
        NotADirectoryError: there is no such directory of definitions.
        OSError: the map cannot be written, was replaced by another check meanwhile, or another check does not
            end; the old map stands.
    """
    store = FileStore(registry) if isinstance(registry, Path) else registry
    with store.claim():
        before = Registry(store)
        over = before.version()
        found = read_documents(agents_dir, frameworks=(*FRAMEWORKS, *terms.adapters))
        definitions, others = agents_among(found)
        documents, refused = _first_come(definitions, before)
        verdicts, checked = _check(documents, before, terms)
        agents, kept = _register(documents, verdicts, before, terms)
        agents = [_with_warnings(agent, refused.get(agent.id, [])) for agent in agents]
        empty, faulty = empty_files(agents_dir, found), [str(f) for document in others for f in document.faults]
        read = before.was_read()
        approve(changes(before.list(), agents, kept, refused, empty=empty, faulty=faulty, was_read=read))
        write_registry(store, agents, checked, agents_dir, over)
    return agents


def _by_id(documents: Iterable[AgentDocument]) -> dict[str, list[AgentDocument]]:
    by_id: dict[str, list[AgentDocument]] = defaultdict(list)
    for document in documents:
        by_id[document.id].append(document)
    return by_id


def _first_come(
    documents: list[AgentDocument], before: Registry
) -> tuple[list[AgentDocument], dict[str, list[str]]]:
    """Return the documents without those that come second to an id, a ready agent having it; and those, each as a
    message, by the id."""
    first: dict[str, AgentDocument] = {}
    for document in documents:
        known = before.get(document.id)
        if known and known.state == "ready" and known.file == document.file:
            first.setdefault(document.id, document)
    refused: dict[str, list[str]] = defaultdict(list)
    for document in documents:
        own = first.get(document.id, document)
        if own is not document:
            place = f"{document.file}:{document.line}"
            refused[document.id].append(
                f"{place}: the id {own.id!r} is that of {own.file}:{own.line}: take another"
            )
    return [document for document in documents if first.get(document.id, document) is document], refused


def _with_warnings(agent: RegisteredAgent, warnings: Sequence[str]) -> RegisteredAgent:
    return agent.model_copy(update={"warnings": [*agent.warnings, *warnings]})


def _register(
    documents: list[AgentDocument], verdicts: Mapping[str, _Verdict], before: Registry, terms: Terms
) -> tuple[list[RegisteredAgent], dict[str, str]]:
    """Return the agents in the order of their ids, and of those that are kept as they were, why."""
    references, pools = reference_faults(documents), pool_faults(documents)
    registered: list[RegisteredAgent] = []
    kept: dict[str, str] = {}
    for agent_id, same in sorted(_by_id(documents).items()):
        known, verdict = before.get(agent_id), verdicts.get(agent_id)
        agent = _registered(same, verdict, [*references.get(agent_id, []), *pools.get(agent_id, [])])
        stays = len(same) > 1 or _lacks_variables(same[0], verdict)
        if terms.keep and known and known.state == "ready" and stays:
            kept[agent_id] = agent.error or ""
            registered.append(_as_it_was(known, kept[agent_id]))
            continue
        # .venvs/NAME/bin/python
        interpreter = terms.interpreters.get(agent.framework)
        registered.append(
            agent.model_copy(update={"environment": interpreter.parent.parent.name if interpreter else ""})
        )
    if terms.keep and terms.environment is not None:
        held = hold_back(registered, kept, before)
        registered = [
            _as_it_was(known, held[agent.id]) if agent.id in held and (known := before.get(agent.id)) else agent
            for agent in registered
        ]
        kept |= held
    return registered, {agent_id: "; ".join(why.splitlines()) for agent_id, why in sorted(kept.items())}


def _as_it_was(agent: RegisteredAgent, why: str) -> RegisteredAgent:
    """Return an agent as it stands. The next check loads it: whether it is ready as it is now is not known."""
    return agent.model_copy(update={"warnings": [f"was not checked again: {why}"]})


def _lacks_variables(document: AgentDocument, verdict: _Verdict | None) -> bool:
    """Return whether variables of the environment are all that an agent is not ready for."""
    missing = bool(document.faults) or bool(verdict and verdict.lacks)
    return missing and all(fault.variable for fault in document.faults)


def _check(
    documents: list[AgentDocument], before: Registry, terms: Terms
) -> tuple[dict[str, _Verdict], dict[str, Checked]]:
    """Check the agents whose definitions are whole, several frameworks at once."""
    whole: dict[str, list[AgentDefinition]] = defaultdict(list)
    for same in _by_id(documents).values():
        if len(same) == 1 and (definition := same[0].definition):
            whole[definition.spec.framework].append(definition)
    verdicts: dict[str, _Verdict] = {}
    checked: dict[str, Checked] = {}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        work = {
            framework: threads.submit(_check_framework, framework, definitions, before, terms)
            for framework, definitions in whole.items()
        }
    for framework, done in work.items():
        found, depends_on = done.result()
        verdicts |= found
        if depends_on is not None:
            checked[framework] = depends_on
    return verdicts, checked


def _registered(documents: list[AgentDocument], verdict: _Verdict | None, faults: list[Fault]) -> RegisteredAgent:
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
        errors += [_placed(error, first) for error in _ANOTHER.split(verdict.error)]
    return RegisteredAgent(
        id=first.id,
        framework=first.framework,
        state="broken" if errors else "ready",
        error="\n".join(errors) or None,
        file=first.file,
        digest=verdict.digest if verdict and verdict.digest else _digest_of(errors),
        files=dict(verdict.files) if verdict else {},
        version=verdict.version if verdict else "",
        tools=list(verdict.tools) if verdict else [],
        refuses=list(verdict.refuses) if verdict else [],
        warnings=[_placed(warning, first) for warning in verdict.warnings] if verdict else [],
        not_used=first.not_used(),
        definition=first.definition if len(documents) == 1 else None,
    )


def _unused(document: AgentDocument, verdict: _Verdict) -> RegisteredAgent:
    return RegisteredAgent(
        id=document.id,
        framework=document.framework,
        state="unused",
        error=verdict.error,
        file=document.file,
        digest="",
        not_used=document.not_used(),
        definition=document.definition,
    )


def _placed(error: str, document: AgentDocument) -> str:
    """Return a message that begins with a file, or with the definition's and the line of the field it
    begins with.
    """
    start = error.partition(":")[0]
    if Path(start).is_file():
        return error
    path = [int(name) if name.isdecimal() else name for name in start.split(".")]
    line = document.line_of(*path) if path[0] == "spec" else document.line
    return f"{document.file}:{line}: {error}"


def _digest_of(errors: list[str]) -> str:
    return hashlib.sha256("\n".join(errors).encode()).hexdigest()


def _check_framework(
    framework: str, definitions: list[AgentDefinition], before: Registry, terms: Terms
) -> tuple[dict[str, _Verdict], Checked | None]:
    """Check the agents of one framework. Returns what came of it, and what that depends on."""
    interpreter, adapter = terms.interpreters.get(framework), terms.adapters.get(framework)
    if interpreter is None:
        names = ",".join([*terms.in_use, framework])
        unused = (
            f"{framework} is not in use here: 'up --frameworks {names}' runs it as well, "
            "'--frameworks all' every framework"
        )
        return {definition.id: _Verdict("", unused, unused=True) for definition in definitions}, None
    if not interpreter.exists():
        return _all(definitions, f"the environment of {framework} is not installed ({interpreter})"), None
    last = before.checked().get(framework)
    same = last is not None and (last.interpreter, last.adapter) == (str(interpreter), adapter)
    if (
        last
        and same
        and unchanged(last.files)
        and _same_environment(last, terms)
        and (known := _known(definitions, before))
    ):
        return known, last
    verdicts, depended = _check_all(interpreter, definitions, adapter, terms)
    verdicts = {
        name: _with_own_variables(_with_lost_path(verdict, before.get(name), last, terms), terms)
        for name, verdict in verdicts.items()
    }
    return verdicts, Checked(interpreter=str(interpreter), adapter=adapter, **depended) if depended else None


def _environment(terms: Terms) -> dict[str, str]:
    """Return the environment that agents' code is loaded in."""
    return {**(os.environ if terms.environment is None else terms.environment), **_IMPORT_ENVIRONMENT}


def _with_lost_path(
    verdict: _Verdict, known: RegisteredAgent | None, last: Checked | None, terms: Terms
) -> _Verdict:
    """Have an error say so where a module of an agent that was ready is missing, and the path to modules is not
    set, as it was for the last check."""
    had = bool(known and known.state == "ready" and last and last.values and last.values.get("PYTHONPATH"))
    if not (verdict.lacks_module and had) or _environment(terms).get("PYTHONPATH"):
        return verdict
    # Without an 'up', setting it is all there is to do; where this shell has it, the next hint says the same.
    of_up = not terms.keep or (terms.environment is not None and not os.environ.get("PYTHONPATH"))
    mend = ": start 'up' again with it" if of_up else ""
    hint = f"PYTHONPATH was set when it was last checked, and is not now{mend}"
    return replace(verdict, error=f"{verdict.error}. {hint}", lacks=[*verdict.lacks, "PYTHONPATH"])


def _with_own_variables(verdict: _Verdict, terms: Terms) -> _Verdict:
    """Have an error say so where what is missing to the workers is set in this process's environment."""
    theirs = _environment(terms)
    lacks = dict.fromkeys([*verdict.lacks, *(["PYTHONPATH"] if verdict.lacks_module else [])])
    here = [name for name in lacks if os.environ.get(name) and os.environ[name] != theirs.get(name)]
    if not here:
        return verdict
    names = ", ".join(here)
    hint = f"The workers of the running 'up' do not have {names} of this shell: start 'up' again with it"
    return replace(verdict, error=f"{verdict.error}. {hint}", lacks=[*{*verdict.lacks, *here}])


def _same_environment(last: Checked, terms: Terms) -> bool:
    """Return whether the environment is the same, as far as a check looked; not of a check by an earlier version,
    which did not note that, or the files of each agent."""
    if last.variables is None or last.values is None or last.directory != str(Path.cwd()):
        return False
    now = _environment(terms)
    same_set = all((name in now) == was_set for name, was_set in last.variables.items())
    return same_set and digests_of(last.values, now, last.salt) == last.values


def _known(definitions: list[AgentDefinition], before: Registry) -> dict[str, _Verdict] | None:
    """Return the last check's verdicts of these agents; None where one has another definition now, or was not
    ready or checked in part: what was wrong may lie outside of what is looked at.
    """
    known = {}
    for definition in definitions:
        agent = before.get(definition.id)
        if agent is None or agent.state != "ready" or agent.warnings or agent.definition != definition:
            return None
        known[definition.id] = _Verdict(
            agent.digest,
            None,
            files=agent.files,
            version=agent.version,
            tools=agent.tools,
            refuses=agent.refuses,
        )
    return known


def _check_all(
    interpreter: Path, definitions: list[AgentDefinition], adapter: str | None, terms: Terms
) -> tuple[dict[str, _Verdict], dict[str, Any] | None]:
    """Check agents in as many processes as it takes. Returns what came of each, and what that depends on where one
    process sufficed."""
    verdicts: dict[str, _Verdict] = {}
    left = definitions
    while left:
        process, reason = _run(interpreter, left, adapter, terms)
        verdicts |= process.verdicts
        if reason is None:
            return verdicts, process.depended if left is definitions else None
        if process.current is None:
            # It did not come to the first agent: the fault is the environment's.
            return verdicts | _all([d for d in left if d.id not in verdicts], reason), None
        verdicts[process.current] = _Verdict("", reason)
        left = [definition for definition in left if definition.id not in verdicts]
    return verdicts, None


def _all(definitions: Iterable[AgentDefinition], reason: str) -> dict[str, _Verdict]:
    return {definition.id: _Verdict("", reason) for definition in definitions}


def _run(
    interpreter: Path, definitions: list[AgentDefinition], adapter: str | None, terms: Terms
) -> tuple[_Process, str | None]:
    """Run one checking process to its end.

    Returns:
        What it came to; and where it did not finish, why.
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
                env=_environment(terms),
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
        found.verdicts[agent_id] = _Verdict(**result)
    elif "files" in result:
        found.depended = result


def _last_words(complaints: IO[bytes], code: int) -> str:
    """Return why a checking process ended early: what it wrote last, and how it ended."""
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").strip().splitlines()
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"the check ended with {how}" + (f": {lines[-1]}" if lines else "")
