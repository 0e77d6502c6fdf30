"""Learns of the tool calls that the middleware around a model refuses: no tool runs for those."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import ToolMessage
from langgraph.types import Command

_HOOKS = (".before_agent", ".before_model", ".after_model")
"""End the names of the nodes that LangChain makes of a middleware."""
_POST_MODEL_HOOK = "post_model_hook"
"""LangGraph's ``create_react_agent`` names the one it may have so."""


class Refusals(BaseCallbackHandler):
    """Takes the errors by which middleware answers calls: of too many, of a form it does not allow.

    What a node of the agent's own answers is no refusal, whatever its status: the node may have run the tool.

    Args:
        exempt: takes a call for which no tool ran.
    """

    run_inline = True

    def __init__(self, exempt: Callable[[str], None]) -> None:
        self._exempt = exempt
        self._hooks: set[UUID] = set()

    def on_chain_start(self, serialized: dict[str, Any], inputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note that a node begins, or something within one."""
        node = (kwargs.get("metadata") or {}).get("langgraph_node")
        name = str(kwargs.get("name"))
        if name == node and (name.endswith(_HOOKS) or name == _POST_MODEL_HOOK):
            self._hooks.add(run_id)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note that a node is done."""
        if run_id not in self._hooks:
            return
        self._hooks.discard(run_id)
        for message in _messages(outputs):
            if isinstance(message, ToolMessage) and message.status == "error":
                self._exempt(message.tool_call_id)


def _messages(outputs: Any) -> Iterable[Any]:
    """Return the messages that a node adds to the state."""
    if isinstance(outputs, list):
        return [message for output in outputs for message in _messages(output)]
    update = outputs.update if isinstance(outputs, Command) else outputs
    messages = update.get("messages") if isinstance(update, dict) else None
    return messages if isinstance(messages, list) else ()
