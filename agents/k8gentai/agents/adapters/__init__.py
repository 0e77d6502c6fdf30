"""The adapters: one module a framework, and the only place where that framework is imported."""

from k8gentai.agents.contract.turn import AnyAdapter

PACKAGES = {
    "langgraph": "langgraph",
    "llama-stack": "llama-stack",
    "crewai": "crewai",
    "ag2": "ag2",
    "beeai": "beeai-framework",
}
"""The distribution of each framework there is an adapter for, whose version says what the adapter runs."""

FRAMEWORKS = tuple(PACKAGES)
"""The frameworks there is an adapter for."""


def adapter_for(framework: str) -> AnyAdapter:
    """Return a new adapter of that framework, which must be installed in this environment.

    Raises:
        LookupError: there is no adapter for it.
        ImportError: the framework is not installed here.
    """
    # Written out, so that no name from outside ever decides what is imported.
    match framework:
        case "langgraph":
            from k8gentai.agents.adapters.langgraph.adapter import LangGraphAdapter

            return LangGraphAdapter()
        case "llama-stack":
            from k8gentai.agents.adapters.llama_stack.adapter import LlamaStackAdapter

            return LlamaStackAdapter()
        case "crewai":
            from k8gentai.agents.adapters.crewai.adapter import CrewAIAdapter

            return CrewAIAdapter()
        case "ag2":
            from k8gentai.agents.adapters.ag2.adapter import AG2Adapter

            return AG2Adapter()
        case "beeai":
            from k8gentai.agents.adapters.beeai.adapter import BeeAIAdapter

            return BeeAIAdapter()
    raise LookupError(f"there is no adapter for {framework!r}; there are: {', '.join(FRAMEWORKS)}")
