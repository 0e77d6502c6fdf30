"""A web search for Llama Stack, for want of one: it finds nothing, and the recorded model answers all the same."""

from typing import Any

from llama_stack_api import ListToolDefsResponse, ToolDef, ToolGroup, ToolInvocationResult
from pydantic import BaseModel

QUERY = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}


class SearchConfig(BaseModel):
    """There is nothing to set."""


class Search:
    """The provider."""

    async def shutdown(self) -> None: ...

    async def register_toolgroup(self, toolgroup: ToolGroup) -> None: ...

    async def unregister_toolgroup(self, toolgroup_id: str) -> None: ...

    async def list_runtime_tools(self, *_: Any, **__: Any) -> ListToolDefsResponse:
        tool = ToolDef(name="web_search", description="Search the web for information", input_schema=QUERY)
        return ListToolDefsResponse(data=[tool])

    async def invoke_tool(
        self, tool_name: str, kwargs: dict[str, Any], authorization: str | None = None
    ) -> ToolInvocationResult:
        return ToolInvocationResult(content=f"Nothing was found about {kwargs['query']}.")


async def get_provider_impl(config: SearchConfig, deps: Any) -> Search:
    return Search()
