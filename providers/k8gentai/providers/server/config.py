"""The config of our provider in a run YAML."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr, field_validator

from k8gentai.agents.text.header_value import header_value
from k8gentai.providers.host import environment
from k8gentai.providers.requests.guardrails import ModerationEndpoint
from k8gentai.workers.queue.registry_store import Place


class AmfConfig(BaseModel):
    """``config`` of the provider in the run YAML."""

    redis_url: str = Field(default_factory=environment.redis_url)
    """From the environment, as the host prints the run YAML's and shows it in ``/v1/providers``."""
    registry: Place = Path(".k8gentai/registry.json")
    sql_backend: str = "sql_default"
    """A SQL backend of ``storage.backends``, for finished responses."""
    models_provider_id: str = "amf"
    """The ``provider_id`` of our ``remote::amf-models`` entry."""
    queue_limit: int = 10_000
    """The number of turns that may wait, of all agents together. An agent's own limit is in its definition."""
    keep_seconds: int = 86_400
    """The seconds for which Redis keeps a finished turn: its stream can be read, its journal taken over, its job
    seen in RQ."""
    moderation_url: str | None = None
    """A moderation endpoint, for requests with guardrails."""
    moderation_api_key: SecretStr | None = None

    @field_validator("moderation_api_key")
    @classmethod
    def _is_sent(cls, key: SecretStr | None) -> SecretStr | None:
        return SecretStr(header_value(key.get_secret_value())) if key else None

    def moderation(self) -> ModerationEndpoint | None:
        """Return the moderation endpoint, for its user to close; None where none is named."""
        if not self.moderation_url:
            return None
        key = self.moderation_api_key
        return ModerationEndpoint(self.moderation_url, key.get_secret_value() if key else None)
