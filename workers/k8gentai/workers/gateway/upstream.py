"""A model call from the gateway to the stack's ``/v1/chat/completions``, tried again while that is safe."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import structlog

from k8gentai.agents.contract.error_codes import model_error_code
from k8gentai.agents.text.json_text import read_json
from k8gentai.agents.text.utf8 import encodable
from k8gentai.workers.attempt.journal_entries import Failure
from k8gentai.workers.gateway.announced_calls import AnnouncedCalls
from k8gentai.workers.gateway.answer_parts import says_anything, sent_choices, unreadable_part
from k8gentai.workers.gateway.stray_lines import StrayLines
from k8gentai.workers.http.bounded_reading import TooLargeError, lines, whole
from k8gentai.workers.http.sent_errors import SentError, sent_error
from k8gentai.workers.stack.client import KNOCK_SECONDS, StackClient, fault_of, is_final, retry_after
from k8gentai.workers.stack.credentials import Caller
from k8gentai.workers.stack.model_names import ModelNames

_RETRIES_SECONDS = (0.5, 1.5)
"""Pauses before the second and the third try."""
_MOST_LOSSES = 5
"""The number of times in a row that a call may lose its connection before anything of its answer came: the call
itself may be what ends the server."""
_LONGEST_RETRY_SECONDS = 10.0
_RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
"""Statuses worth another try: those the OpenAI SDK retries, and Anthropic's for an overloaded model."""
_BROKEN = ("error", "abort", "insufficient_system_resource")
"""Finish reasons of answers that are not whole: Mistral's and OpenRouter's, vLLM's, and DeepSeek's."""
_PASSING = frozenset({"model_error", "model_overloaded", "rate_limit_exceeded"})
"""Codes of errors that may be gone when the same call is made again."""
_FINAL = re.compile(
    r"invalid|bad_?request|authentication|permission|not_?found|unprocessable|insufficient_quota|billing"
    r"|content_(filter|policy)|too_large",
    re.IGNORECASE,
)
"""Types and codes of errors that the same call would have again, where no status tells."""
_UNTOLD = "Internal server error: An unexpected error occurred."
"""The message of Llama Stack 0.7 in place of a cause, such as an endpoint that cannot be reached."""
_SILENCE_SECONDS = 300.0
"""The seconds that a model may think without sending a byte."""
_ANSWER_BYTES = 64_000_000
"""The bytes that one answer may have as it is sent: a few bytes of text take up to some hundred in a chunk."""

_WORDS = 1_000
"""Characters of an endpoint's own words that a message carries."""

Chunk = dict[str, Any]

log = structlog.get_logger(__name__)


class UpstreamError(Exception):
    """The model did not answer. The message is the cause.

    Args:
        cause: for a person.
        status: the HTTP status to pass on.
        code: the endpoint's own code of the error, if it has one.
        words: the endpoint's other words for it, to tell what kind of error it is.
        retry_after: seconds the model asked to wait, or None; only errors that are worth another try have
            ``retry`` set.
    """

    def __init__(
        self,
        cause: str,
        status: int = 502,
        code: object = None,
        *,
        words: str = "",
        retry: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(cause)
        self.status = status
        self.code = model_error_code(status, code, words)
        self.retry = retry
        self.retry_after = retry_after


def failed_before(failure: Failure) -> UpstreamError:
    """Return the error of a model call that failed in an earlier attempt."""
    error = UpstreamError(failure.cause, failure.status)
    error.code = failure.code
    return error


class StackAwayError(UpstreamError):
    """The stack's server cannot be reached: nothing that the model did."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause, 503)
        self.code = "model_error"


class StackLostError(UpstreamError):
    """The stack's server went away in the middle of an answer: nothing that the model or the agent did."""


class Upstream:
    """The stack's model API.

    Args:
        stack: carries the calls.
        restart_seconds: how long a stack that cannot be reached is waited for: it may be starting anew.
    """

    def __init__(self, stack: StackClient, restart_seconds: float = 60) -> None:
        self._stack = stack
        self._restart_seconds = restart_seconds
        self._names = ModelNames(stack)

    async def complete(self, body: dict[str, Any], caller: Caller) -> Chunk:
        """Return a completion in one piece.

        Raises:
            UpstreamError
        """

        async def once() -> Chunk:
            response = await self._send(body, caller)
            try:
                return _completion(await _body(response), body)
            finally:
                await response.aclose()

        return await self._retrying(once)

    async def embed(self, body: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """Return the answer of an embedding model.

        Raises:
            UpstreamError
        """

        async def once() -> dict[str, Any]:
            response = await self._send(body, caller, "/v1/embeddings")
            try:
                return _answer(await _body(response), "data")
            finally:
                await response.aclose()

        return await self._retrying(once)

    async def stream(self, body: dict[str, Any], caller: Caller) -> AsyncGenerator[Chunk]:
        """Yield a completion in chunks. Closing the iterator closes the model's stream.

        Raises:
            UpstreamError: also in mid-stream, when the model hangs up or reports an error.
        """

        async def once() -> tuple[httpx.Response, AsyncIterator[Chunk], list[Chunk]]:
            response = await self._send(body, caller)
            chunks = _chunks(response, body)
            try:
                return response, chunks, await _begun(chunks)
            except BaseException:
                await response.aclose()
                raise

        response, chunks, begun = await self._retrying(once)
        try:
            # An endpoint may know no streams: the stack makes an empty one of its answer in one piece.
            for chunk in begun or [await self.complete(_unstreamed(body), caller)]:
                yield chunk
            async for chunk in chunks:
                yield chunk
        finally:
            await response.aclose()

    async def _send(
        self, body: dict[str, Any], caller: Caller, path: str = "/v1/chat/completions"
    ) -> httpx.Response:
        """Ask once; the answer's status is good and its body unread."""
        body = {**body, "model": await self._names.served(body["model"])}
        sending = self._stack.send("POST", path, caller, body, silence_seconds=_SILENCE_SECONDS)
        response = await _guarded(sending)
        if response.status_code == httpx.codes.OK:
            return response
        try:
            raise _refused(response, await _body(response))
        finally:
            await response.aclose()

    async def _retrying[T](self, once: Callable[[], Awaitable[T]]) -> T:
        """Try while it is worth it: the model answered nothing yet, and may if asked again."""
        until = time.monotonic() + self._restart_seconds
        pauses = iter(_RETRIES_SECONDS)
        losses = 0
        while True:
            try:
                return await once()
            except StackAwayError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(KNOCK_SECONDS)
            except StackLostError:
                # Nothing of an answer was seen. The model did nothing wrong: it is the server that starts anew.
                losses += 1
                if losses == _MOST_LOSSES:
                    raise
                until = time.monotonic() + self._restart_seconds
                await asyncio.sleep(KNOCK_SECONDS)
            except UpstreamError as error:
                pause = next(pauses, None)
                if pause is None:
                    raise
                wait = pause if error.retry_after is None else error.retry_after
                if not error.retry or wait > _LONGEST_RETRY_SECONDS:
                    raise
                await asyncio.sleep(wait)


async def _guarded[T](waiting: Awaitable[T]) -> T:
    """Name what the network did."""
    try:
        return await waiting
    except httpx.TransportError as error:
        raise _unanswered(error) from error
    except TooLargeError as error:
        raise UpstreamError(f"sent {error} in one answer") from error


def _unanswered(error: httpx.TransportError) -> UpstreamError:
    """Return the error of a call that has no answer, or no whole one."""
    match fault_of(error):
        case "away":
            return StackAwayError(f"the stack could not be reached ({error})")
        case "silent":
            return UpstreamError(f"no answer within {_SILENCE_SECONDS:.0f} s", 504)
        case "unsendable":
            # Its own words repeat the header, which may be a credential.
            return UpstreamError(f"the call cannot be sent ({type(error).__name__})")
    return StackLostError(f"the connection to the stack broke ({error})", 502, retry=True)


async def _body(response: httpx.Response) -> bytes:
    """Return an answer in one piece."""
    return await _guarded(whole(response.aiter_bytes(), _ANSWER_BYTES))


def _is_final(error: SentError) -> bool:
    """Return whether the same call would fail again, as far as can be known."""
    code = model_error_code(error.status or 0, error.code, _told(error))
    if error.status is not None:
        return error.status not in _RETRIED or code == "context_length_exceeded"
    return code not in _PASSING or bool(_FINAL.search(error.kind))


def _raised(error: SentError, cause: str, status: int, **retrying: Any) -> UpstreamError:
    """Return the exception for what an endpoint says of an error.

    Args:
        error: the error as the endpoint sent it.
        cause: the fault, in words that go before the endpoint's own.
        status: the HTTP status.
        retrying: whether and when another try is worth it.
    """
    return UpstreamError(f"{cause}: {_words(error.message)}", status, error.code, words=_told(error), **retrying)


def _told(error: SentError) -> str:
    """Return all that tells what kind of error it is."""
    return f"{error.kind} {_words(error.message)}"


def _words(message: str) -> str:
    """Return what an endpoint says, as far as a message carries it."""
    words = encodable(message)[:_WORDS]
    return "the stack does not say why (its log does); is its model endpoint up?" if words == _UNTOLD else words


def _read_error(body: bytes) -> Any:
    """Return the body of an error: JSON, or the text that it is."""
    try:
        return read_json(body)
    except ValueError:
        return body.decode(errors="replace")


def _refused(response: httpx.Response, body: bytes) -> UpstreamError:
    status = response.status_code
    error = SentError.of(_read_error(body))
    # The stack's own client says so of what it has tried again itself.
    tried = is_final(response)
    return _raised(
        error,
        f"answered {status}",
        status,
        retry=status in _RETRIED and not tried and not _is_final(error),
        retry_after=retry_after(response),
    )


def _unstreamed(body: dict[str, Any]) -> dict[str, Any]:
    """Return the same call for an answer in one piece."""
    return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}


def _completion(body: bytes, request: dict[str, Any]) -> Chunk:
    """Return an answer in one piece.

    Raises:
        UpstreamError: it is none, or an error in place of one.
    """
    completion = _answer(body, "choices")
    calls = AnnouncedCalls(request)
    calls.read(_checked(completion))
    _check_calls(calls)
    return completion


def _check_calls(calls: AnnouncedCalls) -> None:
    """Raise an UpstreamError for an answer that is at its end and announces a call that it does not hold."""
    if reason := calls.unkept_reason():
        cause = f"broke off: its answer ends with the finish reason {reason!r} and holds no call"
        raise UpstreamError(cause, retry=True)


def _checked(chunk: Chunk) -> Chunk:
    """Return a chunk or completion that is no error and can be read.

    Raises:
        UpstreamError
    """
    if told := _error_in(chunk):
        raise _broke_off(told)
    if part := unreadable_part(chunk):
        raise UpstreamError(f"broke off: it sent a part that cannot be read ({part!r})", retry=True)
    return chunk


def _answer(body: bytes, holds: str) -> dict[str, Any]:
    """Return the object that an answer is, which holds a list of that name.

    Raises:
        UpstreamError: it is none.
    """
    try:
        answer = read_json(body)
    except ValueError as error:
        raise UpstreamError("sent an answer that is no JSON", retry=True) from error
    if not isinstance(answer, dict) or not isinstance(answer.get(holds), list):
        raise _broke_off(answer)
    return answer


def _error_in(chunk: Chunk) -> Any:
    """Find the error that a chunk or completion tells of, itself or in a choice, as routers of models do."""
    if error := sent_error(chunk):
        return error
    for choice in sent_choices(chunk):
        if choice.get("error"):
            return choice
        if (reason := choice.get("finish_reason")) in _BROKEN:
            return {"message": f"its answer ended with the finish reason {reason!r}"}
    return None


def _broke_off(sent: Any) -> UpstreamError:
    """Return the error that came where an answer, or more of one, was to come."""
    error = SentError.of(sent)
    return _raised(error, "broke off", error.status or 502, retry=not _is_final(error))


async def _begun(chunks: AsyncIterator[Chunk]) -> list[Chunk]:
    """Return the chunks up to the first that says anything: an answer may be asked for again until then."""
    begun: list[Chunk] = []
    async for chunk in chunks:
        begun.append(chunk)
        if says_anything(chunk):
            break
    return begun


async def _chunks(response: httpx.Response, request: dict[str, Any]) -> AsyncIterator[Chunk]:
    """Yield the chunks of a streamed completion (server-sent events of the OpenAI API), or the one that a
    completion is.

    A stream that ends without a ``finish_reason`` and without ``[DONE]`` was cut off, unless it holds nothing at
    all. One with a chunk that is no whole JSON or cannot be read, or without a call that it announces, is not
    whole either. Lines that are no chunks are left out, as are comments, but for one that broke the answer off.
    """
    if response.headers.get("content-type", "").startswith("application/json"):
        yield _completion(await _body(response), request)
        return
    calls, stray = AnnouncedCalls(request), StrayLines()
    begun = finished = is_error = False
    sent = lines(response.aiter_bytes(), _ANSWER_BYTES)
    while (line := await _within(anext(sent, None))) is not None:
        is_error = line[6:].strip() == b"error" if line.startswith(b"event:") else is_error and bool(line)
        if not line.startswith(b"data:") or not (data := line[5:].strip()):
            continue
        begun = True
        if data == b"[DONE]":
            finished = True
            break
        if is_error:
            raise _broke_off(_read_error(data))
        try:
            chunk = read_json(data)
        except ValueError as error:
            if data.startswith(b"{"):
                raise UpstreamError("broke off: it sent a part that is no whole JSON", retry=True) from error
            log.warning("no_chunk", line=len(data))
            chunk = data.decode(errors="replace")
        if not isinstance(chunk, dict):
            stray.take(chunk)
            continue
        calls.read(_checked(chunk))
        stray.goes_on(chunk)
        finished = finished or any(choice.get("finish_reason") for choice in sent_choices(chunk))
        yield chunk
    if words := stray.breaking():
        raise _broke_off(words)
    if begun and not finished:
        raise UpstreamError("hung up in mid-answer", retry=True)
    _check_calls(calls)


async def _within[T](waiting: Awaitable[T]) -> T:
    """Wait for a whole line: a model that sends single bytes is as silent as one that sends none."""
    try:
        async with asyncio.timeout(_SILENCE_SECONDS):
            return await _guarded(waiting)
    except TimeoutError as error:
        raise UpstreamError(f"sent no whole line within {_SILENCE_SECONDS:.0f} s", 504) from error
