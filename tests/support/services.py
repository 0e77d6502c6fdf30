"""What the stack does for turns, without a stack."""

from typing import Any

from k8gentai.agents.contract.stack_services import StackFile
from k8gentai.agents.contract.turn import ToolFailedError


def found(text: str, file_id: str = "file-1", filename: str = "a.txt", **fields: Any) -> dict[str, Any]:
    """One hit of a vector store's search."""
    hit = {"file_id": file_id, "filename": filename, "score": 0.5, "content": [{"type": "text", "text": text}]}
    return {**hit, **fields}


class FakeServices:
    """Answers from what a test put in, and keeps what was asked."""

    def __init__(self) -> None:
        self.stores: dict[str, list[dict[str, Any]]] = {}
        self.files: dict[str, StackFile] = {}
        self.web: str | None = None
        self.blocked: dict[str, str] = {}
        """Words that a guardrail blocks, with the reason."""
        self.searches: list[tuple[str, dict[str, Any]]] = []
        self.judged: list[tuple[str, str]] = []
        self.fetched: list[str] = []

    async def search_vector_store(self, vector_store_id: str, search: dict[str, Any]) -> list[dict[str, Any]]:
        self.searches.append((vector_store_id, search))
        if vector_store_id not in self.stores:
            raise ToolFailedError(f"no store {vector_store_id}")
        return self.stores[vector_store_id]

    async def search_web(self, arguments: dict[str, Any]) -> str:
        self.searches.append(("web", arguments))
        if self.web is None:
            raise ToolFailedError("the web is away")
        return self.web

    async def violation(self, text: str, guardrail: str) -> str | None:
        self.judged.append((guardrail, text))
        if guardrail == "away":
            raise ToolFailedError("the guard is away")
        return next((reason for word, reason in self.blocked.items() if word in text), None)

    async def file(self, file_id: str) -> StackFile:
        self.fetched.append(file_id)
        if file_id not in self.files:
            raise ToolFailedError(f"no file {file_id}")
        return self.files[file_id]
