"""Searches as output items of a response: calls of tools that the stack runs itself."""

import json
from typing import Any

from k8gentai.agents.contract.events import CallItem
from k8gentai.agents.contract.turn import Item
from k8gentai.providers.rendering.output_items import Emit, OutputItem


class SearchCall(OutputItem):
    """A search of files (``file_search_call``) or of the web (``web_search_call``)."""

    def __init__(self, emit: Emit, id_: str, index: int, item_type: CallItem) -> None:
        super().__init__(emit, id_, index)
        self.type = item_type
        self._query = ""
        self._results: list[dict[str, Any]] | None = None
        self._added()
        self._tell(f"response.{self.type}.in_progress")

    def called(self, arguments: str) -> None:
        """Take what is searched for, and show that the search runs.

        Args:
            arguments: JSON text, as the model wrote it.
        """
        self._query = _query(arguments)
        self._tell(f"response.{self.type}.searching")

    def result(self, results: list[dict[str, Any]], *, is_error: bool) -> None:
        """End the search."""
        if not is_error:
            self._results = results
            self._tell(f"response.{self.type}.completed")
        self._done("failed" if is_error else "completed")

    def close(self, status: str) -> None:
        # A search without a result is never complete, whatever became of the turn.
        self._done("incomplete")

    def view(self) -> Item:
        item: Item = {"id": self.id, "type": self.type, "status": self.status}
        if self.type == "web_search_call":
            return {**item, "action": {"type": "search", "query": self._query}}
        return {**item, "queries": [self._query] if self._query else [], "results": self._results}


def _query(arguments: str) -> str:
    try:
        query = json.loads(arguments).get("query")
    except (ValueError, RecursionError, AttributeError):
        return ""
    return query if isinstance(query, str) else ""
