"""A tool call in the shapes of the OpenAI chat completions API: whole, and as a stream's chunks."""

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

from k8gentai.stack.model import NAME

Json = dict[str, Any]


def whole(name: str, arguments: str, usage: Json) -> Json:
    """Return one chat completion whose message is the call."""
    message = {"role": "assistant", "content": None, "tool_calls": [_call(name, arguments)]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return {**_head("chat.completion"), "choices": [choice], "usage": usage}


def chunks(name: str, arguments: str, usage: Json | None) -> Iterator[str]:
    """Yield the same as server-sent events, ``[DONE]`` included; the usage comes last where it was asked for."""
    head = _head("chat.completion.chunk")
    first = {"index": 0, **_call(name, "")}
    rest = {"index": 0, "function": {"arguments": arguments}}
    yield _event(head, {"role": "assistant", "content": None, "tool_calls": [first]})
    yield _event(head, {"tool_calls": [rest]})
    yield _event(head, {}, "tool_calls")
    if usage is not None:
        yield f"data: {json.dumps({**head, 'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


def error(message: str, code: str) -> Json:
    """Return an error as the OpenAI API shows it."""
    return {"error": {"message": message, "type": "server_error", "param": None, "code": code}}


def _head(kind: str) -> Json:
    return {"id": f"chatcmpl-{secrets.token_hex(12)}", "object": kind, "created": int(time.time()), "model": NAME}


def _call(name: str, arguments: str) -> Json:
    call_id = f"call_{secrets.token_hex(12)}"
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _event(head: Json, delta: Json, finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"
