"""A turn's items as the events that AG2 keeps a conversation in."""

import base64
from typing import Any

from ag2.events import (
    BaseEvent,
    BinaryInput,
    BinaryType,
    FileIdInput,
    Input,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextInput,
    ToolCallEvent,
    ToolCallsEvent,
    ToolResult,
    ToolResultEvent,
    ToolResultsEvent,
    UrlInput,
)

from k8gentai.agents.messages import Message, to_messages
from k8gentai.agents.turn import RequestError, Turn


def to_events(turn: Turn) -> tuple[list[str], list[BaseEvent]]:
    """Return the turn's instructions, and its history and input as events; the last of them is to be answered.

    AG2 knows no system messages within a conversation, so all of them become instructions.

    Raises:
        RequestError: there is nothing to answer.
    """
    instructions: list[str] = []
    events: list[BaseEvent] = []
    for message in to_messages([*turn.history, *turn.input], turn.instructions):
        match message["role"]:
            case "system":
                instructions.append(message["content"])
            case "assistant":
                events.append(_response(message))
            case "tool":
                result = ToolResultEvent(parent_id=message["tool_call_id"], result=ToolResult(message["content"]))
                if events and isinstance(events[-1], ToolResultsEvent):
                    events[-1].results.append(result)
                else:
                    events.append(ToolResultsEvent([result]))
            case _:
                events.append(_request(message["content"]))
    if not events or isinstance(events[-1], ModelResponse):
        raise RequestError("input: it holds nothing that is to be answered")
    return instructions, events


def _response(message: Message) -> ModelResponse:
    calls = [
        ToolCallEvent(id=call["id"], name=call["function"]["name"], arguments=call["function"]["arguments"])
        for call in message.get("tool_calls", ())
    ]
    text = message["content"]
    return ModelResponse(ModelMessage(text) if text else None, tool_calls=ToolCallsEvent(calls))


def _request(content: str | list[dict[str, Any]]) -> ModelRequest:
    if isinstance(content, str):
        return ModelRequest([TextInput(content)])
    return ModelRequest([_input(part) for part in content])


def _input(part: dict[str, Any]) -> Input:
    match part["type"]:
        case "text":
            return TextInput(part["text"])
        case "image_url":
            return UrlInput(part["image_url"]["url"], kind=BinaryType.IMAGE)
    file = part["file"]
    if "file_id" in file:
        return FileIdInput(file["file_id"])
    head, _, data = file.get("file_data", "").partition(";base64,")
    try:
        content = base64.b64decode(data, validate=True)
    except ValueError:
        content = b""
    if not content:
        raise RequestError("input: file_data is not a data URL with base64 in it")
    return BinaryInput(
        content,
        media_type=head.removeprefix("data:"),
        kind=BinaryType.DOCUMENT,
        vendor_metadata={"filename": file.get("filename", "file")},
    )
