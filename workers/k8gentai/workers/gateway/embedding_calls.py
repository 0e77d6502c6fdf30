"""Calls of embedding models by agents' code, on their way to the stack's ``/v1/embeddings``."""

import asyncio
import json
from typing import Any

from starlette.requests import Request

from k8gentai.agents.contract.events import Usage
from k8gentai.workers.gateway.model_calls import ModelCalls
from k8gentai.workers.gateway.patience import Patience
from k8gentai.workers.gateway.upstream import Upstream, UpstreamError, failed_before
from k8gentai.workers.gateway.usage_figures import embedding_figures, token_count

_RECORDED_BYTES = 2**18
"""The bytes up to which an answer is recorded: that to a question is. To ask again for those of whole documents
costs tokens, and changes nothing."""
_RECORDED_IN_ALL = 2**22
"""The bytes of a turn's journal that such answers may take together: the rest is for what cannot be done again."""


async def embeddings(
    calls: ModelCalls, upstream: Upstream, request: Request, body: dict[str, Any], around: str = ""
) -> dict[str, Any]:
    """Return the answer to a call of an embedding model: that of an earlier attempt, or the model's own.

    Args:
        calls: the attempt whose call it is.
        upstream: the client that sends it on.
        request: the request that brought the call.
        body: the call.
        around: the tool call inside which it is made, empty where it is inside none.

    Raises:
        UpstreamError: there is none.
        asyncio.CancelledError: the attempt is over.
    """
    model = str(body["model"])
    key = calls.journal.model_key({"embeddings": body})
    patience = Patience(calls, key, model, around)

    async def ask() -> dict[str, Any]:
        await patience.hold()
        async with calls.journal.in_turn(key):
            if recorded := calls.journal.answer(key):
                calls.embedded_bytes += len(json.dumps(recorded[0]))
                return recorded[0]
            if failed := calls.journal.failure(key):
                raise failed_before(failed)
        patience.is_asked = True
        try:
            answer = await upstream.embed(body, calls.caller)
        except UpstreamError as error:
            await calls.record_failure(key, error, around=around)
            raise
        if "usage" in answer:
            answer["usage"] = embedding_figures(answer["usage"])
        await _record(calls, key, answer, around)
        return answer

    calls.last_asked = calls.waited_for[key] = model
    asking = asyncio.create_task(ask())
    calls.track(asking)
    patience.watch(request, asking)
    try:
        answer = await asking
    finally:
        patience.is_over = True
        calls.waited_for.pop(key, None)
    _count(calls, model, answer, around)
    return answer


async def _record(calls: ModelCalls, key: str, answer: dict[str, Any], around: str) -> None:
    """Keep an answer that is not too large.

    Raises:
        FencedError: the attempt is over.
    """
    size = len(json.dumps(answer))
    if size <= _RECORDED_BYTES and calls.embedded_bytes + size <= _RECORDED_IN_ALL:
        calls.embedded_bytes += size
        await calls.journal.record_answer(key, [answer], around)


def _count(calls: ModelCalls, model: str, answer: dict[str, Any], around: str) -> None:
    usage = answer.get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    if count := token_count(tokens):
        calls.on_usage(Usage(model=model, input_tokens=count, output_tokens=0), around)
