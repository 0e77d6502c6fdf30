"""Serves turns that run, beside models: searches, guardrails, files."""

from typing import Any

from k8gentai.providers import host
from k8gentai.providers.errors import invalid
from k8gentai.providers.requests.guardrails import Guardrails
from k8gentai.providers.requests.stack_apis import StackApis
from k8gentai.workers.stack.service_api import (
    File,
    FileContent,
    FileSearch,
    Found,
    Moderation,
    Verdict,
    WebFound,
    WebSearch,
)


class StackServices:
    """Serves running turns, as the current caller.

    Args:
        apis: the host's.
        guardrails: the guardrails that there are.
    """

    def __init__(self, apis: StackApis, guardrails: Guardrails) -> None:
        self._apis = apis
        self._guardrails = guardrails

    async def search_files(self, asked: FileSearch) -> Found:
        """Return what a vector store finds."""
        search = host.SearchVectorStoreRequest(**asked.search)
        page = await self._apis.vector_io.openai_search_vector_store(asked.vector_store_id, search)
        return Found(data=[host.found(hit) for hit in page.data])

    async def search_web(self, asked: WebSearch) -> WebFound:
        """Return what the tool ``web_search`` finds.

        Raises:
            ApiError: the tool failed.
        """
        result = await self._apis.tool_runtime.invoke_tool("web_search", asked.arguments)
        if result.error_message or result.error_code:
            raise invalid(result.error_message or f"The search failed with code {result.error_code}.")
        return WebFound(text=_text(result.content))

    async def moderate(self, asked: Moderation) -> Verdict:
        """Return what a guardrail says of a text."""
        return Verdict(violation=await self._guardrails.violation(asked.text, asked.guardrail))

    async def file(self, asked: File) -> FileContent:
        """Return a file with its content."""
        files = self._apis.files
        file = await files.openai_retrieve_file(host.RetrieveFileRequest(file_id=asked.file_id))
        content = await files.openai_retrieve_file_content(host.RetrieveFileContentRequest(file_id=asked.file_id))
        return FileContent.of(file.filename, bytes(content.body))


def _text(content: Any) -> str:
    """Return a tool's content: text, or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    return "\n".join(part.text for part in parts if getattr(part, "type", None) == "text")
