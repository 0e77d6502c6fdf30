"""A call of a chat model on its way through the gateway: answered by the journal, or by the stack and recorded."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from typing import Any

import structlog
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from k8gentai.agents.adapters.base.parameters import passed_on
from k8gentai.agents.contract.events import Usage
from k8gentai.agents.text.utf8 import encodable
from k8gentai.workers.gateway.answer_reader import AnswerReader
from k8gentai.workers.gateway.call_ids import CallId, with_short_ids
from k8gentai.workers.gateway.error_answers import error_answer, error_body
from k8gentai.workers.gateway.model_calls import (
    ModelCalls,
    ModelError,
    cancel_once,
)
from k8gentai.workers.gateway.patience import Patience, is_ending
from k8gentai.workers.gateway.strict_json import with_json_arguments
from k8gentai.workers.gateway.tool_images import with_tool_images
from k8gentai.workers.gateway.upstream import Chunk, StackLostError, Upstream, UpstreamError, failed_before
from k8gentai.workers.gateway.whole_answer import call_extras, read_whole, with_parsable_calls
from k8gentai.workers.queue.attempts import FencedError

log = structlog.get_logger(__name__)

_REFUSALS = frozenset({400, 415, 422})
"""The statuses by which endpoints refuse a call with content that their model does not take."""
_BUFFERED_CHUNKS = 100
"""Chunks the model may be ahead of a slow agent."""


class ChatCall:
    """One model call on its way through.

    Args:
        calls: the attempt whose call it is.
        upstream: the client that sends it on.
        given: the request that the journal knows the call by.
        scope: the tool call inside which it is made, if any.
        unsent: fields of it that are not sent: what a turn's request asks of the turn's answer alone.
    """

    def __init__(
        self,
        calls: ModelCalls,
        upstream: Upstream,
        given: dict[str, Any],
        *,
        scope: str = "",
        unsent: AbstractSet[str] = frozenset(),
    ) -> None:
        self._calls = calls
        self._upstream = upstream
        known = with_tool_images(given, calls.images)
        self._scope = scope
        self._key = calls.journal.model_key(known, scope)
        sent = {name: value for name, value in known.items() if name not in unsent}
        body = {**calls.with_choice(with_json_arguments(sent), scope), **passed_on(calls.asked)}
        self._plain: list[Any] | None = None
        """The messages without the images of tools, where there are any."""
        if known is not given:
            self._plain = with_json_arguments(with_tool_images(given, calls.images, show=False))["messages"]
        self._model = str(body["model"])
        self._patience = Patience(calls, self._key, self._model, scope)
        calls.last_asked = self._model
        # Counting needs the figures; an agent that did not ask for them is not shown the extra chunk.
        self._shows_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        # All that the agent has: a call of a tool that its model was not offered may come all the same.
        self._tools = _tool_names(known)
        self._several = (body.get("n") or 1) != 1
        self._forced = isinstance(body.get("tool_choice"), dict)
        self._refusal = ""
        """The text of the answer's refusal, as far as it was read."""
        self._is_empty = True
        """Whether the answer holds neither words nor calls, as far as it was read."""
        self._body = body
        if "messages" in body:
            messages = self._plain if self._plain and calls.images_refused else body["messages"]
            self._body = self._with_messages(messages)
        if body.get("stream"):
            self._body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}

    def _with_messages(self, messages: Any) -> dict[str, Any]:
        """Return the call that is sent, with these messages."""
        return with_short_ids({**self._body, "messages": self._calls.kept_fields.put_back(messages, self._model)})

    async def whole(self, request: Request) -> Response:
        """Return the answer in one piece."""
        self._calls.waited_for[self._key] = self._model
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        async def ask() -> None:
            try:
                await self._patience.hold()
                async with self._calls.journal.in_turn(self._key):
                    answer.set_result(self._known() or await self._asked_and_recorded())
            except UpstreamError as error:
                answer.set_exception(error)
            except FencedError:
                log.info("turn_ended_elsewhere", turn=self._calls.turn_id)
            except Exception as error:  # noqa: BLE001 - the agent waits
                answer.set_exception(self._unread(error))

        asking = asyncio.create_task(ask())
        # Also where it is cancelled before it has begun.
        asking.add_done_callback(lambda _: answer.cancel())
        self._calls.track(asking)
        self._patience.watch(request, asking)
        try:
            return await answer
        except UpstreamError as error:
            return error_answer(error.status, str(self._failed(error)), "model_error")
        except asyncio.CancelledError:
            return error_answer(409, "the turn is over", "turn_ended")
        finally:
            self._patience.is_over = True
            self._calls.waited_for.pop(self._key, None)

    def _known(self) -> Response | None:
        """Return the answer that an earlier attempt had, in one piece; None where it had none.

        Raises:
            UpstreamError: it was told that there is none.
        """
        if recorded := self._calls.journal.answer(self._key):
            return self._completion(recorded[0], self._recorded_id, recorded=True)
        if failed := self._calls.journal.failure(self._key):
            raise failed_before(failed)
        return None

    async def _asked_and_recorded(self) -> Response:
        """Return the model's answer in one piece, or raise how it failed, which is kept as well.

        Raises:
            UpstreamError: there is none.
            FencedError: the attempt is over.
        """
        self._patience.is_asked = True
        try:
            completion = await self._asked_whole()
            whole = self._completion(completion, self._own_id)
        except Exception as error:
            failed = self._unread(error)
            await self._calls.record_failure(self._key, failed, around=self._scope)
            raise failed from error
        await self._calls.journal.record_answer(self._key, [completion], self._scope)
        return whole

    def _completion(self, completion: Chunk, call_id: CallId, *, recorded: bool = False) -> Response:
        """Return the response that brings the agent an answer in one piece, which is brought into its form. One
        from the journal was shown as it is, whatever its choices.
        """
        several = self._several or recorded
        written, reasoning = read_whole(completion, call_id, model=self._model, several=several)
        self._calls.answered(written, reasoning, call_extras(completion), self._model)
        self._note(completion)
        return Response(_json(with_parsable_calls(completion)), media_type="application/json")

    async def streamed(self, request: Request) -> Response:
        """Return the answer in chunks; its status is known once the first is there."""
        chunks: asyncio.Queue[Chunk | ModelError | None] = asyncio.Queue(_BUFFERED_CHUNKS)
        status = 502
        self._calls.waited_for[self._key] = self._model

        async def ask() -> None:
            nonlocal status
            last: ModelError | None = None
            try:
                async with aclosing(self._recorded()) as answer:
                    async for chunk in answer:
                        await chunks.put(chunk)
            except FencedError:
                log.info("turn_ended_elsewhere", turn=self._calls.turn_id)
            except UpstreamError as error:
                status = error.status
                last = self._failed(error)
            except Exception as error:  # noqa: BLE001 - the agent waits
                last = self._failed(self._unread(error))
            finally:
                self._calls.waited_for.pop(self._key, None)
            await chunks.put(last)

        asking = asyncio.create_task(ask())
        self._calls.track(asking)
        self._patience.watch(request, asking)
        # An attempt that ends takes the call with it; whoever still reads is told, not left waiting.
        asking.add_done_callback(lambda task: _tell_end(chunks) if task.cancelled() else None)
        first = await chunks.get()
        if not isinstance(first, dict):
            self._patience.is_over = True
            # The attempt ended before anything came.
            ended = error_answer(409, "the turn is over", "turn_ended")
            return ended if first is None else error_answer(status, str(first), "model_error")
        return StreamingResponse(self._sent(first, chunks, asking), media_type="text/event-stream")

    def _failed(self, error: UpstreamError) -> ModelError:
        """Note why the call failed; where it was the stack's server that ended, the attempt is made again."""
        if isinstance(error, StackLostError):
            self._calls.lose(error)
        return self._calls.failed(self._model, str(error), error.code)

    def _unread(self, error: Exception) -> UpstreamError:
        """Return the error of a call for whoever waits for its answer: as it is, or that the answer is of no form
        known here."""
        if isinstance(error, UpstreamError):
            return error
        log.error("answer_not_read", turn=self._calls.turn_id, model=self._model, exc_info=error)
        unread = UpstreamError(f"its answer cannot be read: {type(error).__name__}")
        unread.code = "answer_not_read"
        return unread

    async def _recorded(self) -> AsyncGenerator[Chunk]:
        """Yield the answer's chunks: those of an earlier attempt, or the model's own, kept before their end shows.

        An agent that has seen the end of an answer goes on to its tools, whose calls must be the same should
        the turn be run again. One that gave the call up is shown what it was shown, and held.
        """
        journal = self._calls.journal
        if given_up := self._patience.before:
            if given_up.chunks:
                for chunk in given_up.chunks:
                    yield chunk
                async with aclosing(self._patience.wake()) as silence:
                    async for chunk in silence:
                        yield chunk
                error = UpstreamError("the agent had given up this answer, and waits longer for its rest now", 504)
                await self._calls.record_failure(self._key, error, given_up.chunks, around=self._scope)
                raise error
            await self._patience.hold()
        recorded = journal.answer(self._key)
        call_id = self._recorded_id if recorded else self._own_id
        # What is recorded was shown as it is, whatever its choices.
        several = self._several or bool(recorded)
        reader = AnswerReader(self._model, self._tools, call_id, several=several)
        if recorded:
            told = [*(chunk for sent in recorded for chunk in reader.read(sent)), *reader.end()]
            self._calls.answered(reader.calls(), reader.reasoning, reader.extras(), self._model)
            end = next((number for number, chunk in enumerate(told) if is_ending(chunk)), len(told))
            for chunk in told[:end]:
                yield chunk
            # Its end alone came after what was recorded before it, which its words may have led to.
            async with journal.in_turn(self._key):
                for chunk in told[end:]:
                    yield chunk
            return
        if failed := journal.failure(self._key):
            for chunk in failed.chunks:
                yield chunk
            async with journal.in_turn(self._key):
                raise failed_before(failed)
        answer: list[Chunk] = []
        self._patience.is_asked = True
        try:
            async with aclosing(self._asked_in_chunks()) as chunks:
                async for sent in chunks:
                    for chunk in reader.read(sent):
                        answer.append(chunk)
                        yield chunk
        except Exception as error:
            failure = self._unread(error)
            await self._calls.record_failure(self._key, failure, answer, around=self._scope)
            raise failure from error
        ending = reader.end()
        # As the agent was shown it, so that it is shown the same again by a version that reads otherwise.
        await journal.record_answer(self._key, [*answer, *ending], self._scope)
        self._calls.answered(reader.calls(), reader.reasoning, reader.extras(), self._model)
        for chunk in ending:
            yield chunk

    async def _sent(
        self,
        first: Chunk,
        chunks: "asyncio.Queue[Chunk | ModelError | None]",
        asking: "asyncio.Task[None]",
    ) -> AsyncIterator[str]:
        try:
            chunk: Chunk | ModelError | None = first
            while isinstance(chunk, dict):
                self._note(chunk)
                self._patience.show(chunk)
                if self._shows_usage or chunk.get("choices"):
                    yield f"data: {_json(chunk)}\n\n"
                chunk = await chunks.get()
            self._patience.is_over = True
            if isinstance(chunk, ModelError):
                yield f"data: {json.dumps(error_body(str(chunk), 'model_error'))}\n\n"
            yield "data: [DONE]\n\n"
        finally:
            cancel_once(asking)

    async def _asked_whole(self) -> Chunk:
        """Return the model's answer in one piece, by a call without the images of tools where it refuses them.

        Raises:
            UpstreamError: there is none.
        """
        try:
            return await self._upstream.complete(self._body, self._calls.caller)
        except UpstreamError as error:
            if not self._leaves_images_out(error):
                raise
            return await self._upstream.complete(self._body, self._calls.caller)

    async def _asked_in_chunks(self) -> AsyncGenerator[Chunk]:
        """Yield the same in chunks."""
        begun = False
        try:
            async with aclosing(self._upstream.stream(self._body, self._calls.caller)) as chunks:
                async for chunk in chunks:
                    begun = True
                    yield chunk
        except UpstreamError as error:
            if begun or not self._leaves_images_out(error):
                raise
            async with aclosing(self._upstream.stream(self._body, self._calls.caller)) as chunks:
                async for chunk in chunks:
                    yield chunk

    def _leaves_images_out(self, error: UpstreamError) -> bool:
        """Take the images of tools out of a call that the model refused, as it may take none.

        Returns:
            Whether the call is to be made again.
        """
        if self._plain is None or self._calls.images_refused or error.status not in _REFUSALS:
            return False
        log.warning("tool_images_left_out", turn=self._calls.turn_id, model=self._model, cause=str(error))
        self._calls.images_refused = True
        self._body = self._with_messages(self._plain)
        return True

    def _own_id(self, _: str, choice: int, number: int) -> str:
        return self._calls.call_ids.new(self._key, choice, number)

    def _recorded_id(self, sent: str, choice: int, number: int) -> str:
        return self._calls.call_ids.recorded(sent, self._key, choice, number)

    def _note(self, answer: Chunk) -> None:
        """Tell the turn which tools are called, why the answer ended, and what the model says the call used."""
        for choice in answer.get("choices", ()):
            said = choice.get("delta") or choice.get("message") or {}
            self._refusal += said.get("refusal") or ""
            self._is_empty = self._is_empty and not (said.get("content") or said.get("tool_calls"))
            for call in said.get("tool_calls") or ():
                if call.get("id"):
                    name = (call.get("function") or {}).get("name") or ""
                    self._calls.guard.made(call["id"], name, self._tools, forced=self._forced, around=self._scope)
            if reason := choice.get("finish_reason"):
                self._calls.refused(self._refusal)
                self._calls.silent = self._model if self._is_empty else None
                self._calls.on_answer(reason)
        usage = answer.get("usage")
        if not usage:
            return
        prompt, completion = (usage.get(f"{part}_tokens_details") or {} for part in ("prompt", "completion"))
        self._calls.on_usage(
            Usage(
                model=self._model,
                input_tokens=usage["prompt_tokens"],
                output_tokens=usage["completion_tokens"],
                cached_tokens=prompt.get("cached_tokens", 0),
                reasoning_tokens=completion.get("reasoning_tokens", 0),
            ),
            self._scope,
        )


def _json(answer: Chunk) -> str:
    """Return an answer as JSON that every client can read."""
    return encodable(json.dumps(answer, ensure_ascii=False))


def _tool_names(body: dict[str, Any]) -> frozenset[str]:
    """Return the names of the functions that a request offers."""
    tools = body.get("tools")
    offered = tools if isinstance(tools, list) else []
    functions = [tool.get("function") for tool in offered if isinstance(tool, dict)]
    return frozenset(str(function.get("name")) for function in functions if isinstance(function, dict))


def _tell_end(chunks: "asyncio.Queue[Chunk | ModelError | None]") -> None:
    if chunks.full():
        chunks.get_nowait()
    chunks.put_nowait(None)
