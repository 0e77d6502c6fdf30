"""A web search for Llama Stack, which finds what one found for its own tests, as recorded."""

import json
from pathlib import Path
from typing import Any

from llama_stack_api import ListToolDefsResponse, ToolDef, ToolGroup, ToolInvocationResult
from pydantic import BaseModel

QUERY = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}


class SearchConfig(BaseModel):
    """Where the recordings are."""

    recordings: Path


class Search:
    """The provider.

    Args:
        found: what it finds, by the query.
    """

    def __init__(self, found: dict[str, str]) -> None:
        self._found = found

    async def shutdown(self) -> None: ...

    async def register_toolgroup(self, toolgroup: ToolGroup) -> None: ...

    async def unregister_toolgroup(self, toolgroup_id: str) -> None: ...

    async def list_runtime_tools(self, *_: Any, **__: Any) -> ListToolDefsResponse:
        tool = ToolDef(name="web_search", description="Search the web for information", input_schema=QUERY)
        return ListToolDefsResponse(data=[tool])

    async def invoke_tool(
        self, tool_name: str, kwargs: dict[str, Any], authorization: str | None = None
    ) -> ToolInvocationResult:
        nothing = f"Nothing was found about {kwargs['query']}."
        return ToolInvocationResult(content=self._found.get(kwargs["query"], nothing))


async def get_provider_impl(config: SearchConfig, deps: Any) -> Search:
    read = [json.loads(file.read_text()) for file in sorted(config.recordings.glob("*.json"))]
    searches = [recording for recording in read if recording["request"].get("tool_name") == "web_search"]
    return Search(
        {one["request"]["kwargs"]["query"]: one["response"]["body"]["__data__"]["content"] for one in searches}
    )
