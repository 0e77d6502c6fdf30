"""Sees to it that no tool runs past the tool boundary: what the model is told of a call came through it."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from k8gentai.agents.contract.events import TurnEnd, TurnFailed
from k8gentai.agents.contract.turn import TurnError


class ToolBypassedError(TurnError):
    """The model was to be told the result of a call that had not come to the tool boundary."""

    code = "tool_bypassed"


class ToolGuard:
    """Knows the tool calls that the model made in one attempt, and which of them came to the boundary.

    Calls of tools that were not offered are let be, as a framework answers those by an error of its own. So are
    the calls of a single tool that the model was made to call, which is how code asks for an answer of a shape,
    unless the definition says something of the tool.

    A result may have another id than these calls: an earlier turn's, or that of an example that code puts before
    the model. While a call of the same tool is due, it is taken for the call's result, unless the model was shown
    it before the call was made.

    Args:
        elsewhere: the names of tools that run in another place: on the client, or where the definition allows it.
        shapes: the names of data classes that stand for tools and run nothing.
        ruled: the names of the tools that the definition says something of.
        halt: ends the attempt, whatever the agent makes of the error.
        entrypoint: names the agent's code, where a nearer place is not known.
        earlier: the ids of the calls of earlier turns.
        asking: the names of the tools whose calls a person is to approve. One that never came may have run
            unasked; one of another tool is taken for left out, which code may do.
    """

    def __init__(
        self,
        elsewhere: Collection[str],
        shapes: Collection[str],
        ruled: Collection[str],
        halt: Callable[[TurnEnd], None],
        entrypoint: str = "",
        earlier: Collection[str] = (),
        asking: Collection[str] = (),
    ) -> None:
        self._asking = asking
        self._entrypoint = entrypoint
        self._elsewhere = elsewhere
        self._shapes = set(shapes).difference(ruled)
        self._ruled = ruled
        self._halt = halt
        self._due: dict[str, str] = {}
        """The names of the tools of calls that have not come to the boundary, by the calls' ids."""
        self._scopes: dict[str, str] = {}
        """The tool calls inside which a model made calls, by the ids of those."""
        self._came: set[str] = set()
        self._silent: set[str] = set()
        """The ids of calls that have no result to tell of: answers of a shape, and those that run elsewhere."""
        self._known = set(earlier)
        """The ids of calls that were made, in this attempt or before the turn."""
        self._examples: set[_Result] = set()
        """The results of other calls that the model was shown."""

    def made(self, call_id: str, name: str, offered: Collection[str], *, forced: bool, around: str = "") -> None:
        """Note that a model makes a call.

        Args:
            call_id: the call's id.
            name: the tool's.
            offered: the names of the tools that it was offered.
            forced: it was to call a certain one.
            around: the tool call inside which the model was asked; empty where that was inside none.
        """
        self._scopes[call_id] = around
        self._known.add(call_id)
        is_shape = name in self._shapes or (forced and set(offered) == {name} and name not in self._ruled)
        if is_shape or name in self._elsewhere:
            self._silent.add(call_id)
        elif name in offered and call_id not in self._came:
            self._due[call_id] = name

    def came(self, call_id: str, *, elsewhere: bool = False) -> None:
        """Note that a call comes to the boundary, or that no tool runs for it. From any thread.

        Args:
            call_id: the call's id.
            elsewhere: its tool runs for another call, of the agent's own code.
        """
        if elsewhere:
            self._silent.add(call_id)
        self._came.add(call_id)
        self._due.pop(call_id, None)

    def is_silent(self, call_id: str) -> bool:
        """Return whether a call may have no result of its own: it is an answer of a shape, or its tool runs
        elsewhere.
        """
        return call_id in self._silent

    def due(self, name: str, around: str) -> dict[str, bool]:
        """Return the calls that have not come to the boundary and code may answer. From any thread.

        What a model asks for is for the code that asked the model, not for a tool that runs meanwhile. A tool may
        return what a model said, with its calls, to the code around.

        Args:
            name: the calls' tool.
            around: the tool call inside which the code runs; empty where it runs inside none.

        Returns:
            Their ids in their order, and whether a model was asked for each inside the same call.
        """
        scopes = {
            call_id: self._scopes.get(call_id, "") for call_id, tool in tuple(self._due.items()) if tool == name
        }
        return {call_id: scope == around for call_id, scope in scopes.items() if scope == around or not around}

    def check(self, messages: object, place: str) -> None:
        """See that the results in a request for the model are all of the boundary's.

        Args:
            messages: the request's.
            place: the line of the agent's code that makes it; empty where it is not known.

        Raises:
            ToolBypassedError: one is not.
        """
        for result in _results(messages):
            if name := self._due.get(result.call_id) or self._made_up(result):
                error = ToolBypassedError(_said(name, place or self._entrypoint))
                self._halt(TurnFailed(code=error.code, message=str(error)))
                raise error

    def missed(self) -> TurnFailed | None:
        """Return what a turn ends with in place of a good end: a call that a person is to approve never came."""
        for name in tuple(self._due.values()):
            if name in self._asking:
                return TurnFailed(code=ToolBypassedError.code, message=_missed(name, self._entrypoint))
        return None

    def _made_up(self, result: "_Result") -> str | None:
        """Return the tool of the due call that a result under an id of the agent's own is for."""
        example = replace(result, call_id="")
        if result.call_id in self._known or result.call_id in self._came or example in self._examples:
            return None
        for name in tuple(self._due.values()):
            if result.name in {name, ""}:
                return name
        self._examples.add(example)
        return None


@dataclass(frozen=True)
class _Result:
    """A tool's result in a request."""

    call_id: str
    name: str
    """The tool's; empty where the request does not say it."""
    call: str
    """The call that it answers, as the request has it."""
    text: str


def _results(messages: object) -> Iterator[_Result]:
    """Yield the results in a request's messages, with the calls before them."""
    calls: dict[str, dict[str, Any]] = {}
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            continue
        for call in message.get("tool_calls") or ():
            if isinstance(call, dict) and isinstance(function := call.get("function"), dict):
                calls[str(call.get("id"))] = function
        if message.get("role") == "tool":
            call_id = str(message.get("tool_call_id"))
            called = calls.get(call_id, {})
            name = str(called.get("name") or message.get("name") or "")
            yield _Result(call_id, name, str(called.get("arguments")), str(message.get("content")))


def _said(name: str, place: str) -> str:
    where = f" at {place}" if place else ""
    return (
        f"the tool {name!r} was run past the tool boundary, or its call answered by the agent's own code: the "
        f"model was to be sent a result{where} without record, approval, limit or time-out. Have the framework "
        "run the tool, or name it in the definition's tools with 'boundary: none'"
    )


def _missed(name: str, place: str) -> str:
    where = f" in {place}" if place else ""
    return (
        f"the model called the tool {name!r}, which wants approval, and the call never came to the tool "
        f"boundary{where}: the agent's code left it out, or ran it unasked. Have the framework run the tool, "
        "or name it in the definition's tools with 'boundary: none'"
    )
