"""The stack's names of models, for agent code that knows only the model's own."""

import time

import httpx

from k8gentai.workers.stack.client import StackClient

_AGAIN_SECONDS = 5.0
"""The seconds after which an unknown name is looked up anew."""


class ModelNames:
    """Finds the id under which the stack serves a model: the stack puts its provider's name in front.

    Args:
        stack: lists its models.
    """

    def __init__(self, stack: StackClient) -> None:
        self._stack = stack
        self._served: dict[str, str] = {}
        """Ids, by themselves and by the name that the model's own endpoint has for it."""
        self._listed_at: float | None = None

    async def served(self, name: str) -> str:
        """Return the id of the model that a name means; the name itself where the stack has none, or does
        not say.
        """
        due = self._listed_at is None or time.monotonic() - self._listed_at > _AGAIN_SECONDS
        if name not in self._served and due:
            await self._list()
        return self._served.get(name, name)

    async def _list(self) -> None:
        try:
            models = (await self._stack.get("/v1/models"))["data"]
            own = {model["custom_metadata"]["provider_resource_id"]: model["id"] for model in models}
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            # The call that follows meets the same trouble and tells of it.
            return
        self._served = own | {model["id"]: model["id"] for model in models}
        self._listed_at = time.monotonic()
