"""Looks up what a request names of the stack's own: prompts, vector stores, connectors, files, guardrails, a web
search.

Each is looked up when the turn is accepted, as the caller: what is wrong is told at once, with its place in the
request, and nobody reaches through a worker what they may not see themselves.
"""

from collections.abc import Awaitable, Iterator
from dataclasses import replace
from typing import Any

from k8gentai.agents.adapters.base.request_parts import file_parts
from k8gentai.agents.contract.turn import Item
from k8gentai.providers import host
from k8gentai.providers.errors import ApiError, invalid
from k8gentai.providers.requests.guardrails import Guardrails
from k8gentai.providers.requests.prompts import with_prompt
from k8gentai.providers.requests.request import CreateRequest
from k8gentai.providers.requests.stack_apis import StackApis

_FRAMEWORK = "llama-stack"
"""The framework whose agents search, and are guarded, by the stack's own means."""


class Lookups:
    """Looks things up for the current caller.

    Args:
        apis: the host's.
        guardrails: the guardrails that there are.
    """

    def __init__(self, apis: StackApis, guardrails: Guardrails) -> None:
        self._apis = apis
        self._guardrails = guardrails

    async def complete(self, turn_id: str, request: CreateRequest, framework: str) -> CreateRequest:
        """Return the request with what it names put in, or found to be there.

        Args:
            turn_id: the turn's.
            request: the request as it was read.
            framework: the agent's.

        Raises:
            ApiError: something is not there (400, naming the place), or the stack does not have that service.
        """
        request = await with_prompt(self._apis.prompts, turn_id, request)
        request = await self._guarded(request, framework)
        for place, file_id in _file_ids(request.input):
            await self._check_file(file_id, place)
        _check_addresses(request.input)
        if framework != _FRAMEWORK:
            return request
        tools = [await self._tool(tool, f"tools[{index}]") for index, tool in enumerate(request.tools)]
        _check_once(tools)
        return replace(request, tools=tools)

    async def _tool(self, tool: dict[str, Any], place: str) -> dict[str, Any]:
        kind = tool["type"]
        if kind == "file_search":
            await self._check_stores(tool["vector_store_ids"], f"{place}.vector_store_ids")
        elif kind.startswith("web_search"):
            await self._check_web_search(place)
        elif kind == "mcp" and not tool.get("server_url"):
            return {**tool, "server_url": await self._address(tool["connector_id"], f"{place}.connector_id")}
        return tool

    async def _check_stores(self, ids: list[str], place: str) -> None:
        if self._apis.vector_io is None:
            raise _not_there("vector_io", place)
        if not ids:
            raise invalid(f"'{place}' is empty: name the vector stores to search.", place)
        for index, store in enumerate(ids):
            message = f"Vector store '{store}' was not found. GET /v1/vector_stores lists those there are."
            looking = self._apis.vector_io.openai_retrieve_vector_store(store)
            await _found(looking, message, f"{place}[{index}]", "vector_store_not_found")

    async def _check_web_search(self, place: str) -> None:
        if self._apis.tool_groups is None or self._apis.tool_runtime is None:
            raise _not_there("tool_runtime", place)
        message = "This stack has no web search: its run YAML names no 'tool_runtime' provider with 'web_search'."
        await _found(self._apis.tool_groups.get_tool("web_search"), message, place, "web_search_not_found")

    async def _address(self, connector_id: str, place: str) -> str:
        message = f"Connector '{connector_id}' was not found. GET /v1/connectors lists those there are."
        request = host.GetConnectorRequest(connector_id=connector_id)
        connector = await _found(
            self._apis.connectors.get_connector(request), message, place, "connector_not_found"
        )
        return str(connector.url)

    async def _check_file(self, file_id: str, place: str) -> None:
        if self._apis.files is None:
            raise _not_there("files", place)
        message = f"File '{file_id}' was not found. GET /v1/files lists those there are."
        request = host.RetrieveFileRequest(file_id=file_id)
        await _found(self._apis.files.openai_retrieve_file(request), message, place, "file_not_found")

    async def _guarded(self, request: CreateRequest, framework: str) -> CreateRequest:
        """Return the request with its guardrails' names."""
        asked = request.parameters.get("guardrails")
        if not asked:
            return request
        if framework != _FRAMEWORK:
            message = f"Guardrails are run for models and agents of {_FRAMEWORK}; this one is of {framework}."
            raise invalid(message, "guardrails", "unsupported_parameter")
        names = await self._guardrails.names(asked)
        return replace(request, parameters={**request.parameters, "guardrails": names})


async def _found(looking: Awaitable[Any], message: str, place: str, code: str) -> Any:
    """Return what a lookup gives.

    Raises:
        ApiError: nothing, or nothing that the caller may see: the two look the same.
    """
    try:
        return await looking
    except (ValueError, host.HostError, host.AccessDeniedError):
        raise invalid(message, place, code) from None


def _not_there(api: str, place: str) -> ApiError:
    message = f"This stack's run YAML has no provider of the API '{api}', which '{place}' needs."
    return invalid(message, place, "service_not_enabled")


def _check_once(tools: list[dict[str, Any]]) -> None:
    """See that no kind of search is there twice: to the model they would have one name."""
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        kind = "web_search" if tool["type"].startswith("web_search") else tool["type"]
        if kind in seen and kind in ("file_search", "web_search"):
            raise invalid(f"'tools[{index}]': a request has one '{kind}' tool at most.", f"tools[{index}]")
        seen.add(kind)


def _check_addresses(items: list[Item]) -> None:
    """See that no file is named by an address, which chat completions has no place for."""
    for place, part in file_parts(items):
        if part.get("file_url"):
            message = "Files are taken as 'file_id' or 'file_data', and not as 'file_url'."
            raise invalid(message, f"{place}.file_url", "unsupported_parameter")


def _file_ids(items: list[Item]) -> Iterator[tuple[str, str]]:
    """Yield the files that input items name by id, each with its place."""
    for place, part in file_parts(items):
        if part.get("file_id"):
            yield f"{place}.file_id", part["file_id"]
