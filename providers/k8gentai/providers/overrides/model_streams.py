"""Mends what model endpoints send before the host reads it: its router fails on what no client minds.

The openai SDK reads the answers of every endpoint that the host calls; where a completion of ours is asked for,
they pass here first.
"""

import json
from codecs import BOM_UTF8
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextvars import ContextVar
from functools import wraps
from typing import Any

from openai._base_client import AsyncAPIClient
from openai._streaming import AsyncStream, ServerSentEvent

from k8gentai.agents.text.json_text import read_json
from k8gentai.providers.host.error_answers import is_json, no_answer, take_error
from k8gentai.workers.gateway.answer_parts import (
    SentDeltas,
    sent_calls,
    sent_choices,
    unreadable_part,
    usable_logprobs,
)
from k8gentai.workers.gateway.call_indexes import CallIndexes
from k8gentai.workers.gateway.message_reader import read_content, written_arguments
from k8gentai.workers.gateway.stray_lines import StrayLines
from k8gentai.workers.gateway.usage_figures import read_usage
from k8gentai.workers.http.sent_errors import innermost_error, sent_error

_OK, _BAD_GATEWAY = 200, 502
_CUT_OFF = "it sent a part that is no whole JSON"

_BEGUN = "k8gentai_begun"
"""The extension of a response that gives its body, where the reading of it has begun."""
_OF_THE_BODY = ("content-length", "content-encoding", "transfer-encoding")
"""Headers that are not those of a body that was read."""

_takes_errors: ContextVar[bool] = ContextVar("takes_errors", default=False)
_reading: ContextVar["WireReading | None"] = ContextVar("wire_reading", default=None)


class WireReading:
    """The reading of one streamed completion."""

    def __init__(self) -> None:
        self.done = False
        """Whether the endpoint said that it was done."""
        self._indexes: defaultdict[int, CallIndexes] = defaultdict(CallIndexes)
        """The indexes of the tool calls, by those of their choices."""
        self._deltas = SentDeltas()
        self._stray = StrayLines()

    def begin(self) -> None:
        """Have the events that this task reads from here on pass here."""
        _hook()
        _reading.set(self)

    def take(self, event: ServerSentEvent) -> ServerSentEvent | None:
        """Return an event as the host can read it; None for one that is no chunk. A chunk that was cut off or
        cannot be read is an error: what the answer says without it is something else. So is the end of an answer
        that such a line broke off.
        """
        if event.data.startswith("[DONE]"):
            self.done = not (broken := self.broken())
            return ServerSentEvent(data=json.dumps(broken)) if broken else event
        try:
            chunk = read_json(event.data)
        except ValueError:
            is_cut_off = event.event != "error" and event.data.lstrip().startswith("{")
            chunk = {"error": _CUT_OFF} if is_cut_off else event.data
        if event.event == "error" and not (isinstance(chunk, dict) and chunk.get("error")):
            chunk = {"error": chunk or {}}
        error = _error(chunk)
        if not error and not isinstance(chunk, dict):
            self._stray.take(chunk)
            return None
        if not error:
            self._stray.goes_on(chunk)
        return ServerSentEvent(data=json.dumps(error or self._mended(chunk)), id=event.id, retry=event.retry)

    def broken(self) -> dict[str, Any] | None:
        """Return the error that an answer, which is at its end, broke off with in words alone; None where none
        did."""
        words = self._stray.breaking()
        return {"error": {"message": words}} if words else None

    def _mended(self, chunk: dict[str, Any]) -> dict[str, Any]:
        """Return a chunk whose parts have the types that the host's router counts on."""
        if "usage" in chunk:
            chunk["usage"] = read_usage(chunk["usage"])
        chunk["choices"] = sent_choices(chunk)
        for number, choice in enumerate(chunk["choices"]):
            choice["index"] = choice["index"] if isinstance(choice.get("index"), int) else number
            delta = choice["delta"] = self._deltas.read(choice)
            # The answer so far, once more: the host knows no such field.
            choice.pop("message", None)
            choice.pop("text", None)
            if "logprobs" in choice:
                choice["logprobs"] = usable_logprobs(choice["logprobs"])
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


def take_errors() -> None:
    """Have each answer to what this task asks for from here on that is an error have an error's status."""
    if not hasattr(AsyncAPIClient._send_request, "__wrapped__"):
        AsyncAPIClient._send_request = _taking_errors(  # type: ignore[method-assign]
            AsyncAPIClient._send_request
        )
    _takes_errors.set(True)


def _taking_errors(
    send: Callable[..., Awaitable[Any]],
) -> Callable[..., Coroutine[Any, Any, Any]]:
    @wraps(send)
    async def taking_errors(self: Any, request: Any, *, stream: bool, **kwargs: Any) -> Any:
        response = await send(self, request, stream=stream, **kwargs)
        if not _takes_errors.get() or response.status_code != _OK or (stream and not is_json(response)):
            return response
        try:
            answer = await _in_one_piece(response) if stream else response
            if answer is None:
                return response
            await answer.aread()
            await take_error(answer)
        except BaseException:
            await response.aclose()
            raise
        return _answer(answer)

    return taking_errors


async def _in_one_piece(response: Any) -> Any:
    """Return the answer to a streamed call with its body read; None where it is a stream, as some endpoints call
    theirs JSON too. What was read of that, the reading of its events begins with.
    """
    head, blocks = b"", response.aiter_bytes()
    while not head.removeprefix(BOM_UTF8).strip() and (block := await anext(blocks, None)) is not None:
        head += block
    if head.removeprefix(BOM_UTF8).lstrip()[:1] not in (b"{", b"["):
        response.extensions[_BEGUN] = _following(head, blocks)
        return None
    return _with_body(response, b"".join([head, *[block async for block in blocks]]))


def _answer(response: Any) -> Any:
    """Return a response that was read as the SDK can read it: one that is neither an answer nor an error, such as
    the page of a proxy, is an error."""
    if response.status_code != _OK:
        return response
    if error := no_answer(response.content):
        return _with_body(response, json.dumps(error).encode(), _BAD_GATEWAY, "application/json")
    return _with_figures(response)


def _with_figures(response: Any) -> Any:
    """Return an answer whose usage, where it has one, has figures that can be counted with."""
    try:
        sent = read_json(response.content)
    except ValueError:
        return response
    if not isinstance(sent, dict) or sent.get("usage") == (usage := read_usage(sent.get("usage"))):
        return response
    return _with_body(response, json.dumps({**sent, "usage": usage}).encode())


def _with_body(response: Any, body: bytes, status: int = _OK, kind: str | None = None) -> Any:
    headers = {name: value for name, value in response.headers.items() if name not in _OF_THE_BODY}
    headers |= {} if kind is None else {"content-type": kind}
    return type(response)(status, headers=headers, content=body, request=response.request)


async def _following(head: bytes, blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for block in blocks:
        yield block


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
            self._decoder = _MarkedDecoder(self._decoder, self.response.extensions.get(_BEGUN))
        async for event in events(self):
            if (mended := reading.take(event) if reading else event) is not None:
                yield mended

    return mending


class _MarkedDecoder:
    """Decodes events behind a byte order mark, which the SDK takes for a part of the first line.

    Args:
        decoder: the SDK's own.
        begun: gives what is sent, where the reading of it has begun.
    """

    def __init__(self, decoder: Any, begun: AsyncIterator[bytes] | None) -> None:
        self._decoder = decoder
        self._begun = begun

    def aiter_bytes(self, sent: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
        """Yield the events in what is sent."""
        events: AsyncIterator[ServerSentEvent] = self._decoder.aiter_bytes(_unmarked(self._begun or sent))
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


def _error(chunk: Any) -> dict[str, Any] | None:
    """Return an error in the form that the SDK knows; None for what is none, and is no chunk or can be read."""
    error = innermost_error(sent_error(chunk))
    if error and error is chunk:
        return {"error": {name: chunk.get(name) for name in ("message", "type", "code", "param")}}
    if not error and isinstance(chunk, dict) and (part := unreadable_part(chunk)):
        error = f"it sent a part that cannot be read ({part!r})"
    if not error:
        return None
    return {"error": error if isinstance(error, dict) else {"message": str(error)}}


def _mend_call(call: dict[str, Any]) -> None:
    function = call["function"] = call["function"] if isinstance(call.get("function"), dict) else {}
    function["arguments"] = written_arguments(function.get("arguments"))
