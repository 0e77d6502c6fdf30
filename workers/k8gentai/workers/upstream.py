"""A model call from the gateway to the stack's ``/v1/chat/completions``, tried again while that is safe."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import httpx

from k8gentai.agents.error_codes import model_error_code
from k8gentai.workers.bounded_reading import TooLargeError, lines, whole
from k8gentai.workers.names import ModelNames

_RETRIES_SECONDS = (0.5, 1.5)
"""Pauses before the second and the third try."""
_KNOCK_SECONDS = 0.5
_LONGEST_RETRY_SECONDS = 10.0
_RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504})
"""Statuses worth another try: those the OpenAI SDK retries."""
_UNTOLD = "Internal server error: An unexpected error occurred."
"""What Llama Stack 0.7 answers in place of a cause, such as an endpoint that cannot be reached."""
_CONNECT_SECONDS = 5.0
_SILENCE_SECONDS = 300.0
"""How long a model may think without sending a byte."""
_ANSWER_BYTES = 64_000_000
"""How large one answer may be as it is sent: a few bytes of text take up to some hundred in a chunk."""

Chunk = dict[str, Any]


class UpstreamError(Exception):
    """The model did not answer. The message is the cause.

    Args:
        cause: for a person.
        status: the HTTP status to pass on.
        code: what the model's endpoint calls the error, if it does.
        retry_after: seconds the model asked to wait, or None; only errors that are worth another try have
            ``retry`` set.
    """

    def __init__(
        self,
        cause: str,
        status: int = 502,
        code: object = None,
        *,
        retry: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(cause)
        self.status = status
        self.code = model_error_code(status, code)
        self.retry = retry
        self.retry_after = retry_after


class StackAwayError(UpstreamError):
    """The stack's server cannot be reached."""


class StackLostError(UpstreamError):
    """The stack's server went away in the middle of an answer: nothing that the model or the agent did."""


class Upstream:
    """The stack's model API.

    Args:
        stack_url: e.g. ``http://127.0.0.1:8321``.
        api_key: the credential the stack asks for, if any; agent code never sees it.
        restart_seconds: how long a stack that cannot be reached is waited for: it may be starting anew.
    """

    def __init__(self, stack_url: str, api_key: str | None = None, restart_seconds: float = 60) -> None:
        self._client = httpx.AsyncClient(
            base_url=stack_url,
            headers={"authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(_SILENCE_SECONDS, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
        )
        self._restart_seconds = restart_seconds
        self._names = ModelNames(self._client)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def complete(self, body: dict[str, Any], headers: dict[str, str]) -> Chunk:
        """A completion in one piece.

        Raises:
            UpstreamError
        """

        async def once() -> Chunk:
            response = await self._send(body, headers)
            try:
                completion: Chunk = json.loads(await _body(response))
                return completion
            finally:
                await response.aclose()

        return await self._retrying(once)

    async def stream(self, body: dict[str, Any], headers: dict[str, str]) -> AsyncGenerator[Chunk]:
        """A completion in chunks. Closing the iterator closes the model's stream.

        Raises:
            UpstreamError: also in mid-stream, when the model hangs up or reports an error.
        """

        async def once() -> tuple[httpx.Response, AsyncIterator[Chunk], Chunk]:
            response = await self._send(body, headers)
            chunks = _chunks(response)
            try:
                return response, chunks, await anext(chunks)
            except BaseException:
                await response.aclose()
                raise

        response, chunks, first = await self._retrying(once)
        try:
            yield first
            async for chunk in chunks:
                yield chunk
        finally:
            await response.aclose()

    async def _send(self, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        """Ask once; the answer's status is good and its body unread."""
        body = {**body, "model": await self._names.served(body["model"])}
        request = self._client.build_request("POST", "/v1/chat/completions", json=body, headers=headers)
        response = await _guarded(self._client.send(request, stream=True))
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
        while True:
            try:
                return await once()
            except StackAwayError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(_KNOCK_SECONDS)
            except StackLostError:
                # Nothing of an answer was seen. The model did nothing wrong: it is the server that starts anew.
                until = time.monotonic() + self._restart_seconds
                await asyncio.sleep(_KNOCK_SECONDS)
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
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise StackAwayError(f"the stack could not be reached ({error})", 503) from error
    except httpx.TimeoutException as error:
        raise UpstreamError(f"no answer within {_SILENCE_SECONDS:.0f} s", 504) from error
    except httpx.TransportError as error:
        raise StackLostError(f"the connection to the stack broke ({error})", 502, retry=True) from error
    except TooLargeError as error:
        raise UpstreamError(f"sent {error} in one answer") from error


async def _body(response: httpx.Response) -> bytes:
    """An answer in one piece."""
    return await _guarded(whole(response.aiter_bytes(), _ANSWER_BYTES))


def _refused(response: httpx.Response, body: bytes) -> UpstreamError:
    status, code = response.status_code, None
    try:
        error = json.loads(body)["error"]
        message = error["message"] if isinstance(error, dict) else str(error)
        code = error.get("code") if isinstance(error, dict) else None
    except (ValueError, KeyError, TypeError):
        message = body.decode(errors="replace")[:300]
    if message == _UNTOLD:
        message = "the stack does not say why (its log does); is its model endpoint up?"
    header = response.headers.get("retry-after", "")
    return UpstreamError(
        f"answered {status}: {message}",
        status,
        code,
        retry=status in _RETRIED,
        retry_after=float(header) if header.isdecimal() else None,
    )


async def _chunks(response: httpx.Response) -> AsyncIterator[Chunk]:
    """The chunks of a streamed completion (server-sent events of the OpenAI API).

    A stream that ends without a ``finish_reason`` was cut off: the stack sends no ``[DONE]``.
    """
    finished = False
    sent = lines(response.aiter_bytes(), _ANSWER_BYTES)
    while (line := await _guarded(anext(sent, None))) is not None:
        if not line.startswith(b"data:") or (data := line[5:].strip()) == b"[DONE]":
            continue
        chunk: Chunk = json.loads(data)
        if error := chunk.get("error"):
            cause = error.get("message") if isinstance(error, dict) else error
            raise UpstreamError(f"broke off: {cause}", retry=True)
        finished = finished or any(choice.get("finish_reason") for choice in chunk.get("choices", ()))
        yield chunk
    if not finished:
        raise UpstreamError("hung up in mid-answer", retry=True)
