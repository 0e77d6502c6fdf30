"""The steps that a script is made of: answers, refusals and the gates between their pieces."""

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any


class Ending(Enum):
    """The ways in which an answer ends that does not end well."""

    HANG_UP = auto()
    """The connection is dropped, without the stream's terminator."""
    FOREVER = auto()
    """Deltas go on until the client closes the stream."""
    ENDLESS_LINE = auto()
    """One line goes on until the client closes the stream."""


HANG_UP = Ending.HANG_UP
FOREVER = Ending.FOREVER
ENDLESS_LINE = Ending.ENDLESS_LINE


@dataclass(frozen=True)
class Pause:
    """A model that takes its time."""

    seconds: float


@dataclass(frozen=True)
class Thought:
    """A piece of the model's reasoning: ``reasoning_content``, as vLLM and others send it."""

    text: str


@dataclass(frozen=True)
class Raw:
    """Fields of a chunk that is sent in a stream as it is, or text that is sent in the place of chunks."""

    sent: Mapping[str, Any] | str


class Gate:
    """A point an answer does not pass before the test opens it. One gate may stand in several answers."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._reached = threading.Event()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._lock = threading.Lock()

    def open(self) -> None:
        """Let everything pass, now and later. Callable from any thread."""
        with self._lock:
            self._open.set()
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            loop.call_soon_threadsafe(event.set)

    async def passed(self) -> None:
        """Wait on the server's loop until the gate is open."""
        event = asyncio.Event()
        with self._lock:
            self._reached.set()
            if self._open.is_set():
                return
            self._waiting.append((asyncio.get_running_loop(), event))
        await event.wait()

    @property
    def is_reached(self) -> bool:
        """Whether an answer stands at the gate, or has passed it."""
        return self._reached.is_set()

    async def reached(self, timeout: float = 120) -> None:  # noqa: ASYNC109 - the limit belongs to the assertion
        """Wait until an answer stands at the gate.

        Raises:
            AssertionError: after ``timeout`` seconds.
        """
        if not await asyncio.to_thread(self._reached.wait, timeout):
            raise AssertionError(f"no model answer came to the gate within {timeout} s")


@dataclass(frozen=True)
class Call:
    """A tool call. ``arguments`` as text is sent as it is, broken JSON too, in ``pieces`` deltas; so is an ``id``,
    be it empty or another call's."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    id: str | None = None
    pieces: int = 3

    @property
    def text(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else json.dumps(dict(self.arguments))


Part = str | Thought | Call | Raw | Gate | Pause | Ending


@dataclass(frozen=True, init=False)
class Answer:
    """One answer of the model: text deltas, tool calls (parallel ones one after another), gates, an ending.

    Args:
        parts: in the order they are sent.
        usage: tokens in and out, as the model reports them.
        finish: the finish reason; by default that of an answer which is whole, and none where it is empty.
        streamed: False for an answer in one piece, also where a stream is asked for.
    """

    parts: tuple[Part, ...]
    usage: tuple[int, int]
    finish: str
    streamed: bool

    def __init__(
        self,
        *parts: Part,
        usage: tuple[int, int] = (11, 7),
        finish: str | None = None,
        streamed: bool = True,
    ) -> None:
        whole = "tool_calls" if any(isinstance(part, Call) for part in parts) else "stop"
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "usage", usage)
        object.__setattr__(self, "streamed", streamed)
        object.__setattr__(self, "finish", whole if finish is None else finish)


@dataclass(frozen=True)
class Refuse:
    """An HTTP error in place of an answer. ``retry_after`` in seconds becomes the header."""

    status: int
    message: str = "scripted refusal"
    retry_after: int | None = None


Step = Answer | Refuse


class Received:
    """One request as it arrived, and what became of its stream."""

    def __init__(self, key: str | None, number: int, body: dict[str, Any], headers: dict[str, str]) -> None:
        self.key = key
        self.number = number
        """The request's number among those of the same key, from 0."""
        self.body = body
        self.headers = headers
        self.closed_by_client = threading.Event()
        self.ended = threading.Event()

    @property
    def messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.body["messages"]
        return messages

    def texts(self, role: str) -> list[str]:
        """Return the texts of the messages of one role, in order."""
        return [text_of(message) for message in self.messages if message["role"] == role]

    async def wait_closed(self, timeout: float = 120) -> None:  # noqa: ASYNC109 - the limit belongs to the assertion
        """Wait until the client closed this stream.

        Raises:
            AssertionError: after ``timeout`` seconds.
        """
        if not await asyncio.to_thread(self.closed_by_client.wait, timeout):
            raise AssertionError(
                f"the stream of call {self.number} of {self.key!r} was not closed within {timeout} s"
            )


def text_of(message: Mapping[str, Any]) -> str:
    """Return a chat message's text, whether it is a string or a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)
