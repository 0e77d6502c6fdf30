"""The frame that every kind of resource has: a Kubernetes object around a ``spec`` of its own."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

API_VERSION: Final = "kagent.dev/v1alpha1"
"""The ``apiVersion`` of every kind."""

KEPT_BY_KUBERNETES = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
"""Fields of ``metadata`` that a live object has beside those of :class:`Metadata`. They change by themselves.

Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
"""


class Part(BaseModel):
    """A part of a ``spec``: it has the fields that it declares, and no others."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Metadata(BaseModel):
    """``metadata`` of a Kubernetes object; ``name`` is an agent's id (a DNS label, RFC 1123).

    Other fields are taken and dropped: a newer Kubernetes may have more of them than are known here.
    """

    model_config = ConfigDict(extra="ignore")

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
    namespace: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)

    @field_validator("labels", "annotations", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        return {} if value is None else value


class Resource(Part):
    """A resource as its YAML, or a cluster, has it. A kind is a class that says what its ``kind`` and ``spec``
    are, with a line in :data:`k8gentai.agents.resources.kinds.KINDS`.

    ``status`` is taken and dropped: it is what a cluster says of the resource, and changes without it.
    """

    api_version: Literal["kagent.dev/v1alpha1"] = Field(alias="apiVersion")
    kind: str
    metadata: Metadata
    spec: Any

    @model_validator(mode="before")
    @classmethod
    def _without_status(cls, value: object) -> object:
        return {k: v for k, v in value.items() if k != "status"} if isinstance(value, dict) else value
