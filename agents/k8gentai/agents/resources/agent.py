"""An agent's definition: the ``Agent`` resource of ``kagent.dev/v1alpha1`` with ``framework`` and
``entrypoint`` added. The same file runs on a laptop, under compose and on Kubernetes, so the fields that
only a cluster uses (scaling, resources, healthCheck, …) are accepted here; what nothing reads is marked so."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from k8gentai.agents.resources.not_used import NotUsed
from k8gentai.agents.resources.resource import API_VERSION, Metadata, Part, Resource
from k8gentai.agents.text.header_value import header_value
from k8gentai.agents.text.http_address import is_http_address
from k8gentai.agents.text.suggestion import did_you_mean

FRAMEWORK = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
"""A framework's name, which names its pool too."""
POOL = FRAMEWORK
"""A pool's name, which names its queue."""
POOL_WORDS = "is no name: small letters, digits and '-' between them, 63 at most"
"""The fault of a name that is none, of a pool or a framework."""
FRAMEWORKS_HERE = "frameworks"
"""In the context of a validation: the frameworks there is an adapter for. They are no part of the schema, as an
operator may bring one of their own; without them, any name will do."""
UNKNOWN_FRAMEWORK = "unknown_framework"
"""The type of the error about a framework that is not among them."""

MultitaskStrategy = Literal["enqueue", "reject", "interrupt", "rollback"]
"""The ways to treat a turn that comes while another of its conversation waits or runs, by the names of the
LangGraph Platform: it waits for its turn; it is refused; the others end as they are and their output counts; or
the others end and are forgotten."""

ENTRYPOINT = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"
"""``package.module:object``, as in Python's entry points specification."""

TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""The form that OpenAI's chat completions API wants of a function's name."""


def _has_code(spec: "Spec") -> bool:
    return spec.entrypoint is not None


_UNREAD = NotUsed()
_OF_DECLARATIVE = NotUsed(_has_code, "the code of an entrypoint has its own")
"""Marks what a declarative agent is made of. With an entrypoint the agent is made by its code."""


class Model(Part):
    """The model the agent runs on. With ``name``, every model call of the agent uses that model, whatever
    its code names; without, the code's own choice stands."""

    provider: Annotated[str | None, _UNREAD] = None
    name: str | None = None
    endpoint: Annotated[str | None, _UNREAD] = None
    temperature: Annotated[float | None, _OF_DECLARATIVE] = Field(default=None, ge=0, le=2)
    max_tokens: Annotated[int | None, _OF_DECLARATIVE] = Field(default=None, alias="maxTokens", ge=1)
    top_p: Annotated[float | None, _OF_DECLARATIVE] = Field(default=None, alias="topP", ge=0, le=1)
    frequency_penalty: Annotated[float | None, _OF_DECLARATIVE] = Field(
        default=None, alias="frequencyPenalty", ge=-2, le=2
    )
    presence_penalty: Annotated[float | None, _OF_DECLARATIVE] = Field(
        default=None, alias="presencePenalty", ge=-2, le=2
    )
    api_key_secret_ref: Annotated[dict[str, Any] | None, _UNREAD] = Field(default=None, alias="apiKeySecretRef")


class Limits(Part):
    """The limits of one turn, after which it is ended, and of the number that may wait."""

    seconds: float = Field(default=600, gt=0, le=86_400)
    steps: int = Field(default=25, ge=1, le=1_000)
    """Model calls."""
    tokens: int | None = Field(default=None, ge=1)
    """Tokens, read and written: once they are used up no further model call is made."""
    tool_calls: int | None = Field(default=None, alias="toolCalls", ge=0)
    output_bytes: int = Field(default=20_000_000, alias="outputBytes", ge=1_000, le=200_000_000)
    """The bytes that the turn may write: texts, arguments and results of tools, as its stream has them."""
    approval_seconds: float = Field(default=86_400, alias="approvalSeconds", gt=0, le=2_592_000)
    """The seconds that a turn waits for a person's decision."""
    depth: int = Field(default=5, ge=0, le=50)
    """The number of agents through which a question may be handed on, by agents that ask agents."""
    queue: int | None = Field(default=None, ge=1)
    """Turns of the agent that may wait; None for as many as the server's own limit allows."""


class McpServer(Part):
    """An MCP server: a program that speaks over its standard input and output, or an address (streamable HTTP).

    Source: https://modelcontextprotocol.io/specification/2025-06-18/basic/transports
    """

    command: str | None = None
    """Found as a shell finds it. The program sees ``env`` and the few variables that any program needs."""
    args: list[str] = Field(default_factory=list)
    env: dict[str, str] = Field(default_factory=dict)
    url: str | None = Field(default=None, pattern=r"^https?://")
    headers: dict[str, str] = Field(default_factory=dict)
    tools: list[str] | None = None
    """The names of its tools that the agent gets; None for all."""
    start_seconds: float = Field(default=30, alias="startSeconds", gt=0, le=600)
    """The seconds that it may take to start and to name its tools."""

    @field_validator("url")
    @classmethod
    def _has_a_place(cls, url: str | None) -> str | None:
        if url is not None and not is_http_address(url):
            # Not what Python says, which may hold a password.
            raise ValueError("it has no host, or a port that is none")
        return url

    @field_validator("headers")
    @classmethod
    def _are_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        return {name: header_value(value) for name, value in headers.items()}

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("an MCP server has either a command or a url")
        if self.url and (self.args or self.env):
            raise ValueError("args and env are of an MCP server with a command, not of one with a url")
        if self.command and self.headers:
            raise ValueError("headers are of an MCP server with a url, not of one with a command")
        return self


class ToolTerms(Part):
    """An entry of an agent's ``spec.tools``: where a declarative agent has a tool from, and its terms.

    Without ``function``, ``mcp`` and ``agent`` it says the latter only, of a tool of the agent's code or of one
    that an MCP server has. A resource of the kind ``Tool`` is something else.
    """

    name: str = Field(min_length=1)
    """The tool's name as the model knows it. With ``mcp`` it names the server, whose tools have names of their
    own."""
    description: str | None = None
    """The description for the model, in place of the function's docstring or of the other agent's description."""
    function: str | None = Field(default=None, pattern=ENTRYPOINT)
    """A Python function."""
    mcp: McpServer | None = None
    agent: str | None = None
    """The id of another agent, which is asked."""
    retry: Literal["always", "idempotent", "never"] = "idempotent"
    """The treatment of a call that was running when its worker died. ``always`` and ``idempotent``: it runs again
    with the same idempotency key; ``never``: the model is told that its outcome is not known."""
    timeout_seconds: float | None = Field(default=None, alias="timeoutSeconds", gt=0)
    approval: Literal["required"] | None = None
    """``required``: each call waits until a person approves it."""
    dynamic: bool = False
    """Whether the agent's code makes it while a turn runs, so that it is not looked for when the agent is
    registered."""
    boundary: Literal["none"] | None = None
    """``none``: the agent's code runs it by itself. It is neither recorded nor counted, so it may run twice."""

    @property
    def source(self) -> Literal["function", "mcp", "agent"] | None:
        """The kind of source that it comes from; None where the agent has the tool anyway."""
        sources: tuple[Literal["function", "mcp", "agent"], ...] = ("function", "mcp", "agent")
        return next((name for name in sources if getattr(self, name) is not None), None)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.function, self.mcp, self.agent)) > 1:
            raise ValueError("a tool has one of function, mcp and agent")
        if (self.function or self.agent) and not TOOL_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name that models take: letters, digits, _ and -, 64 at most")
        if self.description is not None and not (self.function or self.agent):
            raise ValueError("description is of a function or an agent; an MCP server describes its tools itself")
        ruled = self.approval or self.timeout_seconds or self.dynamic or self.retry != "idempotent" or self.source
        if self.boundary == "none" and ruled:
            raise ValueError("boundary: none says that nothing else can be said of the tool but its name")
        if self.dynamic and self.source:
            raise ValueError(f"dynamic is of a tool that the agent's code makes, and this one has {self.source}")
        return self


class Spec(Part):
    framework: str = Field(pattern=FRAMEWORK)
    # Left out where there is none, as workers of the release before read no registry with a field unknown to them.
    pool: str | None = Field(default=None, pattern=POOL, exclude_if=lambda pool: pool is None)
    """The pool whose workers run the agent; None for the one of its framework."""
    entrypoint: str | None = Field(default=None, pattern=ENTRYPOINT)
    display_name: str | None = Field(default=None, alias="displayName")
    description: str = ""
    model: Model = Field(default_factory=Model)
    system_prompt: Annotated[str | None, _OF_DECLARATIVE] = Field(default=None, alias="systemPrompt")
    tools: list[ToolTerms] = Field(default_factory=list)
    limits: Limits = Field(default_factory=Limits)
    multitask_strategy: MultitaskStrategy = Field(default="enqueue", alias="multitaskStrategy")
    """The strategy for requests that name none."""
    env: Annotated[list[dict[str, Any]], _UNREAD] = Field(default_factory=list)
    memory: Annotated[dict[str, Any] | None, _UNREAD] = None
    scaling: Annotated[dict[str, Any] | None, _UNREAD] = None
    resources: Annotated[dict[str, Any] | None, _UNREAD] = None
    observability: Annotated[dict[str, Any] | None, _UNREAD] = None
    health_check: Annotated[dict[str, Any] | None, _UNREAD] = Field(default=None, alias="healthCheck")

    @field_validator("limits")
    @classmethod
    def _counts_what_is_limited(cls, limits: Limits, info: ValidationInfo) -> Limits:
        if limits.tool_calls is not None:
            for tool in info.data.get("tools", ()):
                if tool.boundary == "none":
                    raise ValueError(f"limits.toolCalls does not hold for {tool.name!r}, which has boundary: none")
        return limits

    @field_validator("pool")
    @classmethod
    def _is_of_no_other_framework(cls, pool: str | None, info: ValidationInfo) -> str | None:
        known = (info.context or {}).get(FRAMEWORKS_HERE) or ()
        if pool in known and pool != info.data.get("framework", pool):
            raise ValueError(f"{pool!r} is the pool of another framework")
        return pool

    @field_validator("framework", mode="before")
    @classmethod
    def _is_known(cls, name: object, info: ValidationInfo) -> object:
        known = (info.context or {}).get(FRAMEWORKS_HERE)
        if known is None or name in known:
            return name
        hint = did_you_mean(str(name), known) or ";"
        facts = {"name": repr(name), "hint": hint, "known": ", ".join(known)}
        raise PydanticCustomError(UNKNOWN_FRAMEWORK, "unknown framework {name}{hint} known are {known}", facts)


class AgentDefinition(Resource):
    """One agent, as its YAML says."""

    kind: Literal["Agent"]
    spec: Spec

    @property
    def id(self) -> str:
        """The name a request gives as ``model``."""
        return self.metadata.name


def implicit_agent(model: str) -> AgentDefinition:
    """Return the agent a plain model name stands for: Llama Stack's own loop around that model."""
    spec = Spec(framework="llama-stack", model=Model(name=model))
    # A model's name need not be a DNS label, so the name is not validated.
    return AgentDefinition.model_construct(
        api_version=API_VERSION,
        kind="Agent",
        metadata=Metadata.model_construct(name=model),
        spec=spec,
    )
