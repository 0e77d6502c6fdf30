"""The host's APIs that turns may ask for."""

from dataclasses import dataclass
from typing import Any

from k8gentai.providers import host


@dataclass(frozen=True)
class StackApis:
    """The host's APIs that turns may ask for; None where the run YAML has no provider of it."""

    connectors: Any
    prompts: Any
    files: Any = None
    safety: Any = None
    tool_groups: Any = None
    tool_runtime: Any = None
    vector_io: Any = None

    @classmethod
    def of(cls, deps: dict[Any, Any]) -> "StackApis":
        """Return those among what the host hands a provider."""
        optional = {api.value: deps.get(api) for api in host.OPTIONAL_APIS}
        return cls(deps[host.Api.connectors], deps[host.Api.prompts], **optional)
