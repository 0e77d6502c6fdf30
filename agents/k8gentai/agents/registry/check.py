"""Checks agent definitions and writes the registry.

The definitions are read here; the code they name is imported in its framework's own environment
(:mod:`k8gentai.agents.registry.probe_process`).
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from k8gentai.agents.adapters import FRAMEWORKS
from k8gentai.agents.registry.changes import Changes, changes
from k8gentai.agents.registry.check_terms import Terms
from k8gentai.agents.registry.definitions import AgentDocument, agents_among, read_documents
from k8gentai.agents.registry.file_store import FileStore
from k8gentai.agents.registry.holding import hold_back
from k8gentai.agents.registry.pools import pool_faults
from k8gentai.agents.registry.probe_process import Verdict
from k8gentai.agents.registry.references import reference_faults
from k8gentai.agents.registry.registry import RegisteredAgent, Registry, write_registry
from k8gentai.agents.registry.store import RegistryStore
from k8gentai.agents.registry.verdicts import verdicts_on
from k8gentai.agents.resources.agent import AgentDefinition
from k8gentai.agents.resources.faults import Fault
from k8gentai.agents.resources.reader import empty_files

_ANOTHER = re.compile(r"\n(?=spec\.)")
"""Between two errors of one agent."""


def update(
    agents_dir: Path,
    registry: RegistryStore | Path,
    terms: Terms,
    approve: Callable[[Changes], None] = lambda _: None,
) -> list[RegisteredAgent]:
    """Check all agents under a directory and replace the registry.

    Agents of a framework are not checked again where neither they nor what their last check depended on changed.

    Args:
        agents_dir: the directory of the definitions.
        registry: the place of the map to write.
        terms: the terms of the check.
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
        verdicts, checked = verdicts_on(_whole(documents), before, terms)
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


def _whole(documents: Iterable[AgentDocument]) -> list[AgentDefinition]:
    """Return the definitions that have no faults, and an id of their own."""
    alone = (same[0] for same in _by_id(documents).values() if len(same) == 1)
    return [document.definition for document in alone if document.definition]


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
    documents: list[AgentDocument], verdicts: Mapping[str, Verdict], before: Registry, terms: Terms
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


def _lacks_variables(document: AgentDocument, verdict: Verdict | None) -> bool:
    """Return whether variables of the environment are all that an agent is not ready for."""
    missing = bool(document.faults) or bool(verdict and verdict.lacks)
    return missing and all(fault.variable for fault in document.faults)


def _registered(documents: list[AgentDocument], verdict: Verdict | None, faults: list[Fault]) -> RegisteredAgent:
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


def _unused(document: AgentDocument, verdict: Verdict) -> RegisteredAgent:
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
