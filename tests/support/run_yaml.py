"""A run YAML for tests: the stack's own, with what it leaves to those who run it."""

from pathlib import Path

import yaml

from k8gentai.stack.environments.hosts import RUN_YAML
from tests.support.processes import ROOT

GUARDRAIL = "guard"
"""A guardrail that asks the scripted model as if it were a Llama Guard."""


def with_owners(path: Path, authority: str) -> Path:
    """Write the run YAML of a stack which asks who calls, and where each has what is theirs.

    Args:
        path: where to.
        authority: the URL that knows who calls.
    """
    run = yaml.safe_load((ROOT / RUN_YAML).read_text())
    anyone = [{"permit": {"actions": ["create"]}}, {"permit": {"actions": ["read"], "resource": "model::*"}}]
    own = {"permit": {"actions": ["read", "update", "delete"]}, "when": "user is owner"}
    run["server"]["auth"] = {
        "provider_config": {"type": "custom", "endpoint": authority},
        "access_policy": [*anyone, own],
    }
    path.write_text(yaml.safe_dump(run))
    return path


def with_services(path: Path, model: str, authority: str) -> Path:
    """Write the run YAML of a Llama Stack with a web search and a guardrail, which asks who calls.

    Args:
        path: where to.
        model: whom the guardrail asks.
        authority: the URL that knows who calls.
    """
    run = yaml.safe_load((ROOT / RUN_YAML).read_text())
    run["server"]["auth"] = {"provider_config": {"type": "custom", "endpoint": authority}}
    run["apis"] = sorted({*run["apis"], "safety", "tool_runtime"})
    providers = run["providers"]
    providers["safety"] = [
        {
            "provider_id": "llama-guard",
            "provider_type": "inline::llama-guard",
            "config": {"excluded_categories": []},
        }
    ]
    providers.setdefault("tool_runtime", []).append(
        {
            "provider_id": "found",
            "provider_type": "remote::found",
            "module": "tests.support.web_search",
            "config": {},
        }
    )
    shield = {"shield_id": GUARDRAIL, "provider_id": "llama-guard", "provider_shield_id": model}
    run["registered_resources"] = {"shields": [shield]}
    path.write_text(yaml.safe_dump(run))
    return path
