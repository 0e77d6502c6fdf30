"""A web search that finds its query, and counts: ``module: tests.support.web_search`` in a run YAML."""

from collections import Counter
from typing import Any

from llama_stack_api import tools
from pydantic import BaseModel

from k8gentai.providers import host


class Config(BaseModel):
    """``config`` of the provider in the run YAML."""


class WebSearch:
    """The provider."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()

    async def initialize(self) -> None: ...

    async def shutdown(self) -> None: ...

    async def register_toolgroup(self, toolgroup: Any) -> None: ...

    async def unregister_toolgroup(self, toolgroup_id: str) -> None: ...

    async def list_runtime_tools(self, *_: Any, **__: Any) -> Any:
        schema = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
        return tools.ListToolDefsResponse(data=[tools.ToolDef(name="web_search", input_schema=schema)])

    async def invoke_tool(self, tool_name: str, kwargs: dict[str, Any], **_: Any) -> Any:
        query = kwargs["query"]
        self._asked[query] += 1
        return tools.ToolInvocationResult(content=f"{tool_name} found {query} ({self._asked[query]})")


async def get_adapter_impl(_config: Config, _deps: dict[Any, Any]) -> WebSearch:
    """Called by the host."""
    return WebSearch()


def get_provider_spec() -> Any:
    """Called by the host."""
    return host.RemoteProviderSpec(
        api=host.Api.tool_runtime,
        adapter_type="found",
        provider_type="remote::found",
        module="tests.support.web_search.provider",
        config_class="tests.support.web_search.provider.Config",
        toolgroup_id="builtin::websearch",
    )
