"""The terms of a check of agents: for which frameworks, in which environments, and in what time."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_IMPORT_ENVIRONMENT = {
    # An OpenAI client made while a module is imported wants both; nothing listens there.
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "OPENAI_API_KEY": "not-a-key",
}


@dataclass(frozen=True)
class Terms:
    """The terms of a check of agents."""

    interpreters: Mapping[str, Path]
    """The Python of the environment of each framework in use; one need not exist."""
    adapters: Mapping[str, str] = field(default_factory=dict)
    """Frameworks with adapters of others: what names each (:mod:`k8gentai.agents.registry.named_adapter`)."""
    in_use: Sequence[str] = ()
    """The frameworks whose agents are run here, be there any or not."""
    seconds: float = 60
    """The seconds that one agent's check may take."""
    environment: Mapping[str, str] | None = None
    """The environment of the workers that run, in which agents' code is loaded; None for that of this process."""
    keep: bool = False
    """Whether an agent that was ready stays as it is where its definition cannot be read, or its code cannot be
    loaded, for a variable of the environment that is not set here, or where several others define it now."""

    def code_environment(self) -> dict[str, str]:
        """Return the environment that agents' code is loaded in."""
        return {**(os.environ if self.environment is None else self.environment), **_IMPORT_ENVIRONMENT}
