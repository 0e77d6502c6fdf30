"""Comes to a verdict on each agent: that of its last check, where nothing has changed, or of a new one."""

import os
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from k8gentai.agents.code.fingerprint import unchanged
from k8gentai.agents.code.variables import digests_of
from k8gentai.agents.registry.check_terms import Terms
from k8gentai.agents.registry.probe_process import Verdict, all_with, probe_all
from k8gentai.agents.registry.registry import Checked, RegisteredAgent, Registry
from k8gentai.agents.resources.agent import AgentDefinition


def verdicts_on(
    definitions: Iterable[AgentDefinition], before: Registry, terms: Terms
) -> tuple[dict[str, Verdict], dict[str, Checked]]:
    """Check agents, several frameworks at once.

    Args:
        definitions: the agents' definitions; of each id one.
        before: the agents as they were checked last.
        terms: the terms of the check.

    Returns:
        The verdict on each agent, by its id; and what those on a framework's agents depend on, by the framework.
    """
    by_framework: dict[str, list[AgentDefinition]] = defaultdict(list)
    for definition in definitions:
        by_framework[definition.spec.framework].append(definition)
    verdicts: dict[str, Verdict] = {}
    checked: dict[str, Checked] = {}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        work = {
            framework: threads.submit(_check_framework, framework, of_framework, before, terms)
            for framework, of_framework in by_framework.items()
        }
    for framework, done in work.items():
        found, depends_on = done.result()
        verdicts |= found
        if depends_on is not None:
            checked[framework] = depends_on
    return verdicts, checked


def _check_framework(
    framework: str, definitions: list[AgentDefinition], before: Registry, terms: Terms
) -> tuple[dict[str, Verdict], Checked | None]:
    """Check the agents of one framework. Returns the verdicts by the agents' ids, and what they depend on."""
    interpreter, adapter = terms.interpreters.get(framework), terms.adapters.get(framework)
    if interpreter is None:
        names = ",".join([*terms.in_use, framework])
        unused = (
            f"{framework} is not in use here: 'up --frameworks {names}' runs it as well, "
            "'--frameworks all' every framework"
        )
        return {definition.id: Verdict("", unused, unused=True) for definition in definitions}, None
    if not interpreter.exists():
        return all_with(definitions, f"the environment of {framework} is not installed ({interpreter})"), None
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
    verdicts, depended = probe_all(interpreter, definitions, adapter, terms)
    verdicts = {
        name: _with_own_variables(_with_lost_path(verdict, before.get(name), last, terms), terms)
        for name, verdict in verdicts.items()
    }
    return verdicts, Checked(interpreter=str(interpreter), adapter=adapter, **depended) if depended else None


def _with_lost_path(
    verdict: Verdict, known: RegisteredAgent | None, last: Checked | None, terms: Terms
) -> Verdict:
    """Have an error say so where a module of an agent that was ready is missing, and the path to modules is not
    set, as it was for the last check."""
    had = bool(known and known.state == "ready" and last and last.values and last.values.get("PYTHONPATH"))
    if not (verdict.lacks_module and had) or terms.code_environment().get("PYTHONPATH"):
        return verdict
    # Without an 'up', setting it is all there is to do; where this shell has it, the next hint says the same.
    of_up = not terms.keep or (terms.environment is not None and not os.environ.get("PYTHONPATH"))
    mend = ": start 'up' again with it" if of_up else ""
    hint = f"PYTHONPATH was set when it was last checked, and is not now{mend}"
    return replace(verdict, error=f"{verdict.error}. {hint}", lacks=[*verdict.lacks, "PYTHONPATH"])


def _with_own_variables(verdict: Verdict, terms: Terms) -> Verdict:
    """Have an error say so where what is missing to the workers is set in this process's environment."""
    theirs = terms.code_environment()
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
    now = terms.code_environment()
    same_set = all((name in now) == was_set for name, was_set in last.variables.items())
    return same_set and digests_of(last.values, now, last.salt) == last.values


def _known(definitions: list[AgentDefinition], before: Registry) -> dict[str, Verdict] | None:
    """Return the last check's verdicts of these agents; None where one has another definition now, or was not
    ready or checked in part: what was wrong may lie outside of what is looked at.
    """
    known = {}
    for definition in definitions:
        agent = before.get(definition.id)
        if agent is None or agent.state != "ready" or agent.warnings or agent.definition != definition:
            return None
        known[definition.id] = Verdict(
            agent.digest,
            None,
            files=agent.files,
            version=agent.version,
            tools=agent.tools,
            refuses=agent.refuses,
        )
    return known
