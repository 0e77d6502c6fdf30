"""What real models answered Llama Stack's own tests, as its source distribution holds it.

Each recording is a JSON file: the test's name, the request to the model, and the chunks of its answer or the error
it raised (``llama_stack.testing.api_recorder``). Llama Stack finds one by a digest of test and request. We compare
the requests themselves, and where none is equal take the one that asks nearest to it, because ids and results of
searches differ from run to run.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Body = Mapping[str, Any]

_OF_PLACE = re.compile(r"(?<==)(openai|ollama)/|:emb=[^]]*?:dim=\d+")
"""What a test's name says of where it runs: the provider of the model, and the embedding model."""
_CITATION = re.compile(r"\s*<\|file-[\w-]+\|>")
"""The builtin provider shows models their citations of files again, ours shows what clients saw."""


@dataclass(frozen=True)
class Recording:
    """One answer.

    Args:
        test: whose it is; empty where that was not noted.
        body: the request.
        chunks: the answer; of an answer that was no stream, the only one.
        streamed: whether it was one.
        error: the HTTP status and the body of a refusal.
    """

    test: str
    body: Body
    chunks: tuple[Body, ...] = ()
    streamed: bool = False
    error: tuple[int, Body] | None = None


class Recordings:
    """Those of some directories.

    Args:
        directories: each holds recordings.
    """

    def __init__(self, *directories: Path) -> None:
        self._chats: dict[str, list[Recording]] = defaultdict(list)
        for file in (file for directory in directories for file in sorted(directory.glob("*.json"))):
            read = json.loads(file.read_text())
            if read["request"].get("endpoint") == "/v1/chat/completions":
                made = _recording(read)
                for key in _keys(made.test, made.body):
                    self._chats[key].append(made)

    def chat(self, test: str, body: Body) -> Recording | None:
        """What the model answered a request, rather in this test than in another."""
        for key in _keys(_OF_PLACE.sub("", test), body):
            if fitting := self._chats.get(key):
                return max(fitting, key=lambda one: _likeness(one.body, body))
        return None


def _recording(read: Mapping[str, Any]) -> Recording:
    test = _OF_PLACE.sub("", read.get("test_id") or "")
    body, answer = read["request"]["body"], read["response"]
    if answer.get("is_exception"):
        raised = answer["exception_data"]
        return Recording(test, body, error=(raised["status_code"], {"error": raised["body"]}))
    streamed = bool(answer.get("is_streaming"))
    chunks = answer["body"] if streamed else [answer["body"]]
    return Recording(test, body, tuple(chunk["__data__"] for chunk in chunks), streamed)


def _keys(test: str, body: Body) -> list[str]:
    """What a request is found by, the nearest first: its test, and what the model is asked, with or without the
    results of tools."""
    asked = [[_said(message, results) for message in body["messages"]] for results in (True, False)]
    return [json.dumps([name, messages], sort_keys=True) for name in (test, None) for messages in asked]


def _said(message: Body, results: bool) -> list[Any]:
    if message["role"] == "tool":
        return ["tool", _text(message) if results else ""]
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    return [message["role"], _text(message), [[call["name"], _arguments(call)] for call in calls]]


def _arguments(call: Body) -> Any:
    try:
        return json.loads(call["arguments"])
    except ValueError:
        return call["arguments"]


def _text(message: Body) -> str:
    content = message.get("content") or ""
    parts: Iterable[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    said = "".join(part["text"] if part["type"] == "text" else json.dumps(part, sort_keys=True) for part in parts)
    return _CITATION.sub("", said)


def _likeness(one: Body, other: Body) -> int:
    """How many fields of two requests are equal."""
    return sum(one.get(name) == other.get(name) for name in one.keys() | other.keys())
