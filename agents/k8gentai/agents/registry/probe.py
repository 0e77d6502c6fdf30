"""The part of a check that runs in a framework's environment:
``python -m k8gentai.agents.registry.probe FD [ADAPTER]``.

Reads a JSON array of definitions from standard input, all of one framework, and loads each. Writes to the file
descriptor FD, a JSON object a line: ``{"checking": id}`` before each, then ``{"id", "digest", "error", "files",
"version", "tools", "refuses", "warnings", "lacks", "lacks_module"}``: the files that its code is in or read, the
framework's version, the names of the tools that were found, what the agent takes of no request, what could not be
checked, and the variables, or whether it is a module, for want of which there is an error; at the end ``{"files",
"variables", "values", "salt", "directory"}``, what the check depended on (:mod:`k8gentai.agents.code.fingerprint`,
:mod:`k8gentai.agents.code.variables`). Agent code may print what it likes: standard output is not looked at.
ADAPTER names one that is not among ours.
"""

import json
import os
import secrets
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from k8gentai.agents.adapters import PACKAGES, adapter_for
from k8gentai.agents.adapters.base.request_parts import refused_parts
from k8gentai.agents.code.fingerprint import ReadFiles, digest
from k8gentai.agents.code.variables import (
    looked_up_variables,
    misses_module,
    missing_variables,
    note_variables,
    noted_values,
)
from k8gentai.agents.contract.turn import Adapter, AgentFaultsError, AgentLoadError, LoadedAgent
from k8gentai.agents.registry.named_adapter import load_adapter
from k8gentai.agents.resources.agent import AgentDefinition
from k8gentai.agents.tools.declared import load_functions
from k8gentai.agents.tools.policies import check_policies, found_tools


def main() -> None:
    """Check what standard input names."""
    read, directory = ReadFiles(time.time_ns()), str(Path.cwd())
    note_variables()
    definitions = [AgentDefinition.model_validate(value) for value in json.load(sys.stdin)]
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as results:
        adapter = load_adapter(sys.argv[2]) if sys.argv[2:] else adapter_for(definitions[0].spec.framework)
        read.take_for_all()
        for definition in definitions:
            print(json.dumps({"checking": definition.id}), file=results, flush=True)
            loaded = _load(adapter, definition)
            files = read.of_agent(definition)
            result = {
                "id": definition.id,
                "digest": digest(definition, files),
                "files": files,
                "version": version(PACKAGES[adapter.framework]) if adapter.framework in PACKAGES else "",
                **loaded,
            }
            print(json.dumps(result), file=results, flush=True)
        salt = secrets.token_hex(8)
        depended = {
            "files": read.fingerprints(),
            "variables": looked_up_variables(),
            "values": noted_values(salt),
            "salt": salt,
            "directory": directory,
        }
        print(json.dumps(depended), file=results, flush=True)
    # Threads that an agent's module started do not keep the check waiting.
    os._exit(0)


def _load[A: LoadedAgent](adapter: Adapter[A], definition: AgentDefinition) -> dict[str, Any]:
    """Find an agent's ``tools``, what it ``refuses``, the ``warnings`` of what could not be checked, the
    ``error`` by which it cannot be used, or None, the variables that it ``lacks`` by that, and whether it
    ``lacks_module``."""
    result: dict[str, Any] = {"tools": [], "refuses": [], "warnings": [], "error": None}
    try:
        agent = adapter.load(definition)
        load_functions(definition)
        found = found_tools(adapter, agent)
        result["tools"] = sorted(found.names)
        result["refuses"] = sorted(refused_parts(adapter, agent))
        check_policies(definition, found, _served(definition, result["warnings"]))
    except AgentLoadError as error:
        result |= {"error": _named(error, definition), **_lacking(error)}
    except Exception as error:  # noqa: BLE001 - one bad agent must not hide the others
        result |= {"error": f"{type(error).__name__}: {error}", **_lacking(error)}
    return result


def _named(error: AgentLoadError, definition: AgentDefinition) -> str:
    """Return an error that names no file with the field whose value led to it."""
    nowhere = error.file is None and not str(error).startswith("spec.")
    return f"spec.entrypoint: {error}" if nowhere and definition.spec.entrypoint else str(error)


def _lacking(error: Exception) -> dict[str, Any]:
    """Return what an agent lacks that is broken by nothing else."""
    faults = error.faults if isinstance(error, AgentFaultsError) else [error]
    lacks = [missing_variables(fault) for fault in faults]
    return {
        "lacks": sorted({name for names in lacks for name in names}) if all(lacks) else [],
        "lacks_module": all(misses_module(fault) for fault in faults),
    }


def _served(definition: AgentDefinition, warnings: list[str]) -> frozenset[str] | None:
    """Return the names of the tools of a definition's MCP servers; None where there are none, or one does not
    answer.
    """
    if not any(entry.mcp for entry in definition.spec.tools):
        return None
    # The library takes as long to import as some frameworks.
    from k8gentai.agents.tools.mcp_tools import served

    answered = served(definition)
    warnings += answered.warnings
    return answered.names


if __name__ == "__main__":
    main()
