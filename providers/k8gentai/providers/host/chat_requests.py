"""Reads chat completions as the host does, and keeps the fields of their messages that the host does not know.

Endpoints want back what they add to an answer's tool calls, as Gemini its ``extra_content``, and take more with a
message than the API documents, as ``cache_control`` with a part of its content. Of these fields, the host's own
models keep those of an assistant's message only.
"""

from importlib import import_module
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from k8gentai.providers import host

_api: Any = import_module(f"{host.NAME}_api")

# The host is untyped, hence each "misc".


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Text(_Open, _api.OpenAIChatCompletionContentPartTextParam):  # type: ignore[misc]
    pass


class _ImageURL(_Open, _api.OpenAIImageURL):  # type: ignore[misc]
    pass


class _Image(_Open, _api.OpenAIChatCompletionContentPartImageParam):  # type: ignore[misc]
    image_url: _ImageURL


class _NamedFile(_Open, _api.OpenAIFileFile):  # type: ignore[misc]
    pass


class _File(_Open, _api.OpenAIFile):  # type: ignore[misc]
    file: _NamedFile


_Part = Annotated[_Text | _Image | _File, Field(discriminator="type")]


class _Function(_Open, _api.OpenAIChatCompletionToolCallFunction):  # type: ignore[misc]
    pass


class _ToolCall(_Open, _api.OpenAIChatCompletionToolCall):  # type: ignore[misc]
    function: _Function | None = None


class _User(_Open, _api.OpenAIUserMessageParam):  # type: ignore[misc]
    content: str | list[_Part]


class _System(_Open, _api.OpenAISystemMessageParam):  # type: ignore[misc]
    content: str | list[_Text]


class _Developer(_Open, _api.OpenAIDeveloperMessageParam):  # type: ignore[misc]
    content: str | list[_Text]


class _Assistant(_Open, _api.OpenAIAssistantMessageParam):  # type: ignore[misc]
    content: str | list[_Text] | None = None
    tool_calls: list[_ToolCall] | None = None


class _Tool(_Open, _api.OpenAIToolMessageParam):  # type: ignore[misc]
    content: str | list[_Text]


_Message = Annotated[_User | _System | _Assistant | _Tool | _Developer, Field(discriminator="role")]


class ChatCompletionRequest(_api.OpenAIChatCompletionRequestWithExtraBody):  # type: ignore[misc]
    """A chat completion, all of whose messages' fields come to the endpoint."""

    messages: Annotated[list[_Message], Field(min_length=1)]
