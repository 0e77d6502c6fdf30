"""The model as Llama Stack's Responses loop sees it: the turn's own endpoint, over one shared HTTP client."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, get_args

import httpx
from httpx_sse import EventSource
from llama_stack_api import (
    OpenAIChatCompletionChunk,
    OpenAIChatCompletionChunkWithReasoning,
    OpenAIChatCompletionRequestWithExtraBody,
    OpenAIFinishReason,
)
from pydantic import ValidationError

from k8gentai.agents.contract.turn import ModelEndpoint

_FINISH_REASONS = frozenset(get_args(OpenAIFinishReason))


class ModelCallError(Exception):
    """A model call failed. The message names the model and the cause, for a person.

    Args:
        model: the model that was asked.
        cause: the fault, as a sentence about the model ("answered 500: …").
        status_code: the HTTP status, where there was one.
    """

    def __init__(self, model: str, cause: str, status_code: int | None = None) -> None:
        super().__init__(f"the model {model!r} {cause}")
        self.status_code = status_code
        # An exception with a status_code and a body is a model's error to Llama Stack's loop, which then
        # logs one line; any other it logs with a stack trace.
        self.body = {"error": {"message": str(self)}}


def new_client() -> httpx.AsyncClient:
    """Return a client for many turns at once. Time is limited by the turn's limits, not per read."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(None, connect=5),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
        # The endpoint is on loopback: a proxy named in the environment must not come between.
        trust_env=False,
    )


class ModelCalls:
    """The part of Llama Stack's ``Inference`` its Responses loop uses, for one turn.

    Attributes:
        count: the number of model calls that were begun.
        finish_reason: why the last model call ended, as the model said.
        fault: the error that ended the last call, if one did.
    """

    def __init__(self, client: httpx.AsyncClient, endpoint: ModelEndpoint, started: Callable[[], None]) -> None:
        self._client = client
        self._endpoint = endpoint
        self._started = started
        self._response: httpx.Response | None = None
        self.count = 0
        self.finish_reason: str | None = None
        self.fault: ModelCallError | None = None

    async def openai_chat_completion(
        self, params: OpenAIChatCompletionRequestWithExtraBody
    ) -> AsyncIterator[OpenAIChatCompletionChunkWithReasoning]:
        """Begin a streamed model call. What goes wrong is raised while the chunks are read."""
        return self._chunks(params)

    # A model's reasoning is shown whether it was asked for or not, so both are the same call.
    openai_chat_completions_with_reasoning = openai_chat_completion

    async def aclose(self) -> None:
        """Hang up on the model, if a call is open."""
        if self._response is not None:
            await self._response.aclose()

    async def _chunks(
        self, params: OpenAIChatCompletionRequestWithExtraBody
    ) -> AsyncIterator[OpenAIChatCompletionChunkWithReasoning]:
        self._started()
        self.count += 1
        self.finish_reason = None
        try:
            async with self._client.stream(
                "POST",
                f"{self._endpoint.base_url.rstrip('/')}/chat/completions",
                headers={"Authorization": f"Bearer {self._endpoint.api_key}"},
                json=_body(params),
            ) as response:
                self._response = response
                if response.is_error:
                    message = _error_message(await response.aread())
                    raise ModelCallError(
                        params.model, f"answered {response.status_code}: {message}", response.status_code
                    )
                async for chunk in self._read(response, params.model):
                    yield chunk
        except ModelCallError as error:
            self.fault = error
            raise
        except httpx.HTTPError as error:
            self.fault = ModelCallError(params.model, _broken(error, answered=self._response is not None))
            raise self.fault from error
        finally:
            self._response = None

    async def _read(
        self, response: httpx.Response, model: str
    ) -> AsyncIterator[OpenAIChatCompletionChunkWithReasoning]:
        """Read the server-sent events to their end, so that the connection can be used again.

        Not by the openai SDK: it makes an object of its own of each chunk, which takes ten times as long, and
        Llama Stack wants another.
        """
        async for event in EventSource(response).aiter_sse():
            if event.data == "[DONE]":
                continue
            chunk = _chunk(model, event.data)
            for choice in chunk.chunk.choices:
                self.finish_reason = choice.finish_reason or self.finish_reason
            yield chunk
        if self.finish_reason is None:
            raise ModelCallError(model, "hung up in the middle of its answer")


def _chunk(model: str, data: str) -> OpenAIChatCompletionChunkWithReasoning:
    """Read a chunk, which the gateway has brought into the API's form, as Llama Stack's stricter models have it.

    Raises:
        ModelCallError: it is an error, or no chunk.
    """
    try:
        chunk = json.loads(data)
        if chunk.get("error"):
            raise ModelCallError(model, f"failed in the middle of its answer: {_error_message(data.encode())}")
        thoughts = [_narrow(choice) for choice in chunk["choices"]]
        return OpenAIChatCompletionChunkWithReasoning(
            chunk=OpenAIChatCompletionChunk.model_validate(chunk), reasoning_content="".join(thoughts) or None
        )
    except (ValidationError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise ModelCallError(model, "sent a chunk that is none of OpenAI's chat completions") from error


def _narrow(choice: dict[str, Any]) -> str:
    """Take what the models do not know out of a choice, in place. Returns the reasoning in it."""
    delta = choice["delta"]
    delta.pop("role", None)
    if delta.get("refusal"):
        # The gateway repeats it there.
        delta.pop("content", None)
    for call in delta.get("tool_calls") or ():
        # A later piece of a call has no name.
        call["function"] = {"name": "", "arguments": "", **call["function"]}
    if (reason := choice.get("finish_reason")) and reason not in _FINISH_REASONS:
        choice["finish_reason"] = "stop"
    return delta.get("reasoning_content") or ""


def _body(params: OpenAIChatCompletionRequestWithExtraBody) -> dict[str, Any]:
    body: dict[str, Any] = params.model_dump(mode="json", exclude_none=True, exclude={"messages"})
    # One by one, because a message may be a subclass that carries reasoning.
    body["messages"] = [message.model_dump(mode="json", exclude_none=True) for message in params.messages]
    return body


def _error_message(body: bytes) -> str:
    """Return the message in an error's body, in OpenAI's shape or FastAPI's; else the body's beginning."""
    try:
        data = json.loads(body)
        error = data.get("error", data)
        message = error if isinstance(error, str) else error.get("message") or error.get("detail")
    except (ValueError, AttributeError):
        message = None
    return str(message or body.decode(errors="replace").strip()[:200] or "no reason given")


def _broken(error: httpx.HTTPError, *, answered: bool) -> str:
    if answered:
        return "hung up in the middle of its answer"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return "could not be reached"
    return f"hung up before it answered ({type(error).__name__})"
