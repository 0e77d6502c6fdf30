"""What several tests of this folder say."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from k8gentai.stack.environments.hosts import HOSTS

LANGGRAPH = "plain"
DECLARED = "declared"
LLAMA_STACK = "assistant"
IMPLICIT = "openai/scripted-model"
"""A plain model's name, which runs as an agent of Llama Stack's own."""
EVERY_AGENT = (LANGGRAPH, DECLARED, LLAMA_STACK, IMPLICIT)

ON_ONE_HOST = pytest.mark.parametrize("host", [next(iter(HOSTS.values()))], ids=[next(iter(HOSTS))], indirect=True)
"""For a test of workers, to which it is all one which server there is."""

ENDS = {"response.completed", "response.failed", "response.incomplete"}


def prompt(key: str, text: str = "Hello.") -> str:
    """A prompt that the model answers by the script of that key."""
    return f"[[{key}]] {text}"


async def collect(stream: Any) -> list[Any]:
    """All events of an SDK stream."""
    return [event async for event in stream]


def text_of(events: list[Any]) -> str:
    """The text that a stream's deltas make."""
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def check_sequence(events: list[Any], first: int = 0) -> None:
    """Numbers without gaps, and one end, which is last."""
    assert [event.sequence_number for event in events] == list(range(first, first + len(events)))
    assert [event.type for event in events if event.type in ENDS] == [events[-1].type]


def heard(request: Any) -> list[tuple[str, str]]:
    """What a call of the scripted model was told, as (role, text) without system messages."""
    return [
        (message["role"], text_of_content(message.get("content") or ""))
        for message in request.messages
        if message["role"] != "system"
    ]


def text_of_content(content: str | list[dict[str, Any]]) -> str:
    """The text of a message of a chat completion."""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


async def eventually[T](look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], seconds: float = 120) -> T:
    """Look until what is seen is what is wanted.

    Raises:
        AssertionError: it was not, in that time; with what was seen last.
    """
    until = time.monotonic() + seconds
    while True:
        seen = await look()
        if wanted(seen):
            return seen
        if time.monotonic() > until:
            raise AssertionError(f"after {seconds} s still: {seen!r}")
        await asyncio.sleep(0.05)


async def ended(client: Any, response_id: str, seconds: float = 120) -> Any:
    """The response once its turn has ended."""
    return await eventually(
        lambda: client.responses.retrieve(response_id),
        lambda response: response.status not in ("queued", "in_progress"),
        seconds,
    )
