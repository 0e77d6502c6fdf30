"""Files that a turn's input names by id, as Llama Stack's conversion of items asks for them."""

from dataclasses import dataclass

from llama_stack_api import RetrieveFileContentRequest, RetrieveFileRequest

from k8gentai.agents.contract.stack_services import StackFile, StackServices
from k8gentai.agents.contract.turn import RequestError, ToolFailedError


@dataclass(frozen=True)
class _Content:
    body: bytes


class InputFiles:
    """The part of Llama Stack's ``Files`` that the conversion uses. Each file is fetched once.

    Args:
        stack: has them.
    """

    def __init__(self, stack: StackServices) -> None:
        self._stack = stack
        self._fetched: dict[str, StackFile] = {}

    async def openai_retrieve_file(self, request: RetrieveFileRequest) -> StackFile:
        """Raises: RequestError: the stack does not have it for the turn's owner."""
        return await self._fetch(request.file_id)

    async def openai_retrieve_file_content(self, request: RetrieveFileContentRequest) -> _Content:
        return _Content((await self._fetch(request.file_id)).content)

    async def _fetch(self, file_id: str) -> StackFile:
        if file_id not in self._fetched:
            try:
                self._fetched[file_id] = await self._stack.file(file_id)
            except ToolFailedError as error:
                raise RequestError(f"the file {file_id!r} of the input cannot be read: {error}") from error
        return self._fetched[file_id]
