"""A turn's items as BeeAI's messages."""

from typing import Any

from beeai_framework.backend import (
    AnyMessage,
    AssistantMessage,
    MessageFileContent,
    MessageImageContent,
    MessageTextContent,
    MessageToolCallContent,
    MessageToolResultContent,
    ToolMessage,
    UserMessage,
)

from k8gentai.agents.adapters.base.messages import Message, to_messages
from k8gentai.agents.contract.turn import RequestError, Turn


def to_beeai(turn: Turn) -> tuple[list[str], list[AnyMessage]]:
    """Return the turn's instructions, and its history and input as messages; the last of them is to be answered.

    BeeAI's agents write their own system message, so all of them become instructions.

    Raises:
        RequestError: there is nothing to answer.
    """
    instructions: list[str] = []
    messages: list[AnyMessage] = []
    names: dict[str, str] = {}
    for message in to_messages([*turn.history, *turn.input], turn.instructions):
        match message["role"]:
            case "system":
                instructions.append(message["content"])
            case "assistant":
                calls = _calls(message)
                names.update({call.id: call.tool_name for call in calls})
                text = message["content"]
                messages.append(AssistantMessage([*([MessageTextContent(text=text)] if text else []), *calls]))
            case "tool":
                call_id = message["tool_call_id"]
                result = MessageToolResultContent(
                    result=message["content"], tool_name=names[call_id], tool_call_id=call_id
                )
                messages.append(ToolMessage(result))
            case _:
                messages.append(_user(message["content"]))
    if not messages or isinstance(messages[-1], AssistantMessage):
        raise RequestError("input: it holds nothing that is to be answered")
    return instructions, messages


def _calls(message: Message) -> list[MessageToolCallContent]:
    return [
        MessageToolCallContent(
            id=call["id"], tool_name=call["function"]["name"], args=call["function"]["arguments"]
        )
        for call in message.get("tool_calls", ())
    ]


def _user(content: str | list[dict[str, Any]]) -> UserMessage:
    return UserMessage(content if isinstance(content, str) else [_part(part) for part in content])


def _part(part: dict[str, Any]) -> MessageTextContent | MessageImageContent | MessageFileContent:
    match part["type"]:
        case "text":
            return MessageTextContent(text=part["text"])
        case "image_url":
            return MessageImageContent(image_url=part["image_url"])
    return MessageFileContent(**part["file"])
