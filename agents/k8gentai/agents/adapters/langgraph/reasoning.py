"""Keeps the reasoning of OpenAI-compatible endpoints in LangChain's messages: ``ChatOpenAI`` drops it.

It is kept where LangChain's own classes for such endpoints keep it (``ChatDeepSeek``).
"""

from functools import wraps
from typing import Any

from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai.chat_models.base import BaseChatOpenAI

_KEPT = "reasoning_content"


def keep_reasoning() -> None:
    """Have every chat model of the process keep it. Doing it twice changes nothing."""
    if hasattr(BaseChatOpenAI._create_chat_result, "__wrapped__"):
        return
    convert, create = BaseChatOpenAI._convert_chunk_to_generation_chunk, BaseChatOpenAI._create_chat_result

    @wraps(convert)
    def converted(self: BaseChatOpenAI, chunk: dict[str, Any], *rest: Any) -> ChatGenerationChunk | None:
        generation = convert(self, chunk, *rest)
        choices = chunk.get("choices") or (chunk.get("chunk") or {}).get("choices") or ()
        if generation is not None and choices:
            _keep(generation.message.additional_kwargs, choices[0].get("delta"))
        return generation

    @wraps(create)
    def created(self: BaseChatOpenAI, response: Any, *rest: Any) -> ChatResult:
        result = create(self, response, *rest)
        answer = response if isinstance(response, dict) else response.model_dump()
        for generation, choice in zip(result.generations, answer.get("choices") or (), strict=False):
            _keep(generation.message.additional_kwargs, choice.get("message"))
        return result

    BaseChatOpenAI._convert_chunk_to_generation_chunk = converted  # type: ignore[method-assign, assignment]
    BaseChatOpenAI._create_chat_result = created  # type: ignore[method-assign, assignment]


def _keep(kept: dict[str, Any], answered: Any) -> None:
    if isinstance(answered, dict) and answered.get(_KEPT):
        kept.setdefault(_KEPT, answered[_KEPT])
