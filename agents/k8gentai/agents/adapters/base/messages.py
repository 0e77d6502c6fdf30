"""Responses API items as the messages of a chat completion: how every framework is told what came before.

Source: https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from k8gentai.agents.contract.turn import Item, RequestError

Message = dict[str, Any]
"""A message of OpenAI's chat completions API."""

NO_RESULT = "The tool gave no result."
"""The text sent as the result of a call that has none: models refuse a call without a result."""

SHOWN = "What the tools' results show:"
"""Stands before images and files of tools' results."""


def to_messages(items: Iterable[Item], instructions: str | None = None) -> list[Message]:
    """Turn items, oldest first, into messages.

    Function calls that follow each other were made by one model answer and become one message; each call of a
    worker's own tools (``mcp_call``) carries its result and becomes a call and a result. One that a person
    approved after others had spoken is a message of its own. Reasoning, and items that say nothing to a model, are
    left out.

    Args:
        items: history and input.
        instructions: becomes a system message before all others.

    Raises:
        RequestError: a ``function_call_output`` answers a call that is not there.
    """
    transcript = _Transcript()
    if instructions:
        transcript.say({"role": "system", "content": instructions})
    for item in items:
        match item.get("type", "message"):
            case "message":
                transcript.say(_message(item))
            case "compaction":
                transcript.say({"role": "assistant", "content": item["encrypted_content"]})
            case "function_call":
                transcript.call(item["call_id"], item["name"], item["arguments"])
            case "function_call_output":
                transcript.answer(item["call_id"], _text(item["output"]), _pictures(item["output"]))
            case "mcp_call":
                transcript.call(item["id"], item["name"], item["arguments"], alone=True)
                if (result := _mcp_result(item)) is not None:
                    transcript.answer(item["id"], result)
            case "mcp_approval_request":
                transcript.ask(item["id"])
            case "mcp_approval_response":
                transcript.decide(item["approval_request_id"])
    return transcript.messages()


class _Transcript:
    """Messages in the making: results go right behind the message that asked for them, wherever they came."""

    def __init__(self) -> None:
        self._said: list[Message] = []
        self._results: dict[int, list[Message]] = {}
        """The tool messages of each message of ``_said``, by its index."""
        self._shown: dict[int, list[dict[str, Any]]] = {}
        """The parts beside text (images, files) of the results of each message of ``_said``, by its index. Models
        are sent them in a message of the user."""
        self._open = False
        """Whether a further call belongs to the last message."""
        self._asked: dict[str, int] = {}
        """The number of messages in ``_said`` when a person was asked, by the ids of the requests."""

    def say(self, message: Message) -> None:
        self._said.append(message)
        self._open = message["role"] == "assistant"

    def call(self, call_id: str, name: str, arguments: str, *, alone: bool = False) -> None:
        if not self._open or (alone and self._said[-1].get("tool_calls")):
            self.say({"role": "assistant", "content": ""})
        call = {
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": _object(arguments)},
        }
        self._said[-1].setdefault("tool_calls", []).append(call)
        result = {"role": "tool", "tool_call_id": call_id, "content": NO_RESULT}
        self._results.setdefault(len(self._said) - 1, []).append(result)
        self._open = not alone

    def answer(self, call_id: str, text: str, pictures: Sequence[dict[str, Any]] = ()) -> None:
        # The latest call of that id: small models number their calls from 1 in each answer.
        for index, results in reversed(self._results.items()):
            for result in results:
                if result["tool_call_id"] == call_id:
                    result["content"] = text
                    if pictures:
                        self._shown.setdefault(index, []).extend(pictures)
                    self._open = False
                    return
        raise RequestError(f"no tool call found for the function_call_output with call_id {call_id!r}")

    def ask(self, request_id: str) -> None:
        self._asked[request_id] = len(self._said)

    def decide(self, request_id: str) -> None:
        # The last message is another turn's where somebody else has spoken since: the call is none of its.
        since = self._said[self._asked.get(request_id, len(self._said)) :]
        self._open = self._open and all(message["role"] == "assistant" for message in since)

    def messages(self) -> list[Message]:
        listed: list[Message] = []
        for index, said in enumerate(self._said):
            listed += [said, *self._results.get(index, ())]
            if shown := self._shown.get(index):
                listed.append({"role": "user", "content": [{"type": "text", "text": SHOWN}, *shown]})
        return listed


def _message(item: Item) -> Message:
    # Local models' chat templates know no developer.
    role = "system" if item["role"] == "developer" else item["role"]
    content = item["content"]
    if isinstance(content, str):
        return {"role": role, "content": content}
    if role == "assistant" or not any(part["type"] in {"input_image", "input_file"} for part in content):
        return {"role": role, "content": _text(content)}
    return {"role": role, "content": [_part(part) for part in content]}


def _pictures(output: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the images and files of a tool's result."""
    if isinstance(output, str):
        return []
    return [_part(part) for part in output if part["type"] in ("input_image", "input_file")]


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """Return a content part as chat completions takes it.

    Raises:
        RequestError: no model is sent such a part.
    """
    match part["type"]:
        case "input_text":
            return {"type": "text", "text": part["text"]}
        case "input_image" if part.get("image_url"):
            image = {"url": part["image_url"], "detail": part.get("detail") or "auto"}
            return {"type": "image_url", "image_url": image}
        case "input_file" if part.get("file_data") or part.get("file_id"):
            names = ("file_id", "file_data", "filename")
            return {"type": "file", "file": {name: part[name] for name in names if part.get(name)}}
    raise RequestError(f"input: agents take no {part['type']} without its content")


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or part.get("refusal") or _NAMES.get(part["type"], "") for part in content)


_NAMES = {"input_image": "[image]", "image_url": "[image]", "input_file": "[file]", "file": "[file]"}
"""The words that stand in a text for a part that is no text, by the part's type."""


def _mcp_result(item: Item) -> str | None:
    if error := item.get("error"):
        return f"Error: {error if isinstance(error, str) else json.dumps(error)}"
    return item.get("output")


def _object(arguments: str) -> str:
    """Return a call's arguments; an empty object where the model wrote none that can be read, as servers that read
    them refuse the whole request."""
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"


def to_text(items: Iterable[Item], instructions: str | None = None) -> str:
    """Items, oldest first, as one text, for agents that take nothing else.

    A single message of the user's is given as it is. Where more was said, what was said before is quoted in
    front of the last message. Tools' calls and results are left out.

    Args:
        items: history and input.
        instructions: stand before all.
    """
    *before, last = [m for m in to_messages(items, instructions) if _said(m)] or [{"role": "user", "content": ""}]
    if not before:
        return _said(last)
    quoted = "\n".join(f"{message['role']}: {_said(message)}" for message in before)
    return f"What was said before:\n{quoted}\n\n{_said(last)}"


def _said(message: Message) -> str:
    """Return a message's text; none for a tool's result."""
    return "" if message["role"] == "tool" else _text(message["content"])
