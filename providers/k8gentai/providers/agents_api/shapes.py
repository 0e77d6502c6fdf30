"""The requests of clients of the classic Agents API.

Unknown fields are let through, as its servers did. In ``AgentConfig`` they are kept and shown again.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag


class Url(BaseModel):
    uri: str


class Image(BaseModel):
    url: Url | None = None
    data: str | None = None
    """Base64."""


class ImageItem(BaseModel):
    type: Literal["image"]
    image: Image


class TextItem(BaseModel):
    type: Literal["text"]
    text: str


ContentItem = Annotated[TextItem | ImageItem, Field(discriminator="type")]


def _kind(value: Any) -> str | None:
    """Return which way of a content union a value means, so that an error is told of that one alone."""
    if isinstance(value, str | list):
        return type(value).__name__
    if isinstance(value, Url) or (isinstance(value, dict) and "uri" in value):
        return "url"
    return "item" if isinstance(value, dict | BaseModel) else None


Content = Annotated[
    Annotated[str, Tag("str")] | Annotated[list[ContentItem], Tag("list")] | Annotated[ContentItem, Tag("item")],
    Discriminator(_kind),
]
"""Text, a piece of content, or several."""

DocumentContent = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[list[ContentItem], Tag("list")]
    | Annotated[Url, Tag("url")]
    | Annotated[ContentItem, Tag("item")],
    Discriminator(_kind),
]


class UserMessage(BaseModel):
    role: Literal["user"]
    content: Content
    context: Content | None = None


class ToolResponseMessage(BaseModel):
    role: Literal["tool"]
    call_id: str
    content: Content


class Document(BaseModel):
    content: DocumentContent
    mime_type: str


class ToolgroupWithArgs(BaseModel):
    name: str
    args: dict[str, Any]


def _toolgroup(value: Any) -> str:
    return "str" if isinstance(value, str) else "args"


Toolgroup = Annotated[
    Annotated[str, Tag("str")] | Annotated[ToolgroupWithArgs, Tag("args")], Discriminator(_toolgroup)
]


class ToolParameter(BaseModel):
    """A parameter of a client's tool, as clients 0.2 describe it."""

    name: str
    parameter_type: str
    description: str = ""
    required: bool = True
    default: Any = None


class ClientTool(BaseModel):
    """A tool that the client runs."""

    name: str
    description: str | None = None
    parameters: list[ToolParameter] | None = None
    input_schema: dict[str, Any] | None = None
    """JSON Schema of the arguments, as clients 0.3 describe them."""


class ToolConfig(BaseModel):
    tool_choice: str | None = None
    """``auto``, ``required``, ``none``, or a tool's name."""
    tool_prompt_format: Literal["json", "function_tag", "python_list"] | None = None
    system_message_behavior: Literal["append", "replace"] | None = None


class Greedy(BaseModel):
    type: Literal["greedy"]


class TopP(BaseModel):
    type: Literal["top_p"]
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=0.95, ge=0, le=1)


class TopK(BaseModel):
    type: Literal["top_k"]
    top_k: int = Field(ge=1)


class SamplingParams(BaseModel):
    strategy: Annotated[Greedy | TopP | TopK, Field(discriminator="type")] | None = None
    max_tokens: int | None = Field(default=None, ge=0)
    """0, as in the API's old default, is no limit."""
    repetition_penalty: float | None = None
    stop: list[str] | None = None


class JsonSchema(BaseModel):
    type: Literal["json_schema"]
    json_schema: dict[str, Any]


class Grammar(BaseModel):
    type: Literal["grammar"]
    bnf: dict[str, Any]


class AgentConfig(BaseModel):
    """An agent as its creator describes it. ``agent_id`` and ``metadata.agent_id`` are ours."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    instructions: str | None = None
    name: str | None = None
    agent_id: str | None = None
    metadata: dict[str, Any] | None = None
    client_tools: list[ClientTool] | None = None
    toolgroups: list[Toolgroup] | None = None
    tool_config: ToolConfig | None = None
    tool_choice: Literal["auto", "required", "none"] | None = None
    tool_prompt_format: Literal["json", "function_tag", "python_list"] | None = None
    sampling_params: SamplingParams | None = None
    response_format: Annotated[JsonSchema | Grammar, Field(discriminator="type")] | None = None
    max_infer_iters: int | None = Field(default=None, ge=1)
    input_shields: list[str] | None = None
    output_shields: list[str] | None = None
    enable_session_persistence: bool | None = None


class CreateAgent(BaseModel):
    agent_config: AgentConfig


class CreateSession(BaseModel):
    session_name: str


class CreateTurn(BaseModel):
    messages: list[Annotated[UserMessage | ToolResponseMessage, Field(discriminator="role")]] = Field(min_length=1)
    documents: list[Document] | None = None
    toolgroups: list[Toolgroup] | None = None
    tool_config: ToolConfig | None = None
    stream: bool = False


class ToolResponse(BaseModel):
    call_id: str
    tool_name: str
    content: Content
    metadata: dict[str, Any] | None = None


class ResumeTurn(BaseModel):
    tool_responses: list[ToolResponse] = Field(min_length=1)
    stream: bool = False
