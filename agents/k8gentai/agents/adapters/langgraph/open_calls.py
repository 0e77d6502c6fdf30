"""Tells which tool call of a model code answers that runs a tool by hand: ``tool.invoke(call["args"])`` names no
call."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage


@dataclass
class _Asked:
    call_id: str
    name: str
    arguments: dict[str, Any]
    open: bool = True


class OpenCalls:
    """The tool calls that the models of one attempt asked for. Used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: list[_Asked] = []

    def asked(self, message: AIMessage) -> None:
        """Note the calls of a model's answer."""
        with self._lock:
            self._asked += (_Asked(c["id"], c["name"], c["args"]) for c in message.tool_calls if c["id"])

    def shown(self, messages: Iterable[BaseMessage]) -> None:
        """Close the calls whose results a model is shown, whoever made the results."""
        answered = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
        with self._lock:
            for call in self._asked:
                call.open = call.open and call.call_id not in answered

    def close(self, call_id: str) -> None:
        """Close a call that is being run."""
        with self._lock:
            for call in self._asked:
                call.open = call.open and call.call_id != call_id

    def take(self, name: str, arguments: Mapping[str, Any]) -> str | None:
        """Return the open call that a tool run by hand answers, which closes it: of the same arguments, or else
        the first of that tool, as code may read a call's arguments before it passes them on. None where there is
        none.
        """
        with self._lock:
            named = [call for call in self._asked if call.open and call.name == name]
            found = next((call for call in named if call.arguments == arguments), next(iter(named), None))
            if found is None:
                return None
            found.open = False
            return found.call_id

    def were_asked(self, name: str, arguments: Mapping[str, Any]) -> bool:
        """Return whether a model asked for such a call, be it run or not."""
        with self._lock:
            return any(call.name == name and call.arguments == arguments for call in self._asked)
