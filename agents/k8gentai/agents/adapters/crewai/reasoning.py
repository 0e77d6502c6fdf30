"""Follows the requests of model calls: shows the reasoning of OpenAI-compatible endpoints, which CrewAI reads from
Gemini's own API only, and marks inner calls."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache, wraps
from typing import Any

from crewai.events.types.llm_events import LLMThinkingChunkEvent
from crewai.llms.base_llm import _current_call_id, get_current_call_id
from openai import AsyncStream, Stream
from openai.resources.chat.completions import AsyncCompletions, Completions

from k8gentai.agents.adapters.base.inner_calls import is_inner, making_calls
from k8gentai.agents.adapters.crewai.run import current_run


@cache
def show_reasoning() -> None:
    """Have the chunks of a turn's model calls looked through for it. Doing it twice changes nothing."""
    Completions.create = _followed(Completions.create)  # type: ignore[method-assign]
    AsyncCompletions.create = _followed_async(AsyncCompletions.create)  # type: ignore[method-assign]


def _followed(create: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(create)
    def followed(*args: Any, **options: Any) -> Any:
        with making_calls(inner=_is_inner()):
            answer = create(*args, **options)
        if isinstance(answer, Stream) and current_run.get():
            answer._iterator = _chunks(answer._iterator)
        return answer

    return followed


def _followed_async(create: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(create)
    async def followed(*args: Any, **options: Any) -> Any:
        with making_calls(inner=_is_inner()):
            answer = await create(*args, **options)
        if isinstance(answer, AsyncStream) and current_run.get():
            answer._iterator = _async_chunks(answer._iterator)
        return answer

    return followed


def _is_inner() -> bool:
    """Return whether the model call at hand is an inner one."""
    run = current_run.get()
    call_id = _current_call_id.get()
    return is_inner.get() or (run is not None and call_id is not None and run.calls.is_inner(call_id))


def _chunks(chunks: Iterator[Any]) -> Iterator[Any]:
    for chunk in chunks:
        _show(chunk)
        yield chunk


async def _async_chunks(chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for chunk in chunks:
        _show(chunk)
        yield chunk


def _show(chunk: Any) -> None:
    run = current_run.get()
    if run is None:
        return
    for choice in chunk.choices[:1]:
        if thought := getattr(choice.delta, "reasoning_content", None):
            run.calls.take(LLMThinkingChunkEvent(chunk=thought, call_id=get_current_call_id()))
