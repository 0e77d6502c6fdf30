"""The services of the stack for a turn that runs. They act as the turn's owner, who may see what others may
not."""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class StackFile:
    """A file of the stack's Files API."""

    filename: str
    content: bytes


class StackServices(Protocol):
    """The stack's APIs, for one turn. Every method raises
    :class:`~k8gentai.agents.contract.turn.ToolFailedError` where the stack refuses or does not answer in time."""

    async def search_vector_store(self, vector_store_id: str, search: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what a vector store finds.

        Args:
            vector_store_id: the store.
            search: the body of ``POST /v1/vector_stores/{id}/search``.

        Returns:
            The ``data`` of the answer.
        """
        ...

    async def search_web(self, arguments: dict[str, Any]) -> str:
        """Return what the stack's tool ``web_search`` finds.

        Args:
            arguments: the arguments as the model gave them.
        """
        ...

    async def violation(self, text: str, guardrail: str) -> str | None:
        """Return why a guardrail blocks a text, for the client; None where it does not.

        Args:
            text: the words that the model was sent or says.
            guardrail: the guardrail's name.
        """
        ...

    async def file(self, file_id: str) -> StackFile:
        """Return a file with its content."""
        ...
