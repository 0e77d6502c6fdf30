"""Mends what model endpoints send before the host reads it: its router fails on what no client minds.

The openai SDK reads the events of every endpoint that the host calls; where a completion of ours is read, they
pass here first.
"""

import json
from codecs import BOM_UTF8
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

from openai._streaming import AsyncStream, ServerSentEvent

from k8gentai.agents.text.json_text import read_json
from k8gentai.workers.gateway.answer_parts import SentDeltas, sent_calls, sent_choices, unreadable_part
from k8gentai.workers.gateway.answer_reader import read_content, written_arguments
from k8gentai.workers.gateway.call_indexes import CallIndexes

_CUT_OFF = "it sent a part that is no whole JSON"

_reading: ContextVar["WireReading | None"] = ContextVar("wire_reading", default=None)


class WireReading:
    """The reading of one streamed completion."""

    def __init__(self) -> None:
        self.done = False
        """Whether the endpoint said that it was done."""
        self._indexes: defaultdict[int, CallIndexes] = defaultdict(CallIndexes)
        """The indexes of the tool calls, by those of their choices."""
        self._deltas = SentDeltas()

    def begin(self) -> None:
        """Have the events that this task reads from here on pass here."""
        _hook()
        _reading.set(self)

    def take(self, event: ServerSentEvent) -> ServerSentEvent | None:
        """Return an event as the host can read it; None for one that is no chunk. A chunk that was cut off or
        cannot be read is an error: what the answer says without it is something else.
        """
        if event.data.startswith("[DONE]"):
            self.done = True
            return event
        try:
            chunk = read_json(event.data)
        except ValueError:
            is_cut_off = event.event != "error" and event.data.lstrip().startswith("{")
            chunk = {"error": _CUT_OFF} if is_cut_off else event.data
        if event.event == "error" and not (isinstance(chunk, dict) and chunk.get("error")):
            chunk = {"error": chunk}
        if not isinstance(chunk, dict):
            return None
        return ServerSentEvent(
            data=json.dumps(_error(chunk) or self._mended(chunk)), id=event.id, retry=event.retry
        )

    def _mended(self, chunk: dict[str, Any]) -> dict[str, Any]:
        """Return a chunk whose parts have the types that the host's router counts on."""
        chunk["choices"] = sent_choices(chunk)
        for number, choice in enumerate(chunk["choices"]):
            choice["index"] = choice["index"] if isinstance(choice.get("index"), int) else number
            delta = choice["delta"] = self._deltas.read(choice)
            # The answer so far, once more: the host knows no such field.
            choice.pop("message", None)
            choice.pop("text", None)
            if not isinstance(delta.get("content", ""), str | None):
                delta["content"], thoughts = read_content(delta["content"])
                if thoughts:
                    delta["reasoning_content"] = thoughts
            if "tool_calls" in delta:
                delta["tool_calls"] = sent_calls({"tool_calls": delta["tool_calls"]})
            for position, call in enumerate(delta.get("tool_calls", ())):
                call["index"] = self._indexes[choice["index"]].index(call, position)
                _mend_call(call)
        return chunk


def _hook() -> None:
    if not hasattr(AsyncStream._iter_events, "__wrapped__"):
        AsyncStream._iter_events = _mending(AsyncStream._iter_events)  # type: ignore[method-assign, assignment]


def _mending(
    events: Callable[[Any], AsyncIterator[ServerSentEvent]],
) -> Callable[[Any], AsyncIterator[ServerSentEvent]]:
    @wraps(events)
    async def mending(self: Any) -> AsyncIterator[ServerSentEvent]:
        reading = _reading.get()
        if reading:
            self._decoder = _MarkedDecoder(self._decoder)
        async for event in events(self):
            if (mended := reading.take(event) if reading else event) is not None:
                yield mended

    return mending


class _MarkedDecoder:
    """Decodes events behind a byte order mark, which the SDK takes for a part of the first line.

    Args:
        decoder: the SDK's own.
    """

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    def aiter_bytes(self, sent: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
        """Yield the events in what is sent."""
        events: AsyncIterator[ServerSentEvent] = self._decoder.aiter_bytes(_unmarked(sent))
        return events


async def _unmarked(sent: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what is sent without the byte order mark that it may begin with."""
    head: bytes | None = b""
    async for block in sent:
        if head is None:
            yield block
        elif not BOM_UTF8.startswith((head := head + block)[: len(BOM_UTF8)]) or len(head) >= len(BOM_UTF8):
            yield head.removeprefix(BOM_UTF8)
            head = None
    if head:
        yield head


def _error(chunk: dict[str, Any]) -> dict[str, Any] | None:
    """Return an error in the form that the SDK knows; None for a chunk that is none and can be read."""
    if chunk.get("object") == "error":
        return {"error": {name: chunk.get(name) for name in ("message", "type", "code", "param")}}
    error = chunk.get("error")
    if not error and (part := unreadable_part(chunk)):
        error = f"it sent a part that cannot be read ({part!r})"
    if not error:
        return None
    return {"error": error if isinstance(error, dict) else {"message": str(error)}}


def _mend_call(call: dict[str, Any]) -> None:
    function = call["function"] = call["function"] if isinstance(call.get("function"), dict) else {}
    function["arguments"] = written_arguments(function.get("arguments"))
