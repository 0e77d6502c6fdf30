"""Definitions of agents that do what their worker would not survive, or not well."""

from tests.conformance.agents import poison

LIMIT_SECONDS = 5
_MODULE = poison.__name__


def definitions(framework):
    """By id. Tools are of the framework's own kind, where it has agents of code."""
    own = {"entrypoint": f"tests.conformance.agents.{framework}.agents:poison"}
    declared = {
        "tools": [{"name": tool.__name__, "function": f"{_MODULE}:{tool.__name__}"} for tool in poison.TOOLS]
    }
    has_code = framework != "llama-stack"
    made = {"poison": own if has_code else declared}
    if has_code:
        made["leaving"] = {"entrypoint": f"{_MODULE}:leaving"}
    return {agent_id: _definition(agent_id, framework, spec) for agent_id, spec in made.items()}


def _definition(agent_id, framework, spec):
    return {
        "apiVersion": "kagent.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": agent_id},
        "spec": {
            "description": "Does what a worker would not survive.",
            "framework": framework,
            "model": {"name": "${env.INFERENCE_MODEL}"},
            "limits": {"seconds": LIMIT_SECONDS},
            **spec,
        },
    }
