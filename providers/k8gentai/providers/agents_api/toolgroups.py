"""Tool groups of the classic API, as far as the stack has them: ``builtin::rag`` searches vector stores and
``builtin::websearch`` the web; ``mcp::{id}`` is the MCP server that the run YAML names as the connector of that
id, and ``mcp::{id}/{tool}`` one tool of it. No client can name another server.
"""

from typing import Any

from k8gentai.providers import host
from k8gentai.providers.agents_api.errors import not_found, not_supported
from k8gentai.providers.agents_api.shapes import Toolgroup
from k8gentai.providers.errors import invalid

_PREFIX = "mcp::"
_WEB_SEARCH = frozenset({"builtin::websearch", "builtin::websearch/web_search"})
_FILE_SEARCH = frozenset({"builtin::rag", "builtin::rag/knowledge_search"})
_STORES = ("vector_db_ids", "vector_store_ids")
"""The names that clients have for the stores to search: 0.2 and its examples the one, 0.3 also the other."""


class Toolgroups:
    """Finds tool groups.

    Args:
        connectors: the host's Connectors API.
    """

    def __init__(self, connectors: Any) -> None:
        self._connectors = connectors

    async def tools(self, groups: list[Toolgroup] | None, place: str) -> list[dict[str, Any]]:
        """Return the groups as tools of a Responses API request.

        Args:
            groups: the tool groups as the client named them.
            place: the place in the request where they stand.

        Raises:
            ApiError: the stack has no such group, or cannot call it in this way (501); a search of files names no
                vector stores (400).
        """
        return [await self._tool(group, f"{place}[{index}]") for index, group in enumerate(groups or ())]

    async def _tool(self, group: Toolgroup, place: str) -> dict[str, Any]:
        name, args = (group, {}) if isinstance(group, str) else (group.name, dict(group.args or {}))
        if name in _FILE_SEARCH:
            return _file_search(args, place)
        if args:
            raise not_supported(f"{place}.args", "the model gives tools their arguments.")
        if name in _WEB_SEARCH:
            return {"type": "web_search"}
        group_id, _, tool = name.partition("/")
        connector = await self._connector(group_id)
        if connector is None:
            raise not_supported(
                place,
                f"this stack has no tool group '{name}'. It has 'builtin::rag', 'builtin::websearch' and the "
                "connectors of its run YAML, as 'mcp::{connector_id}'; other tools are an agent's own or the "
                "client's.",
            )
        return _mcp(connector, tool)

    async def listed(self, group_id: str) -> list[dict[str, Any]]:
        """Return the tools of a group, in the shapes of clients 0.2 and 0.3 together.

        Raises:
            ApiError: there is no such group (404).
        """
        connector = await self._connector(group_id)
        if connector is None:
            raise not_found("Toolgroup", group_id, "The connectors of the run YAML are those there are.")
        request = host.ListConnectorToolsRequest(connector_id=connector.connector_id)
        return [_tool(tool, group_id) for tool in (await self._connectors.list_connector_tools(request)).data]

    async def _connector(self, group_id: str) -> Any | None:
        ids = {group_id, group_id.removeprefix(_PREFIX)} if group_id.startswith(_PREFIX) else set()
        listed = (await self._connectors.list_connectors()).data if ids else []
        return next((connector for connector in listed if connector.connector_id in ids), None)


def _file_search(args: dict[str, Any], place: str) -> dict[str, Any]:
    if other := sorted(args.keys() - set(_STORES)):
        raise not_supported(f"{place}.args.{other[0]}", f"a search takes {' or '.join(_STORES)} only.")
    name = next((name for name in _STORES if name in args), _STORES[0])
    stores = args.get(name)
    if not isinstance(stores, list) or not stores or not all(isinstance(store, str) for store in stores):
        raise invalid(f"'{place}.args.{name}' must list the vector stores to search.", f"{place}.args.{name}")
    return {"type": "file_search", "vector_store_ids": stores}


def _mcp(connector: Any, tool: str) -> dict[str, Any]:
    named = {
        "type": "mcp",
        "server_label": connector.server_label or connector.connector_id.removeprefix(_PREFIX),
        "server_url": connector.url,
        # The API knows no approval; the run YAML chose the server.
        "require_approval": "never",
    }
    return {**named, "allowed_tools": [tool]} if tool else named


def _tool(tool: Any, group_id: str) -> dict[str, Any]:
    schema = tool.input_schema or {}
    required = schema.get("required") or ()
    return {
        "type": "tool",
        "identifier": tool.name,
        "name": tool.name,
        "description": tool.description or "",
        "toolgroup_id": group_id,
        "provider_id": "connectors",
        "input_schema": schema,
        "parameters": [
            {
                "name": name,
                "description": described.get("description") or "",
                "parameter_type": str(described.get("type") or "string"),
                "required": name in required,
                "default": described.get("default"),
            }
            for name, described in (schema.get("properties") or {}).items()
        ],
    }
