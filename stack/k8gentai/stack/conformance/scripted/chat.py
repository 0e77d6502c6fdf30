"""An answer as the bodies and stream chunks of OpenAI's Chat Completions API."""

import itertools
import json
import time
from collections.abc import Mapping
from typing import Any

from k8gentai.stack.conformance.scripted.steps import Answer, Call, Raw, Thought

_ids = itertools.count(1)


class Chunks:
    """Builds the chunks of one streamed answer; each method returns one server-sent event."""

    def __init__(self, body: Mapping[str, Any], answer: Answer) -> None:
        self._head = {
            "id": f"chatcmpl-{next(_ids)}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": body["model"],
        }
        self._usage_wanted = bool((body.get("stream_options") or {}).get("include_usage"))
        self._logprobs_wanted = bool(body.get("logprobs"))
        self._answer = answer
        self._calls = 0

    def _event(
        self, delta: dict[str, Any], finish: str | None = None, logprobs: dict[str, Any] | None = None
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
        return _sse({**self._head, "choices": [choice]})

    def first(self) -> bytes:
        return self._event({"role": "assistant", "content": ""})

    def text(self, delta: str) -> bytes:
        """Return a text delta; with logprobs where they were asked for, as if it were one token."""
        token: dict[str, Any] = {"token": delta, "bytes": None, "logprob": -0.25, "top_logprobs": []}
        return self._event({"content": delta}, logprobs={"content": [token]} if self._logprobs_wanted else None)

    def thought(self, delta: str) -> bytes:
        return self._event({"reasoning_content": delta})

    def raw(self, raw: Raw) -> bytes:
        return raw.sent.encode() if isinstance(raw.sent, str) else _sse({**self._head, **raw.sent})

    def call(self, call: Call) -> list[bytes]:
        """Return the call's head, then its arguments in pieces."""
        index = self._calls
        self._calls += 1
        function = {"name": call.name, "arguments": ""}
        head = {
            "index": index,
            "id": f"call_{next(_ids)}" if call.id is None else call.id,
            "type": "function",
            "function": function,
        }
        size = max(1, -(-len(call.text) // call.pieces))
        pieces = [call.text[at : at + size] for at in range(0, len(call.text), size)]
        return [
            self._event({"tool_calls": [head]}),
            *(
                self._event({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
                for piece in pieces
            ),
        ]

    def last(self) -> bytes:
        """Return the finish reason, the usage where it was asked for, and the terminator."""
        end = self._event({}, self._answer.finish) if self._answer.finish else b""
        if self._usage_wanted:
            end += _sse({**self._head, "choices": [], "usage": usage_of(self._answer)})
        return end + b"data: [DONE]\n\n"


def _sse(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def usage_of(answer: Answer) -> dict[str, int]:
    sent, made = answer.usage
    return {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}


def whole(body: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    """Return the answer as one ``chat.completion`` object."""
    calls = [
        {
            "id": f"call_{next(_ids)}" if part.id is None else part.id,
            "type": "function",
            "function": {"name": part.name, "arguments": part.text},
        }
        for part in answer.parts
        if isinstance(part, Call)
    ]
    text = "".join(part for part in answer.parts if isinstance(part, str))
    message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None}
    if calls:
        message["tool_calls"] = calls
    if thoughts := "".join(part.text for part in answer.parts if isinstance(part, Thought)):
        message["reasoning_content"] = thoughts
    return {
        "id": f"chatcmpl-{next(_ids)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": answer.finish,
                "logprobs": None,
            }
        ],
        "usage": usage_of(answer),
    }
