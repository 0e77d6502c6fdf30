"""The run YAMLs that Llama Stack's own tests are run on: ours, and the same with its builtin provider."""

from pathlib import Path
from typing import Any

import yaml

from k8gentai.stack.environments.hosts import RUN_YAML
from tests.support.processes import ROOT
from tests.upstream.source import recordings

GUARD = "llama-guard3:1b"
"""The model that answers for the guardrail of the tests."""
_CONNECTOR = "http://localhost:5199/sse"
"""Where a test starts an MCP server that it expects the stack to know."""


def ours(directory: Path) -> Path:
    """:data:`RUN_YAML` with what the tests expect of a stack beyond it: a web search, a guardrail, a connector.

    Args:
        directory: where the file is put.
    """
    return _written(directory, _run())


def builtin(directory: Path) -> Path:
    """The same with the builtin provider in our provider's place.

    Args:
        directory: where the file is put.
    """
    run = _run()
    providers = run["providers"]
    del run["external_apis_dir"], providers["amf"]
    providers["inference"] = [one for one in providers["inference"] if one["provider_id"] != "amf"]
    persistence = {
        "agent_state": {"namespace": "agents", "backend": "kv_default"},
        "responses": {"table_name": "builtin_responses", "backend": "sql_default"},
    }
    providers["responses"] = [_provider("inline::builtin", persistence=persistence)]
    return _written(directory, run)


def _run() -> dict[str, Any]:
    run: dict[str, Any] = yaml.safe_load((ROOT / RUN_YAML).read_text())
    search = _provider("inline::recorded-search", recordings=str(recordings("responses")))
    run["providers"]["tool_runtime"] = [{**search, "module": "tests.upstream.search"}]
    run["providers"]["safety"] = [_provider("inline::llama-guard")]
    shield = {"shield_id": "llama-guard", "provider_id": "llama-guard", "provider_shield_id": f"openai/{GUARD}"}
    run["registered_resources"] = {"shields": [shield]}
    run["connectors"] = [{"connector_id": "test-mcp-connector", "connector_type": "mcp", "url": _CONNECTOR}]
    return run


def _provider(kind: str, **config: Any) -> dict[str, Any]:
    return {"provider_id": kind.partition("::")[2], "provider_type": kind, "config": config}


def _written(directory: Path, run: dict[str, Any]) -> Path:
    made = directory / "run.yaml"
    made.write_text(yaml.safe_dump({**run, "apis": list(run["providers"])}))
    return made
