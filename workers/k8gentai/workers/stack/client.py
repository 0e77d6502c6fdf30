"""The one way of a worker to the stack's server: model calls, turns of other agents, services for turns.

Connections, time-outs, credentials, and how long to wait before a request is sent again are here.
"""

import asyncio
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import httpx
import structlog

from k8gentai.agents.contract.turn import ToolFailedError
from k8gentai.agents.text.json_text import json_text, read_json
from k8gentai.workers.http.sent_errors import SentError
from k8gentai.workers.stack.credentials import Caller, Credentials

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 60.0
"""The seconds that a request waits for its answer, where nothing else is said. Sent again, it leads to the same
turn."""
KNOCK_SECONDS = 0.5
"""The pause before a stack that was away is asked again."""
_KEPT_CONNECTIONS = 100
"""The number of connections that are kept open though they are not in use."""
_LONGEST_PAUSE_SECONDS = 10.0
_AGAIN = frozenset({429, 502, 503, 504})
_PASSING = frozenset({401, 408, 409, 425, 429})
"""Statuses of refusals that say nothing of the request itself: a wrong key is put right, a limit is over."""

Fault = Literal["away", "silent", "unsendable", "lost"]
"""The fault of a request that has no answer: the stack could not be reached, it sent nothing for too long, the
request is none that HTTP knows, or the connection broke."""

log = structlog.get_logger(__name__)


class StackRefusedError(ToolFailedError):
    """The stack refused a request.

    Args:
        message: the stack's own.
        code: the error's code; empty where it has none.
        status: the HTTP status.
    """

    def __init__(self, message: str, code: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    @property
    def is_passing(self) -> bool:
        """Whether the same request may be granted another time."""
        return self.status in _PASSING or self.status >= 500


class StackClient:
    """The stack's API, for all turns of one worker.

    Args:
        stack_url: e.g. ``http://127.0.0.1:8321``.
        credentials: gives each request its headers; agents' code never sees them.
        transport: the transport that carries requests, in place of the network.
    """

    def __init__(
        self, stack_url: str, credentials: Credentials, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._credentials = credentials
        self._http = httpx.AsyncClient(
            base_url=stack_url,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=_KEPT_CONNECTIONS),
            transport=transport,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def send(
        self,
        method: str,
        path: str,
        caller: Caller | None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> httpx.Response:
        """Send a request once, and return its answer, whatever its status. Its content is unread; whoever asks
        closes it.

        Args:
            method: of HTTP.
            path: of the stack's API.
            caller: the attempt that the request is made for; None for one of the worker's own.
            body: the JSON of the body.
            headers: further ones.
            silence_seconds: the seconds for which the stack may send nothing.

        Raises:
            httpx.TransportError: there is no answer; see :func:`fault_of`.
        """
        sent = {**(headers or {}), **(caller.trace if caller else {}), **await self._credentials.headers(caller)}
        content = None
        if body is not None:
            sent["content-type"] = "application/json"
            content = json_text(body)
        request = self._http.build_request(
            method,
            path,
            content=content,
            headers=sent,
            timeout=_timeout(silence_seconds),
        )
        return await self._http.send(request, stream=True)

    async def get(self, path: str) -> Any:
        """Return the JSON of an answer to a request of the worker's own, which is sent once.

        Raises:
            httpx.HTTPError: there is none, or the stack refused it.
            ValueError: it is no JSON.
        """
        answer = await self.send("GET", path, None)
        try:
            answer.raise_for_status()
            return json.loads(await answer.aread())
        finally:
            await answer.aclose()

    async def respond(self, body: Mapping[str, Any], key: str, caller: Caller) -> dict[str, Any]:
        """Return the response to a request, when its turn has ended.

        Args:
            body: of ``POST /v1/responses``.
            key: the request's idempotency key, which leads to one turn however often it is sent.
            caller: the attempt that asks.

        Raises:
            StackRefusedError: the stack refused it; the message is its own.
        """
        return await self.post("/v1/responses", body, caller, {"idempotency-key": key})

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        caller: Caller,
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float | None = None,
    ) -> dict[str, Any]:
        """Return the answer to a request that may be sent more than once.

        Whatever happens to the stack's server, it is sent until there is an answer.

        Args:
            path: of the stack's API.
            body: the JSON of the body.
            caller: the attempt that the request is made for.
            headers: further ones.
            seconds: the seconds to wait for an answer; None where the caller has a time limit of its own.

        Raises:
            StackRefusedError: the stack refused it, with the stack's own message; what answers is no stack; or
                there was no answer in time, with why, where the stack said that.
        """
        tries = _Tries(caller)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        return await self._posted(path, body, caller, headers)
                    except _PassingError as passing:
                        await asyncio.sleep(tries.pause_after(passing))
        except TimeoutError:
            within = f"the stack did not answer within {seconds:g} s"
            message = f"{tries.refusal.rstrip('.')} (for {seconds:g} s)" if tries.refusal else within
            raise StackRefusedError(message, "", 504) from None

    async def _posted(
        self, path: str, body: Mapping[str, Any], caller: Caller, headers: Mapping[str, str] | None
    ) -> dict[str, Any]:
        """Return the answer to a request that is sent once.

        Raises:
            StackRefusedError: asking again would not help.
            _PassingError: it may.
        """
        try:
            answer = await self.send("POST", path, caller, body, headers)
            try:
                content = await answer.aread()
            finally:
                await answer.aclose()
        except httpx.TransportError as error:
            fault = fault_of(error)
            if fault == "unsendable":
                # Its own words repeat the header, which may be a credential.
                raise StackRefusedError(f"the request cannot be sent ({type(error).__name__})", "") from None
            # One whose answer did not come in time was under way all the while.
            pause = 0.0 if fault == "silent" else KNOCK_SECONDS
            raise _PassingError(pause, fault=str(error)) from error
        if answer.is_success:
            return _read_answer(answer, content)
        raise _refusal(answer)


class _PassingError(Exception):
    """A request that has no answer yet.

    Args:
        pause: the seconds to wait before it is sent again; None where the refusal does not say.
        refusal: the stack's words; empty where it did not answer.
        fault: the fault of the connection; empty where the stack answered.
    """

    def __init__(self, pause: float | None, *, refusal: str = "", fault: str = "") -> None:
        super().__init__(refusal or fault)
        self.pause = pause
        self.refusal = refusal
        self.fault = fault


class _Tries:
    """The tries of a request that is sent again and again: the pauses between them, and the last refusal.

    Args:
        caller: the attempt that it is made for.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._next_pause = 0.0
        self.refusal = ""
        """The stack's words when it refused last; empty where it did not answer since."""

    def pause_after(self, passing: _PassingError) -> float:
        """Return how many seconds to wait before it is sent again: longer and longer where the stack refuses."""
        self.refusal = passing.refusal
        pause = passing.pause
        if pause is None:
            pause = self._next_pause or KNOCK_SECONDS
            self._next_pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        if passing.fault and pause:
            log.warning("stack_away", turn=self._caller.turn_id, error=passing.fault, retry_in=pause)
        return min(pause, _LONGEST_PAUSE_SECONDS)


@cache
def _timeout(silence_seconds: float) -> httpx.Timeout:
    """Return the time-outs of a request."""
    return httpx.Timeout(silence_seconds, connect=CONNECT_SECONDS)


def fault_of(error: httpx.TransportError) -> Fault:
    """Return what became of a request that has no answer."""
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return "away"
        case httpx.TimeoutException():
            return "silent"
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol():
            return "unsendable"
    return "lost"


def retry_after(answer: httpx.Response) -> float | None:
    """Return how many seconds an answer asks to wait; None where it does not."""
    header = answer.headers.get("retry-after", "")
    return float(header) if header.isdecimal() else None


def is_final(answer: httpx.Response) -> bool:
    """Return whether an answer asks not to be asked for again."""
    return bool(answer.headers.get("x-should-retry") == "false")


def _refusal(answer: httpx.Response) -> StackRefusedError | _PassingError:
    """Return the error of an answer that is one."""
    error = _read_error(answer.content)
    message = error.message or f"the stack answered {answer.status_code}"
    # A server that stops asks not to be asked again by those whose request would bring another turn.
    final = is_final(answer) and error.code != "server_stopping"
    if answer.status_code not in _AGAIN or final:
        return StackRefusedError(message, str(error.code or ""), answer.status_code)
    return _PassingError(retry_after(answer), refusal=message)


def _read_answer(answer: httpx.Response, content: bytes) -> dict[str, Any]:
    """Return the JSON of an answer that is none of a refusal.

    Raises:
        StackRefusedError: it is no JSON object: what answers is not the stack, or it is cut short.
    """
    try:
        read = read_json(content)
    except ValueError:
        read = None
    if isinstance(read, dict):
        return read
    kind = answer.headers.get("content-type", "no content-type")
    message = f"the stack answered {answer.request.url.path} with {answer.status_code} and no JSON object ({kind})"
    raise StackRefusedError(message, "", httpx.codes.BAD_GATEWAY)


def _read_error(content: bytes) -> SentError:
    """Return the error that an answer's JSON is; one without words where it is none."""
    try:
        sent = read_json(content)
    except ValueError:
        sent = None
    return SentError.of(sent) if isinstance(sent, dict) else SentError("")
