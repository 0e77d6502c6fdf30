"""The searches that Llama Stack's Responses loop offers a model, of files and of the web, made by the stack."""

from typing import Any

from llama_stack.core.datatypes import VectorStoresConfig
from llama_stack.providers.inline.responses.builtin.responses.tool_executor import ToolExecutor
from llama_stack_api import (
    OpenAIResponseInputToolFileSearch,
    OpenAISearchVectorStoreRequest,
    ToolDef,
    VectorStoreSearchResponsePage,
)

from k8gentai.agents.contract.events import CallItem
from k8gentai.agents.contract.stack_services import StackServices
from k8gentai.agents.contract.turn import ToolFailedError, ToolOutcome

SEARCHES: dict[str, CallItem] = {
    "file_search": "file_search_call",
    "knowledge_search": "file_search_call",
    "web_search": "web_search_call",
}
"""The names under which models call them, with the item each call shows as."""

_WEB_SEARCH = ToolDef(
    name="web_search",
    description="Search the web for information",
    input_schema={
        "type": "object",
        "properties": {"query": {"type": "string", "description": "The query to search for"}},
        "required": ["query"],
    },
)


class ToolDefinitions:
    """The part of Llama Stack's ``ToolGroups`` its Responses loop uses."""

    async def get_tool(self, tool_name: str) -> ToolDef | None:
        """Return the tool as the model is shown it: the same in every attempt, whatever the stack says
        meanwhile.
        """
        return _WEB_SEARCH if tool_name == _WEB_SEARCH.name else None


class _VectorStores:
    """The part of Llama Stack's ``VectorIO`` its file search uses, for one search.

    Args:
        stack: searches.
    """

    def __init__(self, stack: StackServices) -> None:
        self._stack = stack
        self.faults: list[Exception] = []
        """The errors of the searches: Llama Stack's search goes on without a store that fails."""

    async def openai_search_vector_store(
        self, vector_store_id: str, request: OpenAISearchVectorStoreRequest
    ) -> VectorStoreSearchResponsePage:
        search = request.model_dump(mode="json", exclude_none=True)
        try:
            found = await self._stack.search_vector_store(vector_store_id, search)
            return VectorStoreSearchResponsePage.model_validate(
                {"search_query": [request.query], "data": found, "has_more": False}
            )
        except Exception as error:
            self.faults.append(error)
            raise


async def search_files(
    stack: StackServices, tool: OpenAIResponseInputToolFileSearch | None, arguments: dict[str, Any]
) -> ToolOutcome:
    """Search the vector stores of a request, and say what was found as Llama Stack says it to models.

    Args:
        stack: searches.
        tool: the request's; None where it has none.
        arguments: the arguments as the model gave them.

    Raises:
        ToolFailedError: there is nothing to search in or for.
        Exception: a store could not be searched.
    """
    query = arguments.get("query")
    if tool is None:
        raise ToolFailedError("there is no tool 'file_search'")
    if not isinstance(query, str) or not query:
        raise ToolFailedError("query: is missing; it is what to search for, as text")
    stores = _VectorStores(stack)
    executor = ToolExecutor(None, None, stores, VectorStoresConfig())
    found = await executor._execute_file_search_via_vector_store(query, tool)
    if stores.faults:
        raise stores.faults[0]
    return ToolOutcome("".join(part.text for part in found.content), results=_results(found.metadata))


async def search_web(stack: StackServices, *, offered: bool, arguments: dict[str, Any]) -> ToolOutcome:
    """Search the web.

    Args:
        stack: searches.
        offered: whether the request has that tool.
        arguments: the arguments as the model gave them.

    Raises:
        ToolFailedError: the search failed.
    """
    if not offered:
        raise ToolFailedError("there is no tool 'web_search'")
    return ToolOutcome(await stack.search_web(arguments))


def _results(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what was found as the item shows it. Old stores keep a file's id among its attributes."""
    rows = zip(found["document_ids"], found["chunks"], found["scores"], found["attributes"], strict=True)
    results = []
    for document_id, text, score, attributes in rows:
        file_id = document_id or str(attributes.get("document_id", ""))
        results.append(
            {
                "file_id": file_id,
                "filename": found["citation_files"].get(file_id, "unknown"),
                "score": score,
                "text": text,
                "attributes": attributes,
            }
        )
    return results
