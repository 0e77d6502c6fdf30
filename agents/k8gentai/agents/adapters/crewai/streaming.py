"""Makes every model call of a turn a streamed one, which returns what it would return otherwise."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from crewai.llms.base_llm import BaseLLM
from crewai.llms.providers.openai.completion import OpenAICompletion
from openai.types.chat import ChatCompletionMessageFunctionToolCall

from k8gentai.agents.adapters.crewai.run import current_run


def hook_streaming() -> None:
    """Wrap what says whether a model call is streamed, and what it returns. Doing it twice changes nothing."""
    asked = BaseLLM._effective_stream
    if not hasattr(asked, "__wrapped__"):
        BaseLLM._effective_stream = _streamed(asked)
        finalize = OpenAICompletion._finalize_streaming_response
        OpenAICompletion._finalize_streaming_response = _whole(finalize, asked)


def _streamed(effective_stream: Callable[[BaseLLM], bool | None]) -> Callable[[BaseLLM], bool | None]:
    @wraps(effective_stream)
    def streamed(self: BaseLLM) -> bool | None:
        return effective_stream(self) or current_run.get() is not None

    return streamed


def _whole(finalize: Callable[..., Any], asked: Callable[[BaseLLM], bool | None]) -> Callable[..., Any]:
    """Around what makes the result of a streamed call: its tool calls are dicts, those of others are objects."""

    @wraps(finalize)
    def whole(self: OpenAICompletion, *args: Any, **kwargs: Any) -> Any:
        result = finalize(self, *args, **kwargs)
        if current_run.get() is None or asked(self) or not isinstance(result, list):
            return result
        return [
            ChatCompletionMessageFunctionToolCall.model_validate(call) if isinstance(call, dict) else call
            for call in result
        ]

    return whole
