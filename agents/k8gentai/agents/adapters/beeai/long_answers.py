"""Has a streamed answer cost what its length is: at each piece, BeeAI reads all the pieces before it again."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from beeai_framework.backend import ChatModelNewTokenEvent, ChatModelOutput
from beeai_framework.backend.utils import parse_broken_json
from beeai_framework.emitter import EventMeta
from beeai_framework.middleware.stream_tool_call import StreamToolCallMiddleware

_SHARE = 8
"""A text that is read as a whole is read again when it has grown by one part in as many."""

_UNFINISHED_ESCAPE = len(r"\ud83d\ude0")
"""The number of characters that may wait for the rest of an escape."""

_PLAIN = re.compile(
    r'(?:[^"\\]++|\\["\\/bfnrt]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+"
)
"""The inside of a JSON string, as far as its escapes are whole."""


_END = re.compile(r'"\s*+(?:\}\s*+)?\Z')
"""The end of a JSON string, and of the object that has nothing else, as far as that is written."""


def spare_long_answers() -> None:
    """Have BeeAI join and read the pieces of answers in larger parts. Call once."""
    ChatModelOutput.from_chunks = classmethod(_joined)
    StreamToolCallMiddleware._handle_new_token = _in_parts(StreamToolCallMiddleware._handle_new_token)
    StreamToolCallMiddleware._handle_success = _to_the_end(StreamToolCallMiddleware._handle_success)


def _joined(made: type[ChatModelOutput], chunks: list[ChatModelOutput]) -> ChatModelOutput:
    """Join the pieces of an answer, all at once: what BeeAI comes to by looking for tool calls after each."""
    joined = made(output=[message.clone() for chunk in chunks for message in chunk.output])
    for chunk in chunks:
        joined.merge(chunk.model_copy(update={"output": []}))
    return joined


@dataclass
class _Unread:
    """The pieces of an answer that BeeAI has not looked at for a call of ``final_answer``.

    Attributes:
        output: the text that it has looked at.
        chunks: the pieces.
        size: the number of characters in them.
        read: the number of pieces that it has looked at.
    """

    output: ChatModelOutput
    chunks: list[ChatModelOutput] = field(default_factory=list)
    size: int = 0
    read: int = 0

    def add(self, chunk: ChatModelOutput) -> bool:
        """Add a piece. Returns whether there is enough to look at."""
        self.chunks.append(chunk)
        self.size += sum(_size(part) for message in chunk.output for part in message.content)
        return self.size * _SHARE >= self.read

    def take(self) -> ChatModelOutput:
        """Return what is to be looked at now."""
        taken = ChatModelOutput.from_chunks(self.chunks)
        self.chunks, self.read, self.size = [], self.read + self.size, 0
        return taken


_UNREAD = "k8gentai_unread"
"""The attribute of BeeAI's reader of an answer that holds the text it has not looked at."""


def _unread(reader: StreamToolCallMiddleware) -> _Unread:
    unread = reader.__dict__.get(_UNREAD)
    if unread is None or unread.output is not reader._output:
        unread = reader.__dict__[_UNREAD] = _Unread(reader._output)
    return unread


def _size(part: Any) -> int:
    return len(getattr(part, "text", "")) + len(getattr(part, "args", ""))


def _in_parts(read: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Have an answer looked at when it has grown enough: all of its text is parsed each time."""

    @wraps(read)
    async def taken(self: StreamToolCallMiddleware, data: ChatModelNewTokenEvent, meta: EventMeta) -> None:
        unread = _unread(self)
        if unread.add(data.value):
            await read(self, ChatModelNewTokenEvent(value=unread.take(), abort=data.abort), meta)

    taken.at_once = read  # type: ignore[attr-defined]
    return taken


def _to_the_end(end: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Have the rest of an answer looked at when it is whole."""

    @wraps(end)
    async def ended(self: StreamToolCallMiddleware, data: Any, meta: EventMeta) -> None:
        unread = _unread(self)
        if unread.chunks:
            read = type(self)._handle_new_token.at_once
            await read(self, ChatModelNewTokenEvent(value=unread.take(), abort=lambda: None), meta)
        await end(self, data, meta)

    return ended


class WrittenText:
    """The text in the arguments of a tool call, while they are written.

    Args:
        name: the argument.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._beginning = re.compile(rf'\s*\{{\s*"{re.escape(name)}"\s*:\s*"')
        self._text = ""
        self._place = 0
        """The position in the arguments where the text goes on; 0 before it has begun."""
        self._due = 0
        """The length of the arguments at which all of them are read the next time."""

    def read(self, arguments: str) -> str | None:
        """Return the text so far.

        Args:
            arguments: all of them that are written.

        Returns:
            The text; None where there is none, or none that is new.
        """
        if not self._place and (begun := self._beginning.match(arguments)):
            self._place = begun.end()
        if self._place and self._goes_on(arguments):
            return self._text
        if len(arguments) < self._due:
            return None
        self._due = len(arguments) + len(arguments) // _SHARE
        found = parse_broken_json(arguments, fallback={}, stream_stable=True)
        text = found.get(self._name) if isinstance(found, dict) else None
        return text if isinstance(text, str) else None

    def _goes_on(self, arguments: str) -> bool:
        """Take what is new of the text. Returns whether it goes on, or ends, as JSON has it."""
        plain = _PLAIN.match(arguments, self._place)
        assert plain is not None  # noqa: S101 - it matches nothing, too
        self._text += json.loads(f'"{plain.group()}"', strict=False)
        self._place = plain.end()
        rest = len(arguments) - self._place
        if arguments.startswith("\\", self._place):
            return rest <= _UNFINISHED_ESCAPE
        return not rest or _END.match(arguments, self._place) is not None
