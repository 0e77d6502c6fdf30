"""An agent's definition: the ``Agent`` resource of ``kagent.dev/v1alpha1`` with ``framework`` and
``entrypoint`` added. The same file runs on a laptop, under compose and on Kubernetes, so the fields that
only a cluster uses (scaling, resources, healthCheck, …) are accepted here and left to it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

FRAMEWORK = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
"""A framework's name, which names its queue too."""
FRAMEWORKS_HERE = "frameworks"
"""In the context of a validation: the frameworks there is an adapter for. They are no part of the schema, as an
operator may bring one of their own; without them, any name will do."""
UNKNOWN_FRAMEWORK = "unknown_framework"
"""The type of the error about a framework that is not among them."""

MultitaskStrategy = Literal["enqueue", "reject", "interrupt", "rollback"]
"""What becomes of a turn that comes while another of its conversation waits or runs, in the words of the LangGraph
Platform: it waits for its turn; it is refused; the others end as they are and their output counts; or the others
end and are forgotten."""

ENTRYPOINT = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"
"""``package.module:object``, as in Python's entry points specification."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Metadata(_Part):
    """``metadata`` of a Kubernetes object; ``name`` is the agent's id (a DNS label, RFC 1123)."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
    namespace: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Model(_Part):
    """The model the agent runs on. With ``name``, every model call of the agent uses that model, whatever
    its code names; without, the code's own choice stands."""

    provider: str | None = None
    name: str | None = None
    endpoint: str | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, alias="maxTokens", ge=1)
    top_p: float | None = Field(default=None, alias="topP", ge=0, le=1)
    frequency_penalty: float | None = Field(default=None, alias="frequencyPenalty", ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, alias="presencePenalty", ge=-2, le=2)
    api_key_secret_ref: dict[str, Any] | None = Field(default=None, alias="apiKeySecretRef")


class Limits(_Part):
    """What one turn may use before it is ended, and how many may wait."""

    seconds: float = Field(default=600, gt=0, le=86_400)
    steps: int = Field(default=25, ge=1, le=1_000)
    """Model calls."""
    tokens: int | None = Field(default=None, ge=1)
    """Tokens, read and written: once they are used up no further model call is made."""
    tool_calls: int | None = Field(default=None, alias="toolCalls", ge=0)
    approval_seconds: float = Field(default=86_400, alias="approvalSeconds", gt=0, le=2_592_000)
    """How long a turn waits for a person's decision."""
    queue: int | None = Field(default=None, ge=1)
    """Turns of the agent that may wait; None for as many as the server's own limit allows."""


class Tool(_Part):
    """What is to be known of one of the agent's tools."""

    name: str
    retry: Literal["always", "idempotent", "never"] = "idempotent"
    """What becomes of a call that was running when its worker died. ``always`` and ``idempotent``: it runs
    again with the same idempotency key; ``never``: the model is told that its outcome is not known."""
    timeout_seconds: float | None = Field(default=None, alias="timeoutSeconds", gt=0)
    approval: Literal["required"] | None = None
    """``required``: each call waits until a person approves it."""


class Spec(_Part):
    framework: str = Field(pattern=FRAMEWORK)
    entrypoint: str | None = Field(default=None, pattern=ENTRYPOINT)
    display_name: str | None = Field(default=None, alias="displayName")
    description: str = ""
    model: Model = Field(default_factory=Model)
    system_prompt: str | None = Field(default=None, alias="systemPrompt")
    tools: list[Tool] = Field(default_factory=list)
    limits: Limits = Field(default_factory=Limits)
    multitask_strategy: MultitaskStrategy = Field(default="enqueue", alias="multitaskStrategy")
    """Where the request names none."""
    env: list[dict[str, Any]] = Field(default_factory=list)
    memory: dict[str, Any] | None = None
    scaling: dict[str, Any] | None = None
    resources: dict[str, Any] | None = None
    observability: dict[str, Any] | None = None
    health_check: dict[str, Any] | None = Field(default=None, alias="healthCheck")

    @field_validator("framework", mode="before")
    @classmethod
    def _is_known(cls, name: object, info: ValidationInfo) -> object:
        known = (info.context or {}).get(FRAMEWORKS_HERE)
        if known is None or name in known:
            return name
        facts = {"name": repr(name), "known": ", ".join(known)}
        raise PydanticCustomError(UNKNOWN_FRAMEWORK, "unknown framework {name}; known are {known}", facts)


class AgentDefinition(_Part):
    """One agent, as its YAML says."""

    api_version: Literal["kagent.dev/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["Agent"]
    metadata: Metadata
    spec: Spec

    @property
    def id(self) -> str:
        """The name a request gives as ``model``."""
        return self.metadata.name


def implicit_agent(model: str) -> AgentDefinition:
    """The agent a plain model name stands for: Llama Stack's own loop around that model."""
    spec = Spec(framework="llama-stack", model=Model(name=model))
    # A model's name need not be a DNS label, so the name is not validated.
    return AgentDefinition.model_construct(
        api_version="kagent.dev/v1alpha1",
        kind="Agent",
        metadata=Metadata.model_construct(name=model),
        spec=spec,
    )
