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

from k8gentai.agents.adapters.base.messages import Message, to_messages
from k8gentai.agents.contract.turn import RequestError, Turn

_DETAILS = ("low", "high")
"""The levels of detail at which a model may be asked to look at an image, beside leaving that to it."""


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
            return _image(part["image_url"])
    file = part["file"]
    if "file_id" in file:
        return FileIdInput(file["file_id"])
    if (decoded := _decoded(file.get("file_data", ""))) is None:
        raise RequestError("input: file_data is not a data URL with base64 in it")
    media_type, content = decoded
    return BinaryInput(
        content,
        media_type=media_type,
        kind=BinaryType.DOCUMENT,
        vendor_metadata={"filename": file.get("filename", "file")},
    )


def _image(image: dict[str, Any]) -> Input:
    """Return an image. AG2 has a place for its detail beside bytes alone."""
    is_data = image.get("detail") in _DETAILS and image["url"].startswith("data:")
    decoded = _decoded(image["url"]) if is_data else None
    if decoded is None:
        return UrlInput(image["url"], kind=BinaryType.IMAGE)
    media_type, content = decoded
    detail = {"detail": image["detail"]}
    return BinaryInput(content, media_type=media_type, kind=BinaryType.IMAGE, vendor_metadata=detail)


def _decoded(url: str) -> tuple[str, bytes] | None:
    """Return the media type and the bytes of a data URL with base64 in it; None for any other."""
    head, _, data = url.partition(";base64,")
    try:
        content = base64.b64decode(data, validate=True)
    except ValueError:
        return None
    return (head.removeprefix("data:"), content) if content else None
