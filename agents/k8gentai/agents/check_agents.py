"""The part of a check that runs in a framework's environment:
``python -m k8gentai.agents.check_agents FD [ADAPTER]``.

Reads a JSON array of definitions from standard input, all of one framework, and loads each. Writes to the file
descriptor FD, a JSON object a line: ``{"checking": id}`` before each, then ``{"id", "digest", "error",
"version"}``, the last being the framework's. Agent code may print what it likes: standard output is not looked at.
ADAPTER names one that is not among ours.
"""

import json
import os
import sys
from importlib.metadata import version

from k8gentai.agents.adapters import PACKAGES, adapter_for
from k8gentai.agents.definition import AgentDefinition
from k8gentai.agents.loading import digest
from k8gentai.agents.named_adapter import load_adapter
from k8gentai.agents.tools.declared import load_functions
from k8gentai.agents.turn import Adapter, AgentLoadError


def main() -> None:
    """Check what standard input names."""
    definitions = [AgentDefinition.model_validate(value) for value in json.load(sys.stdin)]
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as results:
        adapter = load_adapter(sys.argv[2]) if sys.argv[2:] else adapter_for(definitions[0].spec.framework)
        for definition in definitions:
            print(json.dumps({"checking": definition.id}), file=results, flush=True)
            result = {
                "id": definition.id,
                "digest": digest(definition),
                "error": _load(adapter, definition),
                "version": version(PACKAGES[adapter.framework]) if adapter.framework in PACKAGES else "",
            }
            print(json.dumps(result), file=results, flush=True)
    # Threads that an agent's module started do not keep the check waiting.
    os._exit(0)


def _load(adapter: Adapter, definition: AgentDefinition) -> str | None:
    try:
        adapter.load(definition)
        load_functions(definition)
    except AgentLoadError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - one bad agent must not hide the others
        return f"{type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    main()
