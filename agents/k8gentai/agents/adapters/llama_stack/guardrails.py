"""Guardrails of a request, as Llama Stack's Responses loop asks for them; the stack itself runs them."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from llama_stack_api import RunModerationRequest

from k8gentai.agents.contract.stack_services import StackServices
from k8gentai.agents.contract.turn import ToolFailedError, TurnError


class GuardrailError(TurnError):
    """A guardrail did not answer. What it did not pass is not shown."""

    code = "guardrail_error"


class Guardrails:
    """The part of Llama Stack's ``Safety`` the loop uses.

    Args:
        stack: runs them.
        names: the request's.
    """

    def __init__(self, stack: StackServices, names: Sequence[str]) -> None:
        self._stack = stack
        self.names = names
        self.fault: GuardrailError | None = None
        """The error of a guardrail; the loop would make a nameless failure of it."""

    @property
    def routing_table(self) -> "Guardrails":
        return self

    async def list_shields(self) -> Any:
        """Return the guardrails, each with itself as its model: the stack finds the model."""
        return SimpleNamespace(
            data=[SimpleNamespace(identifier=name, provider_resource_id=name) for name in self.names]
        )

    async def run_moderation(self, request: RunModerationRequest) -> Any:
        """Ask one guardrail; where it blocks the text, its message is the whole answer.

        Raises:
            GuardrailError: it did not answer.
        """
        try:
            violation = await self._stack.violation(request.input, request.model)
        except ToolFailedError as error:
            self.fault = GuardrailError(f"the guardrail {request.model!r} did not answer: {error}")
            raise self.fault from error
        result = SimpleNamespace(
            flagged=violation is not None, user_message=violation, categories=None, metadata=None
        )
        return SimpleNamespace(results=[result])


def told(messages: Sequence[Any]) -> str:
    """Return all text that a model is told."""
    contents = [message.content or "" for message in messages]
    parts = [content if isinstance(content, list) else [content] for content in contents]
    texts = [part if isinstance(part, str) else getattr(part, "text", "") for content in parts for part in content]
    return " ".join(text for text in texts if text)
