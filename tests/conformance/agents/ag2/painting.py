"""An agent whose model draws, as models of images do in AG2."""

from typing import Any

from ag2 import Agent
from ag2.config import LLMClient, OpenAIConfig
from ag2.events import ModelResponse
from ag2.events.types import BinaryResult


class _Painter(LLMClient):
    """Adds an image and a document to what a model says."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def __call__(self, *args: Any, **kwargs: Any) -> ModelResponse:
        response: ModelResponse = await self._client(*args, **kwargs)
        response.files += [
            BinaryResult(b"png"),
            BinaryResult(b"pdf", metadata={"media_type": "application/pdf"}),
        ]
        return response


class _PainterConfig(OpenAIConfig):
    def create(self) -> Any:
        return _Painter(super().create())


painter = Agent("painter", config=_PainterConfig("gpt-4.1-mini"))
