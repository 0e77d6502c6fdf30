"""The base of our providers of models, which know their models by themselves and register none."""

from typing import Any

from k8gentai.providers import host


class OwnModels(host.InferenceProvider):  # type: ignore[misc]  # the host is untyped
    """An inference provider of the host, which asks it for its models again and again.

    The host sets ``__provider_id__``.
    """

    async def initialize(self) -> None: ...

    async def shutdown(self) -> None: ...

    async def list_models(self) -> list[Any]:
        """Called by the host when it refreshes its list."""
        raise NotImplementedError

    async def should_refresh_models(self) -> bool:
        return True

    async def register_model(self, model: Any) -> Any:
        return model

    async def unregister_model(self, model_id: str) -> None: ...
