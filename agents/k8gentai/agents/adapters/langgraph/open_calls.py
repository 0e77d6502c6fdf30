"""Tells which tool call of a model code answers that runs a tool by hand: ``tool.invoke(call["args"])`` names no
call."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from k8gentai.agents.adapters.base.call_matching import matching_call
from k8gentai.agents.text.utf8 import jsonable

answering: ContextVar[str] = ContextVar("answering", default="")
"""The id of the call whose tool the code at hand belongs to; empty where there is none."""


@dataclass
class _Asked:
    call_id: str
    name: str
    arguments: dict[str, Any]
    scope: str
    """The call whose tool asked the model; empty where none did."""
    open: bool = True
    shown: bool = False
    """Whether a model was shown its result."""
    covered: bool = False
    """Whether it is answered by a call of the agent's code, which may be another of that tool than it."""


class OpenCalls:
    """The tool calls that the models of one attempt asked for. Used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: list[_Asked] = []
        self._renamed: dict[tuple[str, str, str, str], str] = {}
        """The models' calls that code makes under ids of its own, by those, names, arguments and tasks."""
        self._tasks: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
        """The tasks that made a call which no model asked for, by its id, name and arguments."""

    def own_id(
        self, call_id: str, name: str, arguments: Mapping[str, Any], task: str, *, is_shown: bool = False
    ) -> str:
        """Return the id of a call that came with one. Code that makes calls by itself may give all of them the
        same, also where it makes the same call again, as to see whether something is done; a task that runs once
        more makes the call it made. Code may also make a model's call under an id of its own, perhaps with more
        arguments.

        Args:
            call_id: the id that it came with.
            name: the tool's.
            arguments: the call's.
            task: the graph's task that makes it.
            is_shown: the graph's state has it, beside the models' calls.
        """
        with self._lock:
            if any(call.call_id == call_id for call in self._asked):
                return call_id
            made = call_id, name, json.dumps(jsonable(arguments), sort_keys=True)
            if not is_shown and (found := self._open_call(name, arguments, among=True)):
                self._renamed[*made, task] = found
            if (*made, task) in self._renamed:
                return self._renamed[*made, task]
            tasks = self._tasks[made]
            if task not in tasks:
                tasks.append(task)
            number = tasks.index(task)
        return f"{call_id}-{number + 1}" if number else call_id

    def asked(self, message: AIMessage) -> None:
        """Note the calls of a model's answer."""
        with self._lock:
            scope = answering.get()
            self._asked += (_Asked(c["id"], c["name"], c["args"], scope) for c in message.tool_calls if c["id"])

    def shown(self, messages: Iterable[BaseMessage]) -> None:
        """Close the calls whose results a model is shown, whoever made the results."""
        answered = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
        with self._lock:
            for call in self._asked:
                call.shown = call.shown or call.call_id in answered
                call.open = call.open and not call.shown

    def close(self, call_id: str) -> None:
        """Close a call that is being run."""
        with self._lock:
            for call in self._asked:
                call.open = call.open and call.call_id != call_id

    def begin_anew(self) -> None:
        """Open the calls again that were run and that no model was shown: the code that ran them begins anew."""
        with self._lock:
            for call in self._asked:
                call.open, call.covered = not call.shown, False

    def take(self, name: str, arguments: Mapping[str, Any]) -> str | None:
        """Return the open call that a tool run by hand answers, which closes it; None where there is none, or it
        may be several. What a model asked for is not for a tool that runs meanwhile. A tool may return what a
        model said, with its calls, to the code around: that takes those of the same arguments.
        """
        with self._lock:
            return self._open_call(name, arguments)

    def _open_call(self, name: str, arguments: Mapping[str, Any], *, among: bool = False) -> str | None:
        """Close the open call that code answers, and return its id.

        Args:
            among: its arguments have to be among those that the tool is run with.
        """
        named = {
            call.call_id: call
            for call in self._asked
            if call.open and call.name == name and (not among or _is_among(call.arguments, arguments))
        }
        here = {call_id: call.arguments for call_id, call in named.items() if call.scope == answering.get()}
        same = (call_id for call_id, call in named.items() if call.arguments == arguments)
        found = matching_call(arguments, here) or (None if answering.get() else next(same, None))
        if found is not None:
            named[found].open = False
        return found

    def cover(self, name: str) -> str | None:
        """Return an open call of a tool that code runs with arguments that may be any of its open calls'. As many
        of them are known to be run as the tool is. None where there is none."""
        with self._lock:
            left = (c for c in self._asked if c.open and not c.covered and c.name == name)
            found = next((call for call in left if call.scope == answering.get()), None)
            if found is None:
                return None
            found.covered = True
            return found.call_id

    def were_asked(self, name: str, arguments: Mapping[str, Any]) -> bool:
        """Return whether a model asked for such a call, be it run or not."""
        with self._lock:
            return any(call.name == name and call.arguments == arguments for call in self._asked)


def _is_among(written: Mapping[str, Any], arguments: Mapping[str, Any]) -> bool:
    return written == arguments or (bool(written) and written.items() <= arguments.items())
